"""The plugin's promises on OpenAI's first interface, with the real client."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import openai

from chain_callbacks.testing import Reply
from chain_callbacks_clients.testing import QUESTION, Application, Call, ClientSuite
from chain_callbacks_openai import ChatOpenAI, instrument

USAGE = {
    "prompt_tokens": 16,
    "completion_tokens": 13,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "model-1-2026",
    "status": "completed",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "3", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {"input_tokens": 16, "output_tokens": 13, "total_tokens": 29},
}


def call(number: int, each: Call) -> dict[str, Any]:
    key, name, arguments = each
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"index": number, "id": key, "type": "function", "function": function}


class TestChatCompletions(ClientSuite):
    run_name = "openai.chat.completions"
    usage: ClassVar[dict[str, Any]] = {
        "input_tokens": 16,
        "output_tokens": 13,
        "total_tokens": 29,
        "input_token_details": {"cache_read": 8},
        "output_token_details": {"reasoning": 5},
    }

    def make_model(self, url: str, **options: Any) -> ChatOpenAI:
        return ChatOpenAI("model-1", base_url=f"{url}/v1", **options)

    def make_client(self, url: str, *, is_async: bool, **options: Any) -> Any:
        make: Any = openai.AsyncOpenAI if is_async else openai.OpenAI
        return make(base_url=f"{url}/v1", **options)

    def instrument(self, client: Any) -> Any:
        return instrument(client)

    def answer(self, text: str, calls: Sequence[Call] = ()) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if calls:
            message["tool_calls"] = [call(*each) for each in enumerate(calls)]
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "tool_calls" if calls else "stop",
        }
        return {**self.head("chat.completion"), "choices": [choice], "usage": USAGE}

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "model-1-2026"}

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self.head("chat.completion.chunk"), "choices": [choice], "usage": None}

    def events(self, words: Sequence[str], calls: Sequence[Call] = ()) -> list[Any]:
        events: list[Any] = [self.chunk({"role": "assistant", "content": ""})]
        events += [self.chunk({"content": word}) for word in words]
        for number, each in enumerate(calls):
            whole = call(number, each)
            arguments = whole["function"].pop("arguments")
            begun = {**whole, "function": {**whole["function"], "arguments": arguments[:5]}}
            rest = {"index": number, "function": {"arguments": arguments[5:]}}
            events += [self.chunk({"tool_calls": [begun]}), self.chunk({"tool_calls": [rest]})]
        events.append(self.chunk({}, "tool_calls" if calls else "stop"))
        events.append({**self.head("chat.completion.chunk"), "choices": [], "usage": USAGE})
        return [*events, "data: [DONE]\n\n"]

    def first_words(self, events: Sequence[Any], count: int) -> list[Any]:
        return list(events[: count + 1])

    def resource(self, client: Any) -> Any:
        return client.chat.completions

    def ask(self, resource: Any, **more: Any) -> Any:
        asked = {"model": "model-1", "messages": [{"role": "user", "content": QUESTION}]}
        if more.get("stream"):
            more["stream_options"] = {"include_usage": True}
        return resource.create(**{**asked, **more})

    def helper_stream(self, client: Any) -> Any:
        asked: Any = [{"role": "user", "content": QUESTION}]
        return client.chat.completions.stream(model="model-1", messages=asked)

    def text_of(self, answer: Any) -> str:
        return answer.choices[0].message.content  # type: ignore[no-any-return]

    def application(self) -> Application:
        whole, streamed = Reply(self.answer("1 + 2 = 3")), Reply(events=self.events(["1", "2"]))
        parsed = Reply(self.answer('{"total": 3}'))
        refused = Reply({"error": {"message": "This is no message."}}, 400)
        return Application(
            Path(__file__).with_name("applications") / "plain.py",
            lambda url: {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"{url}/v1"},
            [
                *(whole, streamed, parsed, streamed, whole, whole, Reply(RESPONSE), refused),
                *(whole, streamed, parsed, streamed, whole),
            ],
            [*[self.run_name] * 6, "openai.responses", *[self.run_name] * 6],
        )
