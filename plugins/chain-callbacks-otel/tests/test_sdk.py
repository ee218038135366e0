"""Where spans go: an application's SDK, or one by ``OTEL_*``; and those that never arrive."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from chain_callbacks_otel import sdk
from chain_callbacks_otel.batches import CountedBatches, Counts

PATIENCE = 60

APPLICATION = """
from chain_callbacks.runnables import RunnableLambda
RunnableLambda(lambda x: x, name="step").invoke(1)
"""


def run(code: str = APPLICATION, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program with nothing but *variables*, for as long as nothing takes that is in order."""
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "LANG", "OTEL", "PYTEST", "PYTHON"))
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**outside, "CHAIN_CALLBACKS": "otel", **variables},
    )
    assert 0 == done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    return done


CONSOLE = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}


def test_standard_variables_set_an_sdk_up() -> None:
    """Exporters, service and sampler are what they say; all is exported when the process ends."""
    told = json.loads(run(**CONSOLE, OTEL_SERVICE_NAME="shop").stdout)
    assert ("invoke_workflow step", "shop") == (
        told["name"],
        told["resource"]["attributes"]["service.name"],
    )
    assert "" == run(**CONSOLE, OTEL_TRACES_SAMPLER="always_off").stdout
    told = json.loads(run(OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="console").stdout)
    [scope] = told["resource_metrics"][0]["scope_metrics"]
    assert ["gen_ai.invoke_workflow.duration"] == [each["name"] for each in scope["metrics"]]


def test_spans_of_the_programs_own_go_the_same_way() -> None:
    """Without an SDK of its own a program's spans are exported with its runs."""
    code = """
from opentelemetry import trace
from chain_callbacks.runnables import RunnableLambda
tracer = trace.get_tracer("mine")
def work(x):
    with tracer.start_as_current_span("mine"):
        return x
RunnableLambda(work, name="step").invoke(1)
"""
    inner, _, outer = run(code, **CONSOLE).stdout.partition("}\n{")
    assert '"name": "mine"' in inner
    assert '"name": "invoke_workflow step"' in outer


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
)
def test_disabled_sdk_exports_nothing(variables: dict[str, str]) -> None:
    """No span, no thread, no word."""
    code = APPLICATION + "import threading; print([t.name for t in threading.enumerate()])"
    done = run(code, **variables)
    assert "Otel" not in done.stdout
    assert "" == done.stderr


def test_sdk_of_the_application_is_used_and_not_replaced() -> None:
    """What the program set up before its first run stays, and what it left out is left out."""
    code = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
from chain_callbacks.runnables import RunnableLambda
RunnableLambda(lambda x: x, name="step").invoke(1)
assert trace.get_tracer_provider() is provider
print([span.name for span in spans.get_finished_spans()])
print(type(metrics.get_meter_provider()).__name__)
"""
    done = run(code, **CONSOLE)
    assert "['invoke_workflow step']\n_ProxyMeterProvider\n" == done.stdout
    assert "" == done.stderr


def test_exporter_that_is_not_installed_is_named_once_and_stops_no_run() -> None:
    """The warning has the name; every run goes on."""
    code = APPLICATION * 2 + "print('done')"
    done = run(code, OTEL_TRACES_EXPORTER="zipkin")
    assert "done\n" == done.stdout
    assert 1 == done.stderr.count("zipkin")
    assert "exports nothing" in done.stderr


def test_context_is_chosen_by_opentelemetrys_own_variable_too() -> None:
    """Where `OTEL_PYTHON_CONTEXT` names ours, nothing is put in its place."""
    code = """
from opentelemetry import context, trace
before = context._RUNTIME_CONTEXT
from chain_callbacks.runnables import RunnableLambda
spans = []
RunnableLambda(lambda x: spans.append(trace.get_current_span().name), name="step").invoke(1)
assert context._RUNTIME_CONTEXT is before
print(type(before).__name__, spans)
"""
    done = run(
        code, OTEL_PYTHON_CONTEXT="chain_callbacks", **{**CONSOLE, "OTEL_TRACES_EXPORTER": "none"}
    )
    assert ("RunContext ['invoke_workflow step']\n", "") == (done.stdout, done.stderr)


def test_file_of_the_sdk_that_cannot_be_read_is_named() -> None:
    """`OTEL_CONFIG_FILE` is the SDK's to read, with what reads it installed."""
    done = run(APPLICATION + "print('done')", OTEL_CONFIG_FILE="otel.yaml")
    assert "done\n" == done.stdout
    assert "opentelemetry-configuration" in done.stderr


