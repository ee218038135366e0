"""What is Anthropic's own: thoughts, blocks beyond text, tools, other credentials."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest

from chain_callbacks import attached
from chain_callbacks.runnables import AIMessage, HumanMessage, ToolMessage
from chain_callbacks.runnables.chunks import combined
from chain_callbacks.testing import RecordingHandler, Reply, ScriptedServer
from chain_callbacks_anthropic import ChatAnthropic, instrument

ASKED: dict[str, Any] = {
    "model": "model-1",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}
HEAD = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "model-1-2026",
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 16, "output_tokens": 13},
}
THOUGHT = {"type": "thinking", "thinking": "A city is named.", "signature": "c2ln"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Lisbon"}}


def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is mild in {city}."


def message(*content: Any) -> dict[str, Any]:
    return {**HEAD, "content": content}


def model_of(server: ScriptedServer, **options: Any) -> ChatAnthropic:
    return ChatAnthropic("model-1", base_url=server.url, api_key="none", **options)


def client_of(server: ScriptedServer) -> anthropic.Anthropic:
    return instrument(anthropic.Anthropic(base_url=server.url, api_key="none"))


def test_thought_goes_back_with_its_signature_before_its_call() -> None:
    """A conversation with a thought in it is sent as it came: it is refused otherwise."""
    reply, last = Reply(message(THOUGHT, CALL)), Reply(message({"type": "text", "text": "Mild."}))
    with ScriptedServer(reply, last) as server:
        model = model_of(server)
        answer = model.invoke("How is it?")
        result = ToolMessage("It is mild.", tool_call_id="toolu_1")
        model.invoke([HumanMessage("How is it?"), answer, result])
        model.close()

    assert [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": [THOUGHT, CALL]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "It is mild."}
            ],
        },
    ] == server.received[1].body["messages"]


def test_streamed_thought_adds_up_to_the_same() -> None:
    """Its text and its signature come in pieces, before the text of the answer."""
    deltas = [
        {"type": "thinking_delta", "thinking": "A city "},
        {"type": "thinking_delta", "thinking": "is named."},
        {"type": "signature_delta", "signature": "c2ln"},
    ]
    begun = {"type": "thinking", "thinking": "", "signature": ""}
    stopped = {"stop_reason": "end_turn", "stop_sequence": None}
    events = [
        {"type": "message_start", "message": {**message(), "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": begun},
        *({"type": "content_block_delta", "index": 0, "delta": each} for each in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "text_delta", "text": "Mild."},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": stopped, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    with ScriptedServer(Reply(events=events), Reply(message(CALL))) as server:
        model = model_of(server)
        answer = combined(list(model.stream("Hi")))
        model.invoke([HumanMessage("Hi"), answer, HumanMessage("And?")])
        model.close()

    assert "Mild." == answer.text
    assert 20 == answer.usage_metadata["output_tokens"]
    assert [THOUGHT, {"type": "text", "text": "Mild."}] == server.received[1].body["messages"][1][
        "content"
    ]


def test_results_of_several_tools_are_one_turn() -> None:
    """Anthropic wants all of them in the message after the calls, a failed one marked."""
    calls: list[Any] = [
        {"name": "weather", "args": {"city": city}, "id": city, "type": "tool_call"}
        for city in ("Lisbon", "Porto")
    ]
    with ScriptedServer(Reply(message(CALL))) as server:
        model = model_of(server)
        model.invoke(
            [
                HumanMessage("How is it?"),
                AIMessage("", tool_calls=calls),
                ToolMessage("Mild.", tool_call_id="Lisbon"),
                ToolMessage("No city.", tool_call_id="Porto", status="error"),
                HumanMessage("Well?"),
            ]
        )
        model.close()

    user, assistant, results = server.received[0].body["messages"]
    assert ["user", "assistant", "user"] == [user["role"], assistant["role"], results["role"]]
    assert ["tool_result", "tool_result", "text"] == [each["type"] for each in results["content"]]
    assert [None, True, None] == [each.get("is_error") for each in results["content"]]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("any", {"type": "any"}), ("weather", {"type": "tool", "name": "weather"})],
)
def test_tools_are_sent_as_anthropic_has_them(choice: str, sent: Any) -> None:
    """A function becomes a name, a description and a schema; the choice is one word or a name."""
    with ScriptedServer(Reply(message(CALL))) as server:
        model = model_of(server)
        answer = model.bind_tools([weather], tool_choice=choice).invoke("Hi")
        model.close()

    body = server.received[0].body
    assert sent == body["tool_choice"]
    (tool,) = body["tools"]
    assert ("weather", "Return the weather in a city.") == (tool["name"], tool["description"])
    assert ["city"] == [*tool["input_schema"]["properties"]]
    assert [{"city": "Lisbon"}] == [call["args"] for call in answer.tool_calls]


def test_token_of_the_environment_is_a_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else the client takes for a credential is enough."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "t0ken")
    with ScriptedServer(Reply(message({"type": "text", "text": "Hi."}))) as server:
        model = ChatAnthropic("model-1", base_url=server.url)
        assert "Hi." == model.invoke("Hi").text
        model.close()

    assert "Bearer t0ken" == server.received[0].headers["authorization"]


def test_error_in_the_middle_of_a_stream_is_that_of_the_run(recorder: RecordingHandler) -> None:
    """Anthropic says in an event of a stream that it is overloaded."""
    events = [
        {"type": "message_start", "message": {**message(), "stop_reason": None}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    ]
    with ScriptedServer(Reply(events=events)) as server, client_of(server) as client:
        with attached(recorder):
            stream = client.messages.create(**ASKED, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="Overloaded") as raised:
            list(stream)

    assert raised.value is recorder.records[-1].payload["error"]
    counted = recorder.records[-1].payload["response"].generations[0][0].message.usage_metadata
    assert 16 == counted["input_tokens"]


@pytest.mark.skipif(
    not hasattr(anthropic.resources.Messages, "parse"), reason="this client parses no answers"
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_parsed_answer_is_one_run(recorder: RecordingHandler, *, is_async: bool) -> None:
    """The client's own parsing asks once, and gives what it gave."""
    from pydantic import BaseModel

    class Sum(BaseModel):
        total: int

    def parse(url: str) -> Any:
        with instrument(anthropic.Anthropic(base_url=url, api_key="none")) as client:
            return client.messages.parse(**ASKED, output_format=Sum)

    async def aparse(url: str) -> Any:
        async with instrument(anthropic.AsyncAnthropic(base_url=url, api_key="none")) as client:
            return await client.messages.parse(**ASKED, output_format=Sum)

    reply = Reply(message({"type": "text", "text": '{"total": 3}'}))
    with ScriptedServer(reply) as server, attached(recorder):
        answer = asyncio.run(aparse(server.url)) if is_async else parse(server.url)

    assert Sum(total=3) == answer.parsed_output
    assert ["chat_model anthropic.messages"] == recorder.trees()


def test_call_of_a_client_for_another_cloud_is_a_run(recorder: RecordingHandler) -> None:
    """It sends the same to another address, which it makes of the model."""
    reply = Reply(message({"type": "text", "text": "Hi."}))
    with ScriptedServer(reply) as server, attached(recorder):
        client = anthropic.AnthropicVertex(
            region="north",
            project_id="bees",
            access_token="none",  # noqa: S106  It is none.
            base_url=server.url,
        )
        with instrument(client):
            client.messages.create(**ASKED)

    assert ["chat_model anthropic.messages"] == recorder.trees()
    assert server.received[0].path.startswith("/projects/bees/")


def test_counting_tokens_is_no_run(recorder: RecordingHandler) -> None:
    """A call that asks no model is left alone."""
    reply = Reply({"input_tokens": 3})
    with ScriptedServer(reply) as server, client_of(server) as client, attached(recorder):
        client.messages.count_tokens(model="model-1", messages=ASKED["messages"])

    assert () == recorder.records
