"""What is OpenAI's own: its second interface, several answers, refusals, tools of any form."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from chain_callbacks import attached
from chain_callbacks.runnables import AIMessage, HumanMessage, SystemMessage, ToolMessage
from chain_callbacks.testing import RecordingHandler, Reply, ScriptedServer
from chain_callbacks_openai import ChatOpenAI, instrument

ASKED: dict[str, Any] = {"model": "model-1", "messages": [{"role": "user", "content": "Hi"}]}
USAGE = {
    "input_tokens": 16,
    "output_tokens": 13,
    "total_tokens": 29,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens_details": {"reasoning_tokens": 5},
}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Lisbon"}',
    "status": "completed",
}
TEXT = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
}


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "model-1-2026",
        "status": status,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }


def completion(*contents: str) -> dict[str, Any]:
    choices = [
        {"index": n, "message": {"role": "assistant", "content": each}, "finish_reason": "stop"}
        for n, each in enumerate(contents)
    ]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "model-1"}
    usage = {"prompt_tokens": 16, "completion_tokens": 13, "total_tokens": 29}
    return {**head, "choices": choices, "usage": usage}


def client_of(server: ScriptedServer) -> openai.OpenAI:
    return instrument(openai.OpenAI(base_url=f"{server.url}/v1", api_key="none"))


def messages_of(recorder: RecordingHandler) -> list[AIMessage]:
    generations = recorder.records[-1].payload["response"].generations[0]
    return [each.message for each in generations]


def test_response_is_read_with_its_calls_and_counts(recorder: RecordingHandler) -> None:
    """Text, a call of a tool and the counts of the second interface are those of the first."""
    said: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "How is it?"}]},
        {**CALL},
        {"type": "function_call_output", "call_id": "call_1", "output": "Mild."},
        {"role": "critic", "content": "No message of ours has this role."},
    ]
    reply = Reply(response(output=[TEXT, CALL], usage=USAGE))
    with ScriptedServer(reply) as server, client_of(server) as client, attached(recorder):
        client.responses.create(model="model-1", instructions="Be brief.", input=said)

    call = {"name": "weather", "args": {"city": "Lisbon"}, "id": "call_1", "type": "tool_call"}
    assert [
        SystemMessage("Be brief."),
        HumanMessage("How is it?"),
        AIMessage("", tool_calls=[call]),  # type: ignore[list-item]
        ToolMessage("Mild.", tool_call_id="call_1"),
    ] == recorder.records[0].payload["messages"][0]
    (message,) = messages_of(recorder)
    assert ("I look.", [call]) == (message.text, message.tool_calls)
    assert {
        "input_tokens": 16,
        "output_tokens": 13,
        "total_tokens": 29,
        "input_token_details": {"cache_read": 8},
        "output_token_details": {"reasoning": 5},
    } == message.usage_metadata
    assert ("resp_1", "model-1-2026", "completed") == tuple(
        message.response_metadata[name] for name in ("id", "model", "stop_reason")
    )


def test_streamed_response_adds_up_to_the_same(recorder: RecordingHandler) -> None:
    """Its events give tokens, a call in pieces, and the counts at their end."""
    arguments = str(CALL["arguments"])
    place = {"item_id": "fc_1", "output_index": 1}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response("in_progress")},
        *(
            {
                "type": "response.output_text.delta",
                "item_id": "msg_1",
                "output_index": 0,
                "content_index": 0,
                "delta": word,
            }
            for word in ("I ", "look.")
        ),
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {**CALL, "arguments": ""},
        },
        {"type": "response.function_call_arguments.delta", **place, "delta": arguments[:5]},
        {"type": "response.function_call_arguments.delta", **place, "delta": arguments[5:]},
        {"type": "response.completed", "response": response(output=[TEXT, CALL], usage=USAGE)},
    ]
    numbered = [{**each, "sequence_number": n} for n, each in enumerate(events)]
    replies = (
        Reply(events=numbered),
        Reply(events=numbered),
        Reply(response(output=[TEXT, CALL], usage=USAGE)),
    )
    with ScriptedServer(*replies) as server, client_of(server) as client, attached(recorder):
        list(client.responses.create(model="model-1", input="Hi", stream=True))
        (streamed,) = messages_of(recorder)
        for event in client.responses.create(model="model-1", input="Hi", stream=True):
            if event.type == "response.completed":
                break
        client.responses.create(model="model-1", input="Hi")
    (whole,) = messages_of(recorder)

    assert 0 < streamed.response_metadata.pop("time_to_first_token")
    for name in ("content", "tool_calls", "usage_metadata", "response_metadata"):
        assert getattr(whole, name) == getattr(streamed, name)
    # Who leaves after the last event has left nothing.
    assert ["ok", "ok", "ok"] == [run.status for run in recorder.runs]


def test_several_answers_are_generations_of_one_run(recorder: RecordingHandler) -> None:
    """Each of `n` answers is there, whole and streamed, and tokens are counted once."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks = [
        {**head, "choices": [{"index": n, "delta": {"content": word}, "finish_reason": None}]}
        for word, n in (("a", 0), ("x", 1), ("b", 0), ("y", 1))
    ]
    replies = Reply(completion("ab", "xy")), Reply(events=[*chunks, "data: [DONE]\n\n"])
    with ScriptedServer(*replies) as server, client_of(server) as client, attached(recorder):
        client.chat.completions.create(**ASKED, n=2)
        first, second = messages_of(recorder)
        list(client.chat.completions.create(**ASKED, n=2, stream=True))

    assert ["ab", "xy"] == [first.text, second.text]
    assert first.usage_metadata is not None
    assert second.usage_metadata is None
    assert ["ab", "xy"] == [each.text for each in messages_of(recorder)]


