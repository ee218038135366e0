"""Spans that have ended become runs: their order, their times, their errors, and who hears them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid5

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)

from chain_callbacks import BaseCallbackHandler, register
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_otel import OtelHandler
from chain_callbacks_otel.exporter import RunExporter
from chain_callbacks_otel.names import SCOPE
from chain_callbacks_otel.settings import OtelSettings

SECOND = 1_000_000_000

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "forecaster"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
AS_A_TREE = "chain forecaster\n  chat_model m\n  tool weather"
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"}


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The errors that a handler hears which is shown everything."""
    found: list[Any] = []

    class Errors(BaseCallbackHandler):
        content = "full"

        def on_llm_error(self, error, **kwargs):
            found.append(error)

    register("errors", Errors)
    monkeypatch.setenv("CHAIN_CALLBACKS", "errors")
    return found


def events(heard: RecordingHandler) -> list[tuple[str, str]]:
    return [(each.name, each.run_name) for each in heard.records]


def an_agent_runs(tracer: Tracer) -> None:
    with tracer.start_as_current_span("invoke_agent forecaster", attributes=AGENT):
        with tracer.start_as_current_span("chat m", attributes=CHAT):
            pass
        with (
            tracer.start_as_current_span("GET /weather"),
            tracer.start_as_current_span("execute_tool weather", attributes=TOOL),
        ):
            pass


def test_trace_is_told_when_its_topmost_span_has_ended(tracer, heard):
    """The outer run starts first and ends last; what is no GenAI span is passed over."""
    an_agent_runs(tracer)

    assert [
        ("on_chain_start", "forecaster"),
        ("on_chat_model_start", "m"),
        ("on_llm_end", "m"),
        ("on_tool_start", "weather"),
        ("on_tool_end", "weather"),
        ("on_chain_end", "forecaster"),
    ] == events(heard)
    assert [] == heard.problems()
    assert heard.tree() == AS_A_TREE


def test_nothing_is_told_while_the_topmost_span_goes_on(tracer, heard):
    """An inner run could not be told of before the one around it."""
    with tracer.start_as_current_span("invoke_agent", attributes=AGENT):
        with tracer.start_as_current_span("chat m", attributes=CHAT):
            pass
        so_far = events(heard)

    assert [] == so_far


