"""The examples of model vendors' clients meet a server on loopback: no key, no network, no cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from chain_callbacks.testing import Received, Reply, ScriptedServer

WORDS: Final = ("1 + ", "2 = ", "3")
STOPPED: Final = {"stop_reason": "end_turn", "stop_sequence": None}


class StandIn(ScriptedServer):
    """Answers each request as Anthropic or OpenAI would, with the document's ``1 + 2 = 3``."""

    def reply_to(self, request: Received) -> Reply:
        make = _message if request.path.endswith("/messages") else _completion
        return make(request.body["model"], is_streamed=bool(request.body.get("stream")))


def _message(model: str, *, is_streamed: bool) -> Reply:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
    usage = {"input_tokens": 16, "output_tokens": 13}
    if not is_streamed:
        content = [{"type": "text", "text": "".join(WORDS)}]
        return Reply({**head, "content": content, **STOPPED, "usage": usage})
    begun = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    deltas = [{"type": "text_delta", "text": word} for word in WORDS]
    block = {"index": 0, "content_block": {"type": "text", "text": ""}}
    events: list[Any] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", **block},
        *({"type": "content_block_delta", "index": 0, "delta": each} for each in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": STOPPED, "usage": usage},
        {"type": "message_stop"},
    ]
    return Reply(events=events)


def _completion(model: str, *, is_streamed: bool) -> Reply:
    head = {"id": "chatcmpl-1", "created": 1, "model": model}
    usage = {"prompt_tokens": 16, "completion_tokens": 13, "total_tokens": 29}
    if not is_streamed:
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Reply({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    head["object"] = "chat.completion.chunk"
    choices = [
        *({"index": 0, "delta": {"content": word}, "finish_reason": None} for word in WORDS),
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    chunks = [{**head, "choices": [choice]} for choice in choices]
    return Reply(events=[*chunks, {**head, "choices": [], "usage": usage}, "data: [DONE]\n\n"])


@pytest.fixture(scope="session", autouse=True)
def _vendors() -> Iterator[None]:
    """Put the server in the place of the vendors', for every example."""
    with StandIn() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "none")
        patch.setenv("ANTHROPIC_BASE_URL", server.url)
        patch.setenv("OPENAI_API_KEY", "none")
        patch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        yield