def test_answer_that_a_program_cannot_use_keeps_its_counts(recorder: RecordingHandler) -> None:
    """Where the client's own parser refuses an answer, the run fails, and tells what came."""
    from pydantic import BaseModel, ValidationError

    class Sum(BaseModel):
        total: int

    reply = Reply(completion("no JSON"))
    with (
        ScriptedServer(reply) as server,
        client_of(server) as client,
        attached(recorder),
        pytest.raises(ValidationError),
    ):
        client.chat.completions.parse(**ASKED, response_format=Sum)

    assert ["chat_model openai.chat.completions error ValidationError"] == recorder.trees()
    (message,) = messages_of(recorder)
    assert message.usage_metadata is not None


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        ("auto", "auto"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_choice_of_a_tool_is_sent_as_openai_has_it(choice: str, sent: Any) -> None:
    """One word, or the name of a tool."""

    def weather(city: str) -> str:
        """Return the weather in a city."""
        return city

    with ScriptedServer(Reply(completion("Hi"))) as server:
        model = ChatOpenAI("model-1", base_url=f"{server.url}/v1", api_key="none")
        model.bind_tools([weather], tool_choice=choice).invoke("Hi")
        model.close()

    assert sent == server.received[0].body["tool_choice"]
    assert "weather" == server.received[0].body["tools"][0]["function"]["name"]


def test_call_of_azures_client_is_a_run(recorder: RecordingHandler) -> None:
    """It sends the same to another address, which it makes of the model."""
    with ScriptedServer(Reply(completion("Hi"))) as server, attached(recorder):
        client = openai.AzureOpenAI(azure_endpoint=server.url, api_version="1", api_key="none")
        with instrument(client):
            client.chat.completions.create(**ASKED)

    assert ["chat_model openai.chat.completions"] == recorder.trees()
    assert server.received[0].path.startswith("/openai/deployments/model-1/")


def test_calls_of_other_things_are_no_runs(recorder: RecordingHandler) -> None:
    """A list of models asks no model."""
    reply = Reply({"object": "list", "data": []})
    with ScriptedServer(reply) as server, client_of(server) as client, attached(recorder):
        client.models.list()

    assert () == recorder.records
