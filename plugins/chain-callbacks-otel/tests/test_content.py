"""How much of what was said is on a span: by our levels, and by OpenTelemetry's own variable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chain_callbacks import CallbackManager, policy
from chain_callbacks.runnables import (
    AIMessage,
    Document,
    FakeListChatModel,
    FakeToolCallingChatModel,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    create_agent,
    tool,
)
from chain_callbacks_otel import OtelHandler

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz123456"


@tool
def look_up(key: str) -> str:
    """Look a key up."""
    return f"value of {key}"


def run_all(handler: Any, word: str) -> None:
    call: Any = {"name": "look_up", "args": {"key": word}, "id": "c1"}
    model = FakeToolCallingChatModel([AIMessage("", tool_calls=[call]), f"it is {word}"])
    create_agent(model, [look_up], system_prompt=word).invoke(word, {"callbacks": [handler]})
    manager = CallbackManager([handler], tags=[word], metadata={"session_id": word})
    manager.on_retriever_start({"name": "r"}, word).on_retriever_end([Document(word, id=word)])
    manager.on_chain_start({"name": "c"}, {"x": word}).on_chain_error(ValueError(word))


def told(exported: Any) -> str:
    return str([(dict(s.attributes or {}), s.status.description) for s in exported.spans])


@pytest.mark.parametrize("variable", [None, "SPAN_ONLY", "SPAN_AND_EVENT"])
def test_nothing_of_what_was_said_is_on_a_span_by_default(
    exported: Any, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    """At the handler's own level, `none`, the variable shows nothing more."""
    if variable:
        monkeypatch.setenv(VARIABLE, variable)
    handler = OtelHandler()
    assert "none" == handler.content
    run_all(handler, "c4n4ry")
    handler.close()
    assert 6 == len(exported.spans)
    assert "c4n4ry" not in told(exported)


def test_redacted_content_is_on_spans_with_secrets_masked(exported: Any, otel: Any) -> None:
    """What is said is there, and what looks like a key is not."""
    run_all(policy(otel, content="redacted"), f"use {KEY} please")
    assert KEY not in told(exported)
    assert "please" in told(exported)


@pytest.mark.parametrize(
    ("variable", "is_on_spans"),
    [
        (None, True),
        ("", True),
        ("SPAN_ONLY", True),
        ("span_and_event", True),
        ("NO_CONTENT", False),
        ("EVENT_ONLY", False),
    ],
)
def test_variable_is_honoured_where_it_is_stricter(
    exported: Any, monkeypatch: pytest.MonkeyPatch, variable: str | None, is_on_spans: Any
) -> None:
    """Of a handler that is shown everything the variable keeps back what it says."""
    if variable is not None:
        monkeypatch.setenv(VARIABLE, variable)
    handler = OtelHandler()
    shown = policy(handler, content="full")
    list(FakeListChatModel(["c4n4ry"]).stream("c4n4ry", {"callbacks": [shown]}))
    CallbackManager([shown]).on_tool_start({"name": "t"}, "c4n4ry").on_tool_end("c4n4ry")
    handler.close()
    assert is_on_spans is ("c4n4ry" in told(exported))


