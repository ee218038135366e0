"""Chat models that answer from a list: deterministic, offline, for tests, demos and docs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ..forks import in_child
from .messages import AIMessage, AIMessageChunk, BaseMessage
from .models import BaseChatModel, _as_chunk

_WORD: Final = re.compile(r"\s*\S+\s*$|\s*\S+\s")

# One for all: a model with a lock could be neither pickled nor used in every forked child.
_lock = threading.Lock()


@in_child
def _renew() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


class FakeListChatModel(BaseChatModel):
    """Gives its answers in turn, and then from the first again; streams them word by word.

    Args:
        responses: Texts or messages; an exception among them is raised in its turn.
    """

    def __init__(
        self,
        responses: Sequence[str | AIMessage | BaseException],
        *,
        name: str | None = None,
        callbacks: Any = None,
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        if not responses:
            raise ValueError(f"{type(self).__name__} has no responses. Give it at least one.")
        self.responses = tuple(responses)
        self._next = 0

    def _position(self, messages: list[BaseMessage]) -> int:
        with _lock:
            position, self._next = self._next, self._next + 1
        return position

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        response = self.responses[self._position(messages) % len(self.responses)]
        if isinstance(response, BaseException):
            raise response
        return AIMessage(response) if isinstance(response, str) else replace(response)

    def _generate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        return self._answer(messages)

    async def _agenerate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        return self._answer(messages)

    def _stream(self, messages: list[BaseMessage], **kwargs: Any) -> Iterator[AIMessageChunk]:
        message = self._answer(messages)
        words = _WORD.findall(message.text)
        for word in words[:-1]:
            yield AIMessageChunk(word)
        # The last one carries what belongs to the whole answer, as real models do it.
        last = _as_chunk(message)
        last.content = words[-1] if words else ""
        last.chunk_position = "last"
        yield last


class FakeToolCallingChatModel(FakeListChatModel):
    """Answers by how far the conversation is: its first answer, then that to the tools' results.

    So one instance serves many conversations at a time, each getting the answers in their order.
    """

    def _position(self, messages: list[BaseMessage]) -> int:
        return sum(isinstance(message, AIMessage) for message in messages)
