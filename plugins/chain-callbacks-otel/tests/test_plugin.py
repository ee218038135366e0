"""The plugin as a plugin: its settings from the environment, and that loading it does nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chain_callbacks import register, resolve
from chain_callbacks_otel import OtelHandler

# A name of its own: under "otel" the plugin may be installed, and have a live instance.
NAME = "otel-tried"
VARIABLE = "CHAIN_CALLBACKS_OTEL_TRIED__CONVENTIONS"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("openinference", "genai is missing: every span has it"),
        ("genai,opentracing", "input should be 'genai' or 'openinference'"),
    ],
)
def test_conventions_that_nobody_knows_are_named_by_their_variable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str, expected: str
) -> None:
    """What is wrong is said when the handler is named."""
    register(NAME, OtelHandler)
    monkeypatch.setenv(VARIABLE, value)
    assert [] == resolve(NAME).manager.handlers
    (problem,) = caplog.messages
    assert f"{NAME}: {VARIABLE} is wrong: {expected}" == problem.partition(". ")[0].rstrip(".")


@pytest.mark.parametrize("value", [None, "genai", " GenAI, openinference "])
def test_conventions_are_a_list(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Names with commas between them, in any case."""
    register(NAME, OtelHandler)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert [OtelHandler] == [type(each) for each in resolve(NAME).manager.handlers]


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_loading_and_making_it_touches_nothing() -> None:
    """Threads, logging, OpenTelemetry's providers and its context: all as they were before.

    The SDK is imported where a handler is made, and adds a filter of warnings of its own.
    """
    code = """
import logging, sys, threading
import chain_callbacks, chain_callbacks.handlers.run_state
def state():
    root, own = logging.getLogger(), logging.getLogger("chain_callbacks")
    loggers = [(each.level, each.handlers, each.propagate) for each in (root, own)]
    return loggers, threading.enumerate()
before = state()
import chain_callbacks_otel as plugin
print([name for name in sys.modules if name.startswith(("opentelemetry", "pydantic"))])
plugin.OtelHandler()
assert before == state()
from opentelemetry import context, metrics, trace
print(type(trace.get_tracer_provider()).__name__, type(metrics.get_meter_provider()).__name__)
print(type(context._RUNTIME_CONTEXT).__name__)
"""
    providers = "ProxyTracerProvider _ProxyMeterProvider"
    assert f"[]\n{providers}\nContextVarsRuntimeContext\n" == run(code)


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_readme_has_examples() -> None:
    """The examples are found, so that the next test tries them."""
    assert EXAMPLES


@pytest.mark.parametrize("code", EXAMPLES)
def test_readme_example_runs(code: str) -> None:
    """What the README shows works as it stands."""
    run(code)
