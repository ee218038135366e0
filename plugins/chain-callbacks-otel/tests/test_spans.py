"""What a span says: its name, kind, status and attributes, by the GenAI conventions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.genai.handler import TelemetryHandler

from chain_callbacks import CallbackManager, policy
from chain_callbacks.hosts import treat_as_interruption
from chain_callbacks.runnables import (
    AIMessage,
    ChatGeneration,
    Document,
    FakeListChatModel,
    FakeToolCallingChatModel,
    HumanMessage,
    LLMResult,
    RunnableLambda,
    ToolMessage,
    create_agent,
    tool,
)
from chain_callbacks.testing import RecordingHandler

USAGE: Any = {
    "input_tokens": 7,
    "output_tokens": 3,
    "total_tokens": 10,
    "input_token_details": {"cache_read": 2, "cache_creation": 1},
    "output_token_details": {"reasoning": 1},
}
SAID = {"model_name": "m-1-2026", "finish_reason": "stop", "id": "resp-1"}
LS = {"ls_provider": "mistralai", "ls_model_name": "m-1", "ls_temperature": 0.5}
PARAMS = {"max_tokens": 9, "top_p": 0.9, "seed": 3, "stop": ["END"], "model": "other"}


def answer(*texts: str, **metadata: Any) -> LLMResult:
    told: Any = {"response_metadata": {**SAID, **metadata}, "usage_metadata": USAGE}
    return LLMResult([[ChatGeneration(AIMessage(text, **told)) for text in texts]])


def call_model(handler: Any, response: Any = None, **metadata: Any) -> None:
    manager = CallbackManager([handler])
    [run] = manager.on_chat_model_start(
        {"name": "M"}, [[]], invocation_params=PARAMS, metadata={**LS, **metadata}
    )
    run.on_llm_end(response or answer("yes"))


def test_chat_is_named_by_its_model_and_has_what_is_known_of_it(exported: Any, otel: Any) -> None:
    """Provider, models, settings, tokens and finish reasons are there without any content."""
    call_model(otel)
    assert SpanKind.CLIENT is exported.span("chat m-1").kind
    assert StatusCode.UNSET is exported.span("chat m-1").status.status_code
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "m-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 3,
        "gen_ai.response.model": "m-1-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.cache_write.input_tokens": 1,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "chain_callbacks.run.type": "chat_model",
        "chain_callbacks.run.status": "ok",
    } == exported.attributes("chat m-1")


def test_chat_has_more_where_content_is_shown(exported: Any, shown: Any) -> None:
    """The id of the answer, stop sequences and the conversation are not shown."""
    call_model(shown, thread_id="t-1")
    found = exported.attributes("chat m-1")
    assert ("resp-1", ("END",), "t-1") == (
        found["gen_ai.response.id"],
        found["gen_ai.request.stop_sequences"],
        found["gen_ai.conversation.id"],
    )


def test_several_answers_have_their_reasons_and_are_counted_once(exported: Any, otel: Any) -> None:
    """Each generation says why it ended; the usage is the call's."""
    call_model(otel, answer("a", "b", finish_reason="length"))
    found = exported.attributes("chat m-1")
    assert ("length", "length") == found["gen_ai.response.finish_reasons"]
    assert 7 == found["gen_ai.usage.input_tokens"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"token_usage": {"prompt_tokens": 5, "completion_tokens": 2}}, (5, 2)),
        ({"usage": {"input_tokens": 5, "output_tokens": 2}}, (5, 2)),
        ({"token_usage": {"prompt_tokens": "many"}}, (None, None)),
        (None, (None, None)),
    ],
)
def test_usage_is_found_where_elder_models_put_it(
    exported: Any, otel: Any, output: Any, expected: Any
) -> None:
    """The counts of the whole call stand for those of a message that has none."""
    result = LLMResult([[ChatGeneration(AIMessage("x"))]], output)
    call_model(otel, result)
    found = exported.attributes("chat m-1")
    names = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    assert expected == tuple(found.get(name) for name in names)