def test_batches_are_put_together(heard):
    """Spans that come in many batches, from a thread of OpenTelemetry's, make one tree."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(RunExporter(), max_export_batch_size=1))
    an_agent_runs(provider.get_tracer("a.host"))
    provider.shutdown()

    assert heard.tree() == AS_A_TREE


def test_times_are_those_of_the_spans(tracer, monkeypatch):
    """A run that is told of later began when its span did, and took as long."""
    found: list[Any] = []

    class Watch(BaseCallbackHandler):
        def on_chain_start(self, serialized, inputs, *, started, **kwargs):
            found.append(started.timestamp())

        def on_chain_end(self, outputs, *, started, duration, **kwargs):
            found.append((started.timestamp(), duration))

    register("watch", Watch)
    monkeypatch.setenv("CHAIN_CALLBACKS", "watch")
    span = tracer.start_span("invoke_agent", attributes=AGENT, start_time=1_000 * SECOND)
    span.end(end_time=1_002 * SECOND + SECOND // 2)

    assert [1000.0, (1000.0, 2.5)] == found


def test_parallel_runs_are_told_in_the_order_of_their_times(tracer, heard):
    """Starts and ends of branches stand as they came, not one branch after the other."""
    root = tracer.start_span("invoke_agent", attributes=AGENT, start_time=10)
    inside = trace.set_span_in_context(root)
    for name, start, end in (("first", 11, 14), ("second", 12, 13), ("third", 14, 14)):
        model = {**CHAT, "gen_ai.request.model": name}
        tracer.start_span("chat", inside, attributes=model, start_time=start).end(end)
    root.end(20)

    assert [
        ("on_chain_start", "forecaster"),
        ("on_chat_model_start", "first"),
        ("on_chat_model_start", "second"),
        ("on_llm_end", "second"),
        ("on_llm_end", "first"),
        ("on_chat_model_start", "third"),
        ("on_llm_end", "third"),
        ("on_chain_end", "forecaster"),
    ] == events(heard)


def test_clock_that_was_set_back_does_not_mix_up_a_tree(tracer, heard):
    """A child is told of between the start and the end of its parent, whatever its times are."""
    root = tracer.start_span("invoke_agent", attributes=AGENT, start_time=10)
    inside = trace.set_span_in_context(root)
    tracer.start_span("chat", inside, attributes=CHAT, start_time=5).end(30)
    root.end(20)

    assert [
        ("on_chain_start", "forecaster"),
        ("on_chat_model_start", "m"),
        ("on_llm_end", "m"),
        ("on_chain_end", "forecaster"),
    ] == events(heard)


def test_ids_follow_from_those_of_the_span(tracer, heard):
    """Whoever has a span finds its run, and the other way round."""
    span = tracer.start_span("invoke_agent", attributes=AGENT)
    span.end()
    context = span.get_span_context()
    first = heard.records[0]

    assert uuid5(UUID(int=context.trace_id), f"{context.span_id:016x}") == first.run_id
    assert f"{context.trace_id:032x}" == first.metadata["otel.trace_id"]
    assert f"{context.span_id:016x}" == first.metadata["otel.span_id"]
    assert "a.host" == first.metadata["otel.scope"]


def test_span_with_a_parent_in_another_process_is_a_root(tracer, heard):
    """What is around it is told of there; its id is kept."""
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    context = trace.set_span_in_context(NonRecordingSpan(remote))
    tracer.start_span("chat", context, attributes=CHAT).end()

    assert ["on_chat_model_start", "on_llm_end"] == heard.names()
    assert "0000000000000002" == heard.records[0].metadata["otel.parent_span_id"]


def test_span_that_ends_after_the_topmost_is_a_child_still(tracer, heard):
    """A task may outlive the request that began it."""
    root = tracer.start_span("invoke_agent", attributes=AGENT)
    between = tracer.start_span("a task", trace.set_span_in_context(root))
    late = tracer.start_span("chat", trace.set_span_in_context(between), attributes=CHAT)
    root.end()
    late.end()
    between.end()
    started, _, told_late, _ = heard.records

    assert [*events(heard)] == [
        ("on_chain_start", "forecaster"),
        ("on_chain_end", "forecaster"),
        ("on_chat_model_start", "m"),
        ("on_llm_end", "m"),
    ]
    assert started.run_id == told_late.parent_id


def test_span_that_is_handed_over_twice_is_told_once(heard):
    """Two processors may hand over to one exporter, and two batches may bring one span."""
    exporter = RunExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    an_agent_runs(provider.get_tracer("a.host"))
    provider.shutdown()

    assert heard.tree() == AS_A_TREE
    assert [] == heard.problems()


@pytest.mark.parametrize("how", ["shutdown", "force_flush"])
def test_what_is_held_is_told_when_it_is_asked_for(how, exporter, tracer, heard):
    """A program may end, or freeze, while the topmost span goes on."""
    with tracer.start_as_current_span("a loop that never ends"):
        with tracer.start_as_current_span("invoke_agent", attributes=AGENT):
            pass
        getattr(exporter, how)()
        so_far = events(heard)

    assert [("on_chain_start", "forecaster"), ("on_chain_end", "forecaster")] == so_far


def test_trace_that_is_silent_for_long_is_told_as_far_as_it_has_come(heard):
    """A topmost span that lives as long as the program would hold up everything."""
    now = [0.0]
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = RunExporter(patience=60, clock=lambda: now[0])
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("a.host")
    with tracer.start_as_current_span("a loop that never ends"):
        with tracer.start_as_current_span("invoke_agent", attributes=AGENT):
            pass
        now[0] = 61.0
        tracer.start_span("of another trace", trace.Context()).end()
        so_far = heard.names()
    provider.shutdown()

    assert ["on_chain_start", "on_chain_end"] == so_far
    assert so_far == heard.names()


def test_spans_that_are_held_have_a_bound(heard):
    """Beyond it the trace that was silent for the longest time is told as far as it has come."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(RunExporter(max_spans=2)))
    tracer = provider.get_tracer("a.host")
    tops = []
    for number in range(3):
        top = tracer.start_span("never ends")
        tops.append(top)
        model = {**CHAT, "gen_ai.request.model": str(number)}
        tracer.start_span("chat", trace.set_span_in_context(top), attributes=model).end()

    assert [("on_chat_model_start", "0"), ("on_llm_end", "0")] == events(heard)
    provider.shutdown()


def test_our_own_spans_never_come_back(tracers, heard):
    """The handler `otel` makes them of runs that were heard already; what is below them is."""
    ours, theirs = tracers(SCOPE), tracers("a.host")
    with (
        ours.start_as_current_span("invoke_agent ours", attributes=AGENT),
        theirs.start_as_current_span("chat", attributes=CHAT),
    ):
        pass

    assert [("on_chat_model_start", "m"), ("on_llm_end", "m")] == events(heard)


def test_handler_that_makes_spans_is_not_told(tracer, heard, monkeypatch):
    """What came of a span is one: the others are told, at every depth."""
    found: list[str] = []

    class Derived(OtelHandler):
        """An organisation's own."""

        def start_run(self, run, parent):
            found.append(run.name)

    register("derived", lambda: Derived(OtelSettings()))
    monkeypatch.setenv("CHAIN_CALLBACKS", "derived,heard")
    an_agent_runs(tracer)

    assert [] == found
    assert 6 == len(heard.records)


def test_nobody_listens(tracer, exporter):
    """Without a handler spans are taken in, and nothing comes of them."""
    an_agent_runs(tracer)

    assert exporter.force_flush()


