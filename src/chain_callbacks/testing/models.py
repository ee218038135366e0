"""A server on loopback in the place of model vendors': no key, no network, no cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .servers import Received, Reply, ScriptedServer

_STOPPED: Final = {"stop_reason": "end_turn", "stop_sequence": None}
_HEAD: Final = {"id": "chatcmpl-1", "created": 1}


class ModelServer(ScriptedServer):
    """Answers each request as Anthropic or OpenAI would, with the same words.

    What it is told by ``will`` comes first. Each answer counts 16 tokens in and 13 out. OpenAI's
    clients want ``/v1`` after its ``url``.

    Args:
        words: The pieces of the answer, as they are streamed.
    """

    def __init__(self, words: Sequence[str] = ("1 + ", "2 = ", "3")) -> None:
        super().__init__()
        self._words = tuple(words)

    def reply_to(self, request: Received) -> Reply:
        """Return what was scripted, else an answer in the form that is asked for."""
        if self._replies:
            return super().reply_to(request)
        model, is_streamed = request.body["model"], bool(request.body.get("stream"))
        if request.path.endswith("/messages"):
            return self._streamed_message(model) if is_streamed else self._message(model)
        return self._streamed_completion(model) if is_streamed else self._completion(model)

    def _message(self, model: str) -> Reply:
        content = [{"type": "text", "text": "".join(self._words)}]
        return Reply({**_message_head(model), "content": content, **_STOPPED})

    def _streamed_message(self, model: str) -> Reply:
        head = _message_head(model)
        begun = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
        block = {"index": 0, "content_block": {"type": "text", "text": ""}}
        deltas = [{"type": "text_delta", "text": word} for word in self._words]
        return Reply(
            events=[
                {"type": "message_start", "message": begun},
                {"type": "content_block_start", **block},
                *({"type": "content_block_delta", "index": 0, "delta": each} for each in deltas),
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": _STOPPED, "usage": head["usage"]},
                {"type": "message_stop"},
            ]
        )

    def _completion(self, model: str) -> Reply:
        message = {"role": "assistant", "content": "".join(self._words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        kind = {"object": "chat.completion", "model": model}
        return Reply({**_HEAD, **kind, "choices": [choice], "usage": _counted()})

    def _streamed_completion(self, model: str) -> Reply:
        head = {**_HEAD, "object": "chat.completion.chunk", "model": model}
        choices: list[dict[str, Any]] = [
            *({"index": 0, "delta": {"content": word}} for word in self._words),
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        ]
        chunks = [{**head, "choices": [choice]} for choice in choices]
        last = {**head, "choices": [], "usage": _counted()}
        return Reply(events=[*chunks, last, "data: [DONE]\n\n"])


def _message_head(model: str) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
    return {**head, "usage": {"input_tokens": 16, "output_tokens": 13}}


def _counted() -> dict[str, int]:
    return {"prompt_tokens": 16, "completion_tokens": 13, "total_tokens": 29}
