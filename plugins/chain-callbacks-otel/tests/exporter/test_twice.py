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


def run(program: str, **variables: str) -> str:
    """Return what a program prints, on both streams; it must succeed."""
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "LANG", "OTEL_", "PYTEST"))
    }
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        env={**outside, **variables},
    ).stdout


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
    assert "chain bridged\nchat_model m\n" == run(
        PROGRAM.format(scope=scope), CHAIN_CALLBACKS="heard"
    )


def test_spans_of_a_host_that_nobody_bridges_are_runs(tracers, heard):
    """A bridge that is installed and was not asked for gets no events."""
    if any(each.host == "langchain_core" and each.status == "active" for each in hosts.bridges()):
        pytest.skip("the tests of the bridge ran before, and it stays")
    theirs = tracers("openinference.instrumentation.langchain")
    theirs.start_span("a chain", attributes={"openinference.span.kind": "CHAIN"}).end()

    assert ["on_chain_start", "on_chain_end"] == heard.names()


BOTH = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chain_callbacks import register, traced
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_otel.exporter import RunExporter

class Everything(RecordingHandler):
    content = "full"

heard, exported = Everything(), InMemorySpanExporter()
register("heard", lambda: heard)
provider = TracerProvider()
trace.set_tracer_provider(provider)
provider.add_span_processor(SimpleSpanProcessor(RunExporter()))
provider.add_span_processor(SimpleSpanProcessor(exported))
theirs = trace.get_tracer("a.host")

@traced
def ours():
    theirs.start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()

ours()
for span in exported.get_finished_spans():
    print(span.instrumentation_scope.name, span.name, span.parent is None)
starts = {each.run_name: each for each in heard.records if each.name.endswith("_start")}
print(heard.tree())
print(starts["chat"].metadata["otel.parent_run_id"] == str(starts["ours"].run_id))
"""


def test_both_ways_at_once():
    """Our run is one span, their span is one run, and it says which run of ours it was made in."""
    assert [
        "a.host chat False",
        "chain_callbacks_otel invoke_workflow ours True",
        "chain ours",
        "chat_model chat",
        "True",
    ] == run(BOTH, CHAIN_CALLBACKS="otel,heard").splitlines()


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
    told = run(FORKING, CHAIN_CALLBACKS="structlog")

    assert 1 == told.count("chat_model_start")
