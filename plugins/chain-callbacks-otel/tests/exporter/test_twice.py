"""What is heard in one way is not told in the other."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from chain_callbacks import hosts

ENOUGH = all(
    importlib.util.find_spec(name) for name in ("langchain_core", "chain_callbacks_langchain")
)

# An instrumentation of LangChain's, as they are made: a span a run, in its own scope.
PROGRAM = """
import chain_callbacks.auto
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from chain_callbacks import register
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_otel.exporter import RunExporter

heard = RecordingHandler()
register("heard", lambda: heard)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(RunExporter()))
theirs = provider.get_tracer("{scope}")
others = provider.get_tracer("another.host")

class Instrumentation(BaseCallbackHandler):
    def on_chain_start(self, serialized, inputs, **kwargs):
        attributes = {{"gen_ai.operation.name": "invoke_workflow"}}
        self.span = theirs.start_span("invoke_workflow", attributes=attributes)

    def on_chain_end(self, outputs, **kwargs):
        inside = trace.set_span_in_context(self.span)
        attributes = {{"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}}
        others.start_span("chat", inside, attributes=attributes).end()
        self.span.end()

RunnableLambda(str, name="bridged").invoke(1, {{"callbacks": [Instrumentation()]}})
print(heard.tree())
"""


@pytest.mark.skipif(not ENOUGH, reason="the bridge to LangChain is not installed")
@pytest.mark.parametrize(
    "scope",
    [
        "opentelemetry.instrumentation.genai.langchain",
        "opentelemetry.instrumentation.langchain",
        "openinference.instrumentation.langchain",
    ],
)
def test_spans_of_a_host_that_is_bridged_are_no_runs(scope):
    """The bridge told of them already; what is below them is told, as roots of their own."""
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "LANG", "OTEL_", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(scope=scope)],
        capture_output=True,
        text=True,
        check=False,
        env={**outside, "CHAIN_CALLBACKS": "heard"},
    )

    assert ("chain bridged\nchat_model m\n", "") == (done.stdout, done.stderr)


def test_spans_of_a_host_that_nobody_bridges_are_runs(tracers, heard):
    """A bridge that is installed and was not asked for hears nothing."""
    if any(each.host == "langchain_core" and each.status == "active" for each in hosts.bridges()):
        pytest.skip("the tests of the bridge ran before, and it stays")
    theirs = tracers("openinference.instrumentation.langchain")
    theirs.start_span("a chain", attributes={"openinference.span.kind": "CHAIN"}).end()

    assert ["on_chain_start", "on_chain_end"] == heard.names()


FORKING = """
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from chain_callbacks_otel.exporter import RunExporter

provider = TracerProvider()
trace.set_tracer_provider(provider)
provider.add_span_processor(SimpleSpanProcessor(RunExporter()))
tracer = trace.get_tracer("a.host")
with tracer.start_as_current_span("a loop"):
    tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
    if os.fork() == 0:
        raise SystemExit
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_child_process_does_not_tell_what_its_parent_holds():
    """A process that forks in the middle of a trace has it told once."""
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "OTEL_", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        capture_output=True,
        text=True,
        check=True,
        env={**outside, "CHAIN_CALLBACKS": "structlog"},
    )

    assert 1 == done.stderr.count("chat_model_start")
