"""What every test of the exporter starts from: a handler that hears, and tracers as hosts have."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from chain_callbacks import register, reload
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_otel.exporter import RunExporter

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("CHAIN_CALLBACKS", "OTEL_"))]:
        monkeypatch.delenv(name)
    yield
    reload()


class Everything(RecordingHandler):
    """Is shown what was said as it was said."""

    content = "full"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> RecordingHandler:
    """What the handler hears that the environment names."""
    handler = Everything()
    register("heard", lambda: handler)
    monkeypatch.setenv("CHAIN_CALLBACKS", "heard")
    return handler


@pytest.fixture
def exporter() -> Iterator[RunExporter]:
    exporter = RunExporter()
    yield exporter
    exporter.shutdown()


@pytest.fixture
def tracers(exporter: RunExporter) -> Callable[..., Tracer]:
    """What a host has its tracer from: each span is handed over when it ends."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer


@pytest.fixture
def tracer(tracers: Callable[..., Tracer]) -> Tracer:
    return tracers("a.host")


@pytest.fixture
def told(tracer: Tracer, heard: RecordingHandler) -> Callable[..., list[Any]]:
    """Make one span; return the events of its run: their names, and what they brought."""

    def make(
        name: str = "a span", events: tuple[tuple[str, Any], ...] = (), **attributes: Any
    ) -> list[Any]:
        given = {each.replace("__", "."): value for each, value in attributes.items()}
        span = tracer.start_span(name, attributes=given)
        for event, its in events:
            span.add_event(event, its)
        span.end()
        return heard.records

    return make
