"""OpenTelemetry's own SDK, with what it exports kept in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chain_callbacks import policy
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_otel import OtelHandler, OtelSettings


class Exported:
    """What an application's SDK was given since the test began."""

    def __init__(self) -> None:
        self.tracer = trace.get_tracer("the application")
        self._spans, self._reader = sdk()
        self._spans.clear()
        self._reader.get_metrics_data()

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that ended, in the order of their starts."""
        return sorted(self._spans.get_finished_spans(), key=lambda span: span.start_time or 0)

    def span(self, name: str) -> ReadableSpan:
        """The one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def attributes(self, name: str) -> dict[str, Any]:
        """What the one span of that name says, but for what is of one run alone."""
        kept = dict(self.span(name).attributes or {})
        own = ("chain_callbacks.run.id", "gen_ai.response.time_to_first_chunk")
        return {key: value for key, value in kept.items() if key not in own}

    def tree(self) -> str:
        """The names of all spans, each below its parent."""
        return drawn(self.spans)

    def runs(self) -> set[tuple[str, str | None, str]]:
        """The id of each run, of the run around it by the spans, and its trace."""
        return joined(self.spans)

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """The attributes of the points of each metric."""
        return {
            name: [dict(point.attributes or {}) for point in points]
            for name, points in self.points().items()
        }

    def points(self) -> dict[str, list[Any]]:
        """The points of each metric."""
        data = self._reader.get_metrics_data()
        found = [
            m
            for r in (data.resource_metrics if data else ())
            for s in r.scope_metrics
            for m in s.metrics
        ]
        return {each.name: list(each.data.data_points) for each in found}


def drawn(spans: Sequence[ReadableSpan]) -> str:
    known = {span.context.span_id for span in spans}
    lines = []

    def draw(parent: int | None, indent: str) -> None:
        for span in spans:
            above = span.parent.span_id if span.parent else None
            if (above if above in known else None) == parent:
                lines.append(indent + span.name)
                draw(span.context.span_id, indent + "  ")

    draw(None, "")
    return "\n".join(lines)


def joined(spans: Sequence[ReadableSpan]) -> set[tuple[str, str | None, str]]:
    by_id = {span.context.span_id: span for span in spans}

    def run_around(span: ReadableSpan) -> str | None:
        above = by_id.get(span.parent.span_id) if span.parent else None
        while above is not None and "chain_callbacks.run.id" not in (above.attributes or {}):
            above = by_id.get(above.parent.span_id) if above.parent else None
        return None if above is None else str(above.attributes["chain_callbacks.run.id"])

    return {
        (
            str(span.attributes["chain_callbacks.run.id"]),
            run_around(span),
            format(span.context.trace_id, "032x"),
        )
        for span in spans
        if "chain_callbacks.run.id" in (span.attributes or {})
    }


@lru_cache(maxsize=1)
def sdk() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    """The SDK of this process: OpenTelemetry takes one, once."""
    spans = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracers)
    # Each reading begins anew.
    reader = InMemoryMetricReader({Histogram: AggregationTemporality.DELTA})
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return spans, reader


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    isolated_callbacks: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Hide the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "LANG"))]:
        monkeypatch.delenv(name)
    yield
    from chain_callbacks.context import surroundings

    # What other tests count is not to include a host that has gone by.
    surroundings.finders = ()


@pytest.fixture
def exported() -> Exported:
    """What an application's SDK is given."""
    return Exported()


@pytest.fixture
def otel(exported: Exported) -> Iterator[OtelHandler]:
    """The handler as a name makes it: it is shown no content."""
    handler = OtelHandler()
    yield handler
    handler.close()


@pytest.fixture
def shown(otel: OtelHandler) -> Any:
    """The handler, where everything is shown to it."""
    return policy(otel, content="full")


@pytest.fixture
def openinference(exported: Exported) -> Iterator[OtelHandler]:
    """The handler with OpenInference's attributes, too."""
    handler = OtelHandler(OtelSettings(conventions=("genai", "openinference")))
    yield handler
    handler.close()


@pytest.fixture
def same_runs() -> Any:
    """Tells whether the spans are the runs that a recorder heard, each in the same place."""

    def check(exported: Exported, recorder: RecordingHandler) -> None:
        told = {
            (str(run.id), None if run.parent_id is None else str(run.parent_id))
            for run in recorder.runs
        }
        runs = exported.runs()
        assert told == {(run, around) for run, around, _ in runs}
        roots = {str(run.id): str(run.root_id) for run in recorder.runs}
        traces = {roots[run]: trace_id for run, _, trace_id in runs}
        assert {(roots[run], traces[roots[run]]) for run in roots} == {
            (roots[run], trace_id) for run, _, trace_id in runs
        }
        assert [] == recorder.problems()

    return check