def test_text_model_tool_retriever_and_embeddings_have_their_own_names(
    exported: Any, otel: Any
) -> None:
    """Each operation has the name, the kind and the attributes of its convention."""
    manager = CallbackManager([otel])
    [text] = manager.on_llm_start({"name": "M"}, ["x"], invocation_params={"model": "t-1"})
    text.on_llm_end(answer("yes"))
    manager.on_tool_start({"name": "add"}, "1", tool_call_id="call-1").on_tool_end("2")
    manager.on_retriever_start({"name": "R"}, "q").on_retriever_end([])
    embeddings = manager.on_embeddings_start(
        {"name": "E"}, ["x"], metadata={"ls_model_name": "e-1"}
    )
    embeddings.on_embeddings_end([[0.1, 0.2]])

    assert [
        ("text_completion t-1", SpanKind.CLIENT),
        ("execute_tool add", SpanKind.INTERNAL),
        ("retrieval", SpanKind.CLIENT),
        ("embeddings e-1", SpanKind.CLIENT),
    ] == [(span.name, span.kind) for span in exported.spans]
    assert {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call-1",
        "chain_callbacks.run.type": "tool",
        "chain_callbacks.run.status": "ok",
    } == exported.attributes("execute_tool add")


def test_agent_is_an_agent_and_another_root_is_a_workflow(
    exported: Any, otel: Any, recorder: RecordingHandler, same_runs: Any
) -> None:
    """The tree of spans is the tree of runs; steps that are no operation have their own names."""

    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    calls: Any = [{"name": "add", "args": {"a": 1, "b": 2}, "id": f"c{n}"} for n in (1, 2)]
    model = FakeToolCallingChatModel([AIMessage("", tool_calls=calls), "3"])
    agent = create_agent(model, [add], name="sums")
    chain = RunnableLambda(lambda x: x, name="clean") | agent
    chain.invoke("1 + 2?", {"callbacks": [otel, recorder]})
    assert (
        "invoke_workflow RunnableSequence\n"
        "  clean\n"
        "  invoke_agent sums\n"
        "    chat\n"
        "    execute_tool add\n"
        "    execute_tool add\n"
        "    chat"
    ) == exported.tree()
    same_runs(exported, recorder)
    assert "sums" == exported.attributes("invoke_agent sums")["gen_ai.agent.name"]


@pytest.mark.parametrize(
    ("serialized", "metadata", "expected"),
    [
        ({"id": ["langchain", "agents", "AgentExecutor"]}, {}, "invoke_agent"),
        ({}, {"lc_agent_name": "it"}, "invoke_agent"),
        ({}, {"lc_agent_name": "another"}, "invoke_workflow"),
        ({}, {"ls_integration": "langchain_create_agent"}, "invoke_agent"),
        ({}, {"ls_integration": "langgraph"}, "invoke_workflow"),
    ],
)
def test_agents_of_langchain_are_known_by_what_they_say(
    exported: Any, otel: Any, serialized: Any, metadata: Any, expected: str
) -> None:
    """By the class, by the agent's own name, by who made it; never by a word in a name."""
    manager = CallbackManager([otel])
    run = manager.on_chain_start({"name": "it", **serialized}, {}, metadata=metadata)
    run.get_child().on_chain_start({"name": "node"}, {}, metadata=metadata).on_chain_end(1)
    run.on_chain_end(1)
    assert f"{expected} it\n  node" == exported.tree()


@pytest.mark.parametrize(
    ("content", "expected"),
    [("none", ""), ("redacted", "no answer for ann"), ("full", "no answer for ann")],
)
def test_error_is_said_by_its_class_and_by_its_text_where_content_is_shown(
    exported: Any, otel: Any, content: Any, expected: str
) -> None:
    """Without content the class is all that is said, on each run that the exception left."""
    model = FakeListChatModel([ConnectionError("no answer for ann")])
    chain = RunnableLambda(lambda x: x, name="ask") | model
    with pytest.raises(ConnectionError):
        chain.invoke("x", {"callbacks": [policy(otel, content=content)]})
    for name in ("chat", "invoke_workflow RunnableSequence"):
        span = exported.span(name)
        assert (StatusCode.ERROR, expected) == (
            span.status.status_code,
            span.status.description or "",
        )
        assert "ConnectionError" == exported.attributes(name)["error.type"]
        assert "error" == exported.attributes(name)["chain_callbacks.run.status"]
    assert StatusCode.UNSET is exported.span("ask").status.status_code


