"""The plugin's promises on Anthropic's messages, with the real client."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anthropic

from chain_callbacks.testing import Reply
from chain_callbacks_anthropic import ChatAnthropic, instrument
from chain_callbacks_clients.testing import QUESTION, Application, Call, ClientSuite

USAGE = {
    "input_tokens": 6,
    "cache_read_input_tokens": 8,
    "cache_creation_input_tokens": 2,
    "output_tokens": 13,
}


def tool_use(call: Call) -> dict[str, Any]:
    key, name, arguments = call
    return {"type": "tool_use", "id": key, "name": name, "input": dict(arguments)}


class TestMessages(ClientSuite):
    run_name = "anthropic.messages"
    usage: ClassVar[dict[str, Any]] = {
        "input_tokens": 16,
        "output_tokens": 13,
        "total_tokens": 29,
        "input_token_details": {"cache_read": 8, "cache_creation": 2},
    }

    def make_model(self, url: str, **options: Any) -> ChatAnthropic:
        return ChatAnthropic("model-1", base_url=url, **options)

    def make_client(self, url: str, *, is_async: bool, **options: Any) -> Any:
        make: Any = anthropic.AsyncAnthropic if is_async else anthropic.Anthropic
        return make(base_url=url, **options)

    def instrument(self, client: Any) -> Any:
        return instrument(client)

    def answer(self, text: str, calls: Sequence[Call] = ()) -> dict[str, Any]:
        blocks: list[Any] = [{"type": "text", "text": text}] if text else []
        blocks += map(tool_use, calls)
        stopped = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
        return {**self.head(), "content": blocks, **stopped, "usage": USAGE}

    def head(self) -> dict[str, Any]:
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": "model-1-2026"}

    def events(self, words: Sequence[str], calls: Sequence[Call] = ()) -> list[Any]:
        message = {
            **self.head(),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            # What is known before the answer; the rest is reported when it is complete.
            "usage": {**USAGE, "output_tokens": 1},
        }
        events: list[Any] = [{"type": "message_start", "message": message}, {"type": "ping"}]
        if words:
            events += self.block(
                0,
                {"type": "text", "text": ""},
                [{"type": "text_delta", "text": word} for word in words],
            )
        for index, call in enumerate(calls, start=bool(words)):
            arguments = json.dumps(call[2])
            events += self.block(
                index,
                {**tool_use(call), "input": {}},
                [
                    {"type": "input_json_delta", "partial_json": part}
                    for part in ("", arguments[:5], arguments[5:])
                ],
            )
        stopped = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
        counted = {"output_tokens": USAGE["output_tokens"]}
        events.append({"type": "message_delta", "delta": stopped, "usage": counted})
        return [*events, {"type": "message_stop"}]

    def block(self, index: int, begun: Mapping[str, Any], deltas: Sequence[Any]) -> list[Any]:
        return [
            {"type": "content_block_start", "index": index, "content_block": begun},
            *({"type": "content_block_delta", "index": index, "delta": each} for each in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    def first_words(self, events: Sequence[Any], count: int) -> list[Any]:
        return list(events[: count + 3])

    def resource(self, client: Any) -> Any:
        return client.messages

    def asked(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": QUESTION}]
        return {"model": "model-1", "max_tokens": 100, "messages": messages}

    def ask(self, resource: Any, **more: Any) -> Any:
        return resource.create(**{**self.asked(), **more})

    def helper_stream(self, client: Any) -> Any:
        return client.messages.stream(**self.asked())

    def text_of(self, answer: Any) -> str:
        return answer.content[0].text  # type: ignore[no-any-return]

    def application(self) -> Application:
        whole, streamed = Reply(self.answer("1 + 2 = 3")), Reply(events=self.events(["1", "2"]))
        refused = Reply({"error": {"message": "This is no message."}}, 400)
        return Application(
            Path(__file__).with_name("applications") / "plain.py",
            lambda url: {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": url},
            [
                *(whole, streamed, streamed, whole, whole, whole, refused),
                *(whole, streamed, streamed, whole),
            ],
            [self.run_name] * 11,
        )