def test_error_has_the_class_and_the_text_that_the_span_states(tracer, errors):
    """A handler shows them as those of any exception."""
    with pytest.raises(TimeoutError):  # noqa: SIM117
        with tracer.start_as_current_span("chat", attributes=CHAT):
            raise TimeoutError("no answer within 10 s")
    (error,) = errors

    assert ("TimeoutError", "no answer within 10 s") == (type(error).__name__, str(error))
    assert "TimeoutError: no answer within 10 s" in error.stacktrace


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        pytest.param("openai.RateLimitError", "RateLimitError", id="class"),
        pytest.param("429", "SpanError", id="status code"),
        pytest.param(None, "Error", id="nothing"),
    ],
)
def test_error_without_an_exception_event_has_what_there_is(stated, name, tracer, errors):
    """By the conventions `error.type` says the class, or a code, and the status its text."""
    span = tracer.start_span("chat", attributes=CHAT)
    if stated is not None:
        span.set_attribute("error.type", stated)
    span.set_status(Status(StatusCode.ERROR, "slow down"))
    span.end()
    (error,) = errors

    assert (name, "slow down") == (type(error).__name__, str(error))
    assert (stated or "Error") == error.type_name


def test_one_error_on_its_way_up_is_one_root_cause(tracer, monkeypatch):
    """Each span states it anew, and an alert is sent for where it began."""
    found: list[Any] = []

    class Alerts(BaseCallbackHandler):
        def on_chain_error(self, error, *, error_id, is_origin, origin, **kwargs):
            found.append((error_id, is_origin, origin))

        on_llm_error = on_chain_error

    register("alerts", Alerts)
    monkeypatch.setenv("CHAIN_CALLBACKS", "alerts")
    with (
        pytest.raises(ValueError, match="no such city"),
        tracer.start_as_current_span("invoke_agent", attributes=AGENT),
        tracer.start_as_current_span("chat", attributes=CHAT),
    ):
        raise ValueError("no such city")
    (inner, outer) = found

    assert inner[0] == outer[0]
    assert (True, ("forecaster", "m")) == inner[1:]
    assert (False, ("forecaster", "m")) == outer[1:]


def test_exception_that_was_dealt_with_is_no_error(tracer, heard):
    """A span may record one and go on."""
    span = tracer.start_span("chat", attributes=CHAT)
    span.record_exception(ValueError("tried again"))
    span.end()

    assert ["on_chat_model_start", "on_llm_end"] == heard.names()


@pytest.mark.parametrize(
    ("error", "event", "status"),
    [
        pytest.param(asyncio.CancelledError(), "on_llm_error", "cancelled", id="cancelled"),
        pytest.param(GeneratorExit(), "on_llm_end", "closed", id="closed"),
    ],
)
def test_what_is_no_failure_is_told_as_what_it_is(error, event, status, tracer, heard):
    """A cancelled task and a stream that was left alert nobody."""
    span = tracer.start_span("chat", attributes=CHAT)
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR))
    span.end()

    assert (event, status) == (heard.records[-1].name, heard.records[-1].status)


def test_guard_that_raises_stops_nothing(tracer, heard, monkeypatch, caplog):
    """The run is over; the other handlers hear all of it."""

    class Guard(BaseCallbackHandler):
        raise_error = True

        def on_tool_start(self, serialized, input_str, **kwargs):
            raise PermissionError("not this tool")

    register("guard", Guard)
    monkeypatch.setenv("CHAIN_CALLBACKS", "guard,heard")
    an_agent_runs(tracer)

    assert 6 == len(heard.records)
    assert "A handler raised PermissionError in a run that OpenTelemetry told of" in caplog.text


def test_content_is_shown_as_for_any_run(tracer, monkeypatch):
    """A handler that hears no content gets the counts, and not what was said."""
    found: list[Any] = []

    class Counting(BaseCallbackHandler):
        content = "none"

        def on_event(self, record):
            found.append(record)

    register("counting", Counting)
    monkeypatch.setenv("CHAIN_CALLBACKS", "counting")
    said = '[{"role": "user", "parts": [{"type": "text", "content": "a secret"}]}]'
    stated = {"gen_ai.input.messages": said, "gen_ai.usage.input_tokens": 7}
    tracer.start_span("chat", attributes={**CHAT, **stated}).end()
    usage = found[-1].payload["response"].generations[0][0].message.usage_metadata

    assert "a secret" not in repr(found)
    assert 7 == usage["input_tokens"]


def test_misconfigured_environment_is_said_and_costs_no_span(tracer, monkeypatch, caplog):
    """With `STRICT`, nobody can be told: the program goes on."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "nobody-has-this-name")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
    an_agent_runs(tracer)

    assert "Spans were not told as runs." in caplog.text
    assert "nobody-has-this-name" in caplog.text


def test_exporter_that_was_shut_down_takes_nothing(exporter, tracer, heard):
    """OpenTelemetry says so to whoever ends a span later."""
    exporter.shutdown()
    an_agent_runs(tracer)

    assert [] == heard.names()


def test_two_traces_at_once_are_two_trees(tracer, heard):
    """Spans of several requests come mixed up."""
    tops = [tracer.start_span("invoke_agent", trace.Context(), attributes=AGENT) for _ in "ab"]
    for top in tops:
        tracer.start_span("chat", trace.set_span_in_context(top), attributes=CHAT).end()
    for top in tops:
        top.end()

    assert ["chain forecaster\n  chat_model m"] * 2 == heard.trees()