def test_step_that_fails_has_its_error_by_its_full_name(exported: Any, otel: Any) -> None:
    """A step that is no operation is marked as the others are."""

    def fail(value: Any) -> Any:
        raise OddError(value)

    chain = RunnableLambda(fail, name="fails") | RunnableLambda(lambda x: x)
    with pytest.raises(OddError):
        chain.invoke("x", {"callbacks": [otel]})
    assert StatusCode.ERROR is exported.span("fails").status.status_code
    assert f"{__name__}.OddError" == exported.attributes("fails")["error.type"]


class OddError(Exception):
    pass


def test_run_that_recovers_is_no_error(exported: Any, otel: Any) -> None:
    """A retry that succeeds leaves its run unset, and is an event on it."""
    model = FakeListChatModel([OSError("once"), "yes"]).with_retry(stop_after_attempt=2)
    model.invoke("x", {"callbacks": [otel]})
    root = exported.spans[0]
    assert StatusCode.UNSET is root.status.status_code
    assert [("retry", {"attempt": 1})] == [(e.name, dict(e.attributes)) for e in root.events]
    assert [StatusCode.ERROR, StatusCode.UNSET] == [
        span.status.status_code for span in exported.spans if span.name == "chat"
    ]


def test_cancelled_run_is_told_as_such_and_is_no_failure(exported: Any, otel: Any) -> None:
    """Its class is said; the status stays unset, as of the API's own spans."""

    async def main() -> None:
        begun = asyncio.Event()

        async def work(value: Any) -> Any:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            RunnableLambda(work, name="waits").ainvoke(1, {"callbacks": [otel]})
        )
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    span = exported.span("invoke_workflow waits")
    assert StatusCode.UNSET is span.status.status_code
    found = exported.attributes(span.name)
    assert "asyncio.exceptions.CancelledError" == found["error.type"]
    assert "cancelled" == found["chain_callbacks.run.status"]


def test_paused_run_is_no_failure(exported: Any, otel: Any) -> None:
    """An exception by which a host pauses says nothing of errors."""

    class PauseError(Exception):
        pass

    treat_as_interruption(PauseError)

    def pause(value: Any) -> Any:
        raise PauseError

    with pytest.raises(PauseError):
        RunnableLambda(pause, name="asks").invoke(1, {"callbacks": [otel]})
    found = exported.attributes("invoke_workflow asks")
    assert StatusCode.UNSET is exported.span("invoke_workflow asks").status.status_code
    assert ("interrupted", None) == (found["chain_callbacks.run.status"], found.get("error.type"))


def test_stream_that_is_left_has_what_was_read(exported: Any, shown: Any) -> None:
    """Its span ends when it is closed, as streamed, without an error."""
    flow = FakeListChatModel(["one two three"]).stream("x", {"callbacks": [shown]})
    next(flow)
    flow.close()
    found = exported.attributes("chat")
    assert StatusCode.UNSET is exported.span("chat").status.status_code
    assert ("closed", True) == (found["chain_callbacks.run.status"], found["gen_ai.request.stream"])
    assert "one " in found["gen_ai.output.messages"]
    assert "two" not in found["gen_ai.output.messages"]


def test_time_to_the_first_chunk_is_on_the_span_of_a_stream(exported: Any, otel: Any) -> None:
    """It is a number of seconds, taken where the first token was told."""
    list(FakeListChatModel(["one two"]).stream("x", {"callbacks": [otel]}))
    seconds = exported.span("chat").attributes["gen_ai.response.time_to_first_chunk"]
    assert isinstance(seconds, float)