def test_content_that_is_kept_back_is_kept_back_from_openinference_too(
    exported: Any, openinference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One variable for all that is on a span."""
    monkeypatch.setenv(VARIABLE, "NO_CONTENT")
    manager = CallbackManager([policy(openinference, content="full")])
    manager.on_tool_start({"name": "t"}, "c4n4ry").on_tool_end("c4n4ry")
    manager.on_retriever_start({"name": "r"}, "c4n4ry").on_retriever_end([Document("c4n4ry")])
    FakeListChatModel(["c4n4ry"]).invoke("c4n4ry", {"callbacks": manager})
    offered = [{"name": "c4n4ry"}]
    [run] = manager.on_chat_model_start(
        {"name": "M"}, [[]], invocation_params={"tools": offered, "user": "c4n4ry"}
    )
    run.on_llm_end(None)
    manager.on_chain_start({"name": "c"}, {}, metadata={"customer": "c4n4ry"}).on_chain_end({})
    assert 5 == len(exported.spans)
    assert "c4n4ry" not in told(exported)


def test_messages_are_written_as_the_conventions_have_them(exported: Any, shown: Any) -> None:
    """Roles, parts, calls of tools and their results."""
    call: Any = {"name": "look_up", "args": {"key": "a"}, "id": "c1"}
    model = FakeListChatModel([AIMessage("", tool_calls=[call])])
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    thought = {"type": "thinking", "thinking": "hm"}
    asked = [
        SystemMessage("be brief"),
        HumanMessage([{"type": "text", "text": "what is it?"}, picture, {"type": "odd"}]),
        AIMessage([thought, "a key"], tool_calls=[call]),
        ToolMessage("found", tool_call_id="c1"),
    ]
    model.invoke(asked, {"callbacks": [shown]})
    found = exported.attributes("chat")
    parts = [
        (each["role"], [{k: v for k, v in part.items() if v is not None} for part in each["parts"]])
        for each in json.loads(found["gen_ai.input.messages"])
    ]
    asks = {"type": "tool_call", "name": "look_up", "id": "c1", "arguments": {"key": "a"}}
    uri = {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"}
    assert [
        ("system", [{"type": "text", "content": "be brief"}]),
        ("user", [{"type": "text", "content": "what is it?"}, uri]),
        (
            "assistant",
            [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "a key"}, asks],
        ),
        ("tool", [{"type": "tool_call_response", "response": "found", "id": "c1"}]),
    ] == parts
    [said] = json.loads(found["gen_ai.output.messages"])
    assert [asks] == said["parts"]


class Odd:
    """Of a class that nobody can write as JSON, nor copy."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("it is one of a kind")


def test_values_of_a_programs_own_classes_lose_no_span(exported: Any, shown: Any) -> None:
    """What is no JSON is left out or told as text; all else is on the span."""
    odd = Odd()
    call: Any = {"name": "look_up", "args": {"key": odd, "more": 1}, "id": "c1"}
    answer = AIMessage("well", tool_calls=[call])
    FakeListChatModel([answer]).invoke([answer], {"callbacks": [shown]})
    manager = CallbackManager([shown])
    manager.on_tool_start({"name": "t"}, "x", inputs={"key": odd}).on_tool_end(odd)
    manager.on_chain_start({"name": "c"}, odd).on_chain_end({"messages": [odd, odd]})
    assert ["chat", "execute_tool t", "invoke_workflow c"] == [s.name for s in exported.spans]
    said = json.loads(exported.attributes("chat")["gen_ai.output.messages"])
    assert "well" == said[0]["parts"][0]["content"]
    assert 1 == said[0]["parts"][1]["arguments"]["more"]


def test_values_of_a_programs_own_classes_lose_nothing_of_openinference(
    exported: Any, openinference: Any
) -> None:
    """What is no JSON is left out or told as text in these attributes, too."""
    odd = Odd()
    round_and_round: Any = {"more": 1}
    round_and_round["again"] = round_and_round
    call: Any = {"name": "look_up", "args": {"key": odd}, "id": 7}
    manager = CallbackManager([policy(openinference, content="full")])
    [run] = manager.on_chat_model_start(
        {"name": "M"},
        [[AIMessage("well", tool_calls=[call])]],
        invocation_params={"tools": [odd, {(1, 2): odd}], "how": b"raw", "temperature": 0},
        metadata={"odd": odd, "plain": 1},
    )
    run.on_llm_end(None)
    manager.on_chain_start({"name": "c"}, {(1, 2): odd, "more": 1}).on_chain_end(round_and_round)
    found = exported.attributes("chat")
    assert 0 == json.loads(found["llm.invocation_parameters"])["temperature"]
    assert 1 == json.loads(found["metadata"])["plain"]
    assert "ok" == found["chain_callbacks.run.status"]
    chain = exported.attributes("invoke_workflow c")
    assert '{"more": 1}' == chain["input.value"] == chain["output.value"]


def test_tools_agents_and_retrievers_have_theirs(exported: Any, shown: Any) -> None:
    """Arguments and results, messages in and out, queries and what was found."""
    run_all(shown, "it")
    call = exported.attributes("execute_tool look_up")
    assert ('{"key":"it"}', "value of it") == (
        call["gen_ai.tool.call.arguments"],
        call["gen_ai.tool.call.result"],
    )
    agent = exported.attributes("invoke_agent agent")
    assert [{"content": "it is it", "type": "text"}] == (
        json.loads(agent["gen_ai.output.messages"])[0]["parts"]
    )
    found = exported.attributes("retrieval")
    assert "it" == found["gen_ai.retrieval.query.text"]
    assert [{"id": "it", "score": None}] == json.loads(found["gen_ai.retrieval.documents"])
    definitions = json.loads(
        next(s for s in exported.spans if s.name == "chat").attributes["gen_ai.tool.definitions"]
    )
    assert ["look_up"] == [each["name"] for each in definitions]