def test_child_that_is_forked_exports_its_own_spans() -> None:
    """What the parent had is exported by the parent, and what the child did by the child."""
    code = """
import os
from chain_callbacks.runnables import RunnableLambda
def run(name):
    RunnableLambda(lambda x: x, name=name).invoke(1)
run("parent")
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    run("child")
"""
    told = run(code, **CONSOLE, OTEL_BSP_SCHEDULE_DELAY="3600000").stdout
    assert 1 == told.count("invoke_workflow parent")
    assert 1 == told.count("invoke_workflow child")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, ["otlp_proto_http", "console"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"]),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            ["otlp_proto_grpc"],
        ),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
    ],
)
def test_otlp_is_over_http_where_no_protocol_is_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: list[str]
) -> None:
    """As the specification has it; gRPC is for who asks for it, and installs the extra."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert expected == sdk._exporters("traces")


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


def test_collector_that_never_answers_holds_no_process(black_hole: int) -> None:
    """Exit keeps to the budget of all handlers, and says what was not sent.

    An export would wait for an hour, and so would an exit that waits for it.
    """
    done = run(
        APPLICATION + "print('done')",
        CHAIN_CALLBACKS_EXIT_TIMEOUT="0.5",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{black_hole}",
        OTEL_EXPORTER_OTLP_TIMEOUT="3600",
    )
    assert "done\n" == done.stdout
    assert "The handler otel did not send everything before the process ended" in done.stderr


def test_collector_that_never_answers_holds_no_run_and_no_flush(black_hole: int) -> None:
    """Runs go on while an export hangs; a flush returns and says so."""
    code = """
from chain_callbacks import flush
from chain_callbacks.runnables import RunnableLambda
step = RunnableLambda(lambda x: x, name="step")
step.invoke(1)
for _ in range(2):
    print(flush(0.2).late)
    step.invoke(1)
print("done")
"""
    done = run(
        code,
        CHAIN_CALLBACKS_EXIT_TIMEOUT="0.2",
        OTEL_METRICS_EXPORTER="none",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{black_hole}",
        OTEL_EXPORTER_OTLP_TIMEOUT="3600",
    )
    assert "('otel',)\n('otel',)\ndone\n" == done.stdout


def test_spans_that_are_dropped_are_in_the_counts_of_all_handlers() -> None:
    """What a collector does not take is told by `stats()` and at the end."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    code = """
from chain_callbacks import flush, stats
from chain_callbacks.runnables import RunnableLambda
for _ in range(3):
    RunnableLambda(lambda x: x, name="step").invoke(1)
flush(30)
print(stats()["otel"].dropped)
"""
    done = run(
        code,
        OTEL_METRICS_EXPORTER="none",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    assert "3\n" == done.stdout
    assert "3 dropped" in done.stderr


class Gated(SpanExporter):
    """Stands in its first export until it is let go; then does what *result* says."""

    def __init__(self, result: Any = SpanExportResult.SUCCESS) -> None:
        self.is_entered, self.may_go_on = threading.Event(), threading.Event()
        self.exported: list[str] = []
        self.result = result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.is_entered.set()
        assert self.may_go_on.wait(PATIENCE)
        self.exported += [span.name for span in spans]
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_span_that_finds_the_queue_full_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While an export hangs the queue fills; beyond it every span is counted, and none waits."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    exporter = Gated()
    batches = CountedBatches(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(batches)
    tracer = provider.get_tracer("x")

    def end(*names: str) -> None:
        for name in names:
            tracer.start_span(name).end()

    end("a", "b")
    assert exporter.is_entered.wait(PATIENCE)
    end("c", "d", "e", "f", "g", "h", "i")
    assert (4, 3) == (batches.counts.waiting, batches.counts.dropped)
    exporter.may_go_on.set()
    provider.force_flush()
    assert ["a", "b", "c", "d", "e", "f"] == exporter.exported
    assert (0, 3) == (batches.counts.waiting, batches.counts.dropped)
    provider.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, OSError("x")])
def test_span_that_no_collector_takes_is_counted(result: Any) -> None:
    """The SDK does not try again what an exporter gave up."""
    exporter = Gated(result)
    exporter.may_go_on.set()
    batches = CountedBatches(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(batches)
    provider.get_tracer("x").start_span("a").end()
    provider.force_flush()
    assert (0, 1) == (batches.counts.waiting, batches.counts.dropped)
    provider.shutdown()


def test_counts_begin_anew_in_a_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a parent has in its queue is not a child's."""
    counts = Counts(1)
    assert [True, False] == [counts.take(), counts.take()]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert [True, False] == [counts.take(), counts.take()]
    assert (1, 1) == (counts.waiting, counts.dropped)