def test_events_of_the_application_are_on_the_span_of_their_run(exported: Any, otel: Any) -> None:
    """What an application says of a run is an event with its name, and without its data."""
    manager = CallbackManager([otel])
    run = manager.on_chain_start({"name": "it"}, 1)
    run.on_custom_event("cache_hit", {"key": "c4n4ry"})
    run.on_chain_end(2)
    [event] = exported.span("invoke_workflow it").events
    assert ("cache_hit", {}) == (event.name, dict(event.attributes))


def test_run_whose_end_is_never_told_ends_as_lost(
    exported: Any, otel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A net for ends that do not come: the span is exported all the same."""
    monkeypatch.setattr(type(otel), "max_runs", 1)
    for name in ("first", "second"):
        CallbackManager([otel]).on_chain_start({"name": name}, 1)
    assert "lost" == exported.attributes("invoke_workflow first")["chain_callbacks.run.status"]


def test_call_that_another_instrumentation_reports_is_reported_once(
    exported: Any, otel: Any
) -> None:
    """Inside of a model's run an instrumentation that uses the same library adds to our span."""
    library = TelemetryHandler(instrumentation_scope_name="another")

    class Model(FakeListChatModel):
        def _generate(self, messages: Any, **kwargs: Any) -> Any:
            with library.inference("openai", request_model="m-1") as call:
                call.response_id = "resp-1"
                return super()._generate(messages, **kwargs)

    Model(["yes"]).invoke("x", {"callbacks": [otel]})
    assert "chat" == exported.tree()
    assert "resp-1" == exported.attributes("chat")["gen_ai.response.id"]


def test_model_that_asks_another_has_both_spans(
    exported: Any, otel: Any, recorder: RecordingHandler, same_runs: Any
) -> None:
    """Two runs of ours are two spans, also where the one is inside of the other."""
    inner = FakeListChatModel(["yes"])

    class Router(FakeListChatModel):
        def _generate(self, messages: Any, **kwargs: Any) -> Any:
            return inner.invoke(messages)

    Router(["unused"]).invoke("x", {"callbacks": [otel, recorder]})
    assert "chat\n  chat" == exported.tree()
    same_runs(exported, recorder)


def test_openinference_is_told_on_the_same_spans(exported: Any, openinference: Any) -> None:
    """A second set of names for the same facts, and content where it is shown."""
    call_model(policy(openinference, content="full"), session_id="s-1")
    found = exported.attributes("chat m-1")
    assert "chat" == found["gen_ai.operation.name"]
    names = ("openinference.", "llm.", "input.", "output.", "session.", "metadata")
    assert {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m-1",
        "llm.provider": "mistralai",
        "llm.system": "mistralai",
        "llm.invocation_parameters": json.dumps(PARAMS),
        "llm.finish_reason": "stop",
        "llm.token_count.prompt": 7,
        "llm.token_count.prompt_details.cache_read": 2,
        "llm.token_count.prompt_details.cache_write": 1,
        "llm.token_count.completion": 3,
        "llm.token_count.completion_details.reasoning": 1,
        "llm.token_count.total": 10,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "yes",
        "output.value": "yes",
        "output.mime_type": "text/plain",
        "session.id": "s-1",
        "metadata": json.dumps({**LS, "session_id": "s-1"}),
    } == {key: value for key, value in found.items() if key.startswith(names)}


def test_openinference_has_the_tools_of_a_call_and_the_ids_that_join_them(
    exported: Any, openinference: Any
) -> None:
    """What a model may call, what it called, and which result is of which call."""
    call: Any = {"name": "add", "args": {"a": 1}, "id": "c1"}
    asked = [
        HumanMessage("1 + 1?", name="ann"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("2", tool_call_id="c1", name="add"),
    ]
    offered = {"type": "function", "function": {"name": "add", "description": "Add."}}
    manager = CallbackManager([policy(openinference, content="full")])
    [run] = manager.on_chat_model_start(
        {"name": "M"}, [asked], invocation_params={"tools": [offered], "temperature": 0}
    )
    run.on_llm_end(LLMResult([[ChatGeneration(AIMessage("", tool_calls=[call]))]]))
    manager.on_tool_start({"name": "add"}, "1", tool_call_id="c1").on_tool_end("2")
    found = exported.attributes("chat")
    said = "llm.input_messages"
    assert ("ann", "c1", "c1", "add", "c1") == (
        found[f"{said}.0.message.name"],
        found[f"{said}.1.message.tool_calls.0.tool_call.id"],
        found[f"{said}.2.message.tool_call_id"],
        found[f"{said}.2.message.name"],
        found["llm.output_messages.0.message.tool_calls.0.tool_call.id"],
    )
    assert offered == json.loads(found["llm.tools.0.tool.json_schema"])
    assert {"temperature": 0} == json.loads(found["llm.invocation_parameters"])
    assert "c1" == exported.attributes("execute_tool add")["tool.id"]


def test_openinference_knows_whose_interface_it_is_and_guesses_none(
    exported: Any, openinference: Any
) -> None:
    """A provider whose models are asked in the way of another has that one's name as system."""
    for provider in ("azure_openai", "ours"):
        call_model(openinference, ls_provider=provider)
    assert ["openai", None] == [span.attributes.get("llm.system") for span in exported.spans]


def test_openinference_has_a_kind_for_each_run(exported: Any, openinference: Any) -> None:
    """Agents, tools, retrievers, embeddings and chains are told apart."""
    manager = CallbackManager([policy(openinference, content="full")])
    root = manager.on_chain_start(
        {"name": "a", "id": ["Agent"]}, {"messages": [HumanMessage("hi")]}
    )
    inner = root.get_child()
    inner.on_tool_start({"name": "t"}, "1").on_tool_end(AIMessage("2"))
    inner.on_retriever_start({"name": "r"}, "q").on_retriever_end([Document("found")])
    inner.on_embeddings_start({"name": "e"}, ["x"]).on_embeddings_end([[0.1]])
    inner.on_chain_start({"name": "c"}, {"x": 1}).on_chain_end({"y": 2})
    root.on_chain_end("bye")
    kinds = [span.attributes["openinference.span.kind"] for span in exported.spans]
    assert ["AGENT", "TOOL", "RETRIEVER", "EMBEDDING", "CHAIN"] == kinds
    values = [
        (span.attributes.get("input.value"), span.attributes.get("output.value"))
        for span in exported.spans
    ]
    asked = '{"messages": [{"role": "human", "content": "hi"}]}'
    assert (asked, "bye") == values[0]
    assert [("1", "2"), ('{"x": 1}', '{"y": 2}')] == [values[1], values[4]]
    found = exported.attributes("retrieval")
    assert "found" == found["retrieval.documents.0.document.content"]


def test_openinference_shows_no_content_that_the_handler_is_not_shown(
    exported: Any, openinference: Any
) -> None:
    """At `none` there are names, kinds and counts."""
    otel = policy(openinference, content="none")
    call_model(otel, answer("c4n4ry"), customer="c4n4ry")
    manager = CallbackManager([otel])
    offered = [{"name": "c4n4ry", "description": "c4n4ry"}]
    [run] = manager.on_chat_model_start(
        {"name": "M"},
        [[HumanMessage("c4n4ry", name="c4n4ry")]],
        invocation_params={"tools": offered, "stop": ["c4n4ry"], "temperature": 0},
    )
    run.on_llm_end(answer("c4n4ry"))
    manager.on_tool_start({"name": "t"}, "c4n4ry").on_tool_end("c4n4ry")
    told = [dict(span.attributes) for span in exported.spans]
    assert "c4n4ry" not in str(told)
    assert ["LLM", "LLM", "TOOL"] == [each["openinference.span.kind"] for each in told]
    assert {"temperature": 0} == json.loads(told[1]["llm.invocation_parameters"])
