"""One call that a program makes of a vendor's client, as a chat-model run.

A call ends where its answer does: with the request, or with the stream that the request opened,
which may be read as events or as bytes, closed, left, or never read at all.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, Final, Literal, TypeVar
from weakref import WeakSet

from chain_callbacks import Run
from chain_callbacks.events import on_llm_new_token
from chain_callbacks.hosts import call_soon
from chain_callbacks.runnables import (
    AIMessage,
    BaseMessage,
    ChatGeneration,
    ChatGenerationChunk,
    LLMResult,
    message_chunk_to_message,
)

from .translation import Endpoint, Piece, Reading
from .wire import EventLines, parsed, plain

log = logging.getLogger("chain_callbacks")

T = TypeVar("T")

Ended = Literal["ok", "closed"]

_DONE: Final = object()
_open: Final[WeakSet[Call]] = WeakSet()


@atexit.register
def _end_all() -> None:
    for call in tuple(_open):
        call.end_left()


class Call:
    """A request to *endpoint*, and what came of it, told through *run*."""

    def __init__(self, run: Run, endpoint: Endpoint) -> None:
        self.run = run
        self._endpoint = endpoint
        self._reading = Reading(endpoint)
        self._given: list[Piece] = []
        self._body: bytes | None = None
        self._lines: EventLines | None = None
        self._is_typed = self._is_stepping = False
        self.is_open = False
        self._keeps = run.hears(run.kind.end) or run.hears(run.kind.error)
        self._hears_tokens = run.hears(on_llm_new_token)

    # What was asked and answered.

    def asked(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        """Return what *body* says to the model."""
        return self._translated(lambda: self._endpoint.messages(body), [])

    def take(self, body: bytes) -> None:
        """Note the whole answer."""
        self._body = body

    def _read(self, event: Any) -> list[Piece]:
        if not (self._keeps or self._hears_tokens) or not isinstance(event, Mapping):
            return []
        pieces: list[Piece] = self._translated(lambda: [*self._reading.read(event)], [])
        if self._keeps:
            self._given.extend(pieces)
        return pieces

    def _translated(self, translate: Callable[[], T], otherwise: T) -> T:
        # What a server sends must not break a program that would never have looked at it.
        try:
            return translate()
        except Exception as error:
            log.warning(
                "What %s got could not be read: %s. Its handlers are told without it.",
                self.run.name,
                type(error).__name__,
            )
            return otherwise

    def _messages(self) -> list[AIMessage]:
        if self._body is not None:
            answer = parsed(self._body)
            return self._endpoint.answers(answer) if isinstance(answer, Mapping) else []
        choices = sorted({piece.choice for piece in self._given})
        sums = (reduce(add, (p.chunk for p in self._given if p.choice == n)) for n in choices)
        return [message_chunk_to_message(each) for each in sums]

    def _result(self) -> LLMResult:
        none: list[AIMessage] = []
        messages = self._translated(self._messages, none)
        named = [
            replace(each, id=each.id or f"run-{self.run.id}-{n}") for n, each in enumerate(messages)
        ]
        return LLMResult(
            generations=[[ChatGeneration(each) for each in named]],
            llm_output={**named[0].response_metadata} if named else None,
        )

    def _output(self) -> LLMResult | None:
        return self._result() if self.run.hears(self.run.kind.end) else None

    def _partial(self) -> Mapping[str, Any]:
        is_known = self._given or self._body is not None
        return {"response": self._result()} if is_known else {}

    # Its events; each has its asynchronous twin.

    def tell(self, event: Any) -> None:
        """Tell of what a stream event adds."""
        for piece in self._read(event):
            if self._hears_tokens:
                self.run.tell(on_llm_new_token, (piece.chunk.text,), _chunk(piece))
        if self._reading.is_complete:
            self.end()

    async def atell(self, event: Any) -> None:
        """Do what ``tell`` does, from asynchronous code."""
        for piece in self._read(event):
            if self._hears_tokens:
                await self.run.atell(on_llm_new_token, (piece.chunk.text,), _chunk(piece))
        if self._reading.is_complete:
            await self.aend()

    def end(self, status: Ended = "ok") -> None:
        """End the run with the answer, as far as it was read; do nothing where it ended before."""
        if self.run.status is None:
            self.run.end(self._output(), status=status)

    async def aend(self, status: Ended = "ok") -> None:
        """Do what ``end`` does, from asynchronous code."""
        if self.run.status is None:
            await self.run.aend(self._output(), status=status)

    def fail(self, error: BaseException) -> None:
        """End the run with what left it, and with the answer as far as it is known."""
        self.run.fail(error, keywords=self._partial())

    async def afail(self, error: BaseException) -> None:
        """Do what ``fail`` does, from asynchronous code."""
        await self.run.afail(error, keywords=self._partial())

    def closed(self) -> None:
        """End the run, unless what closes the response is the step that reads its end."""
        if not self._is_stepping:
            self.end("closed")

    async def aclosed(self) -> None:
        """Do what ``closed`` does, from asynchronous code."""
        if not self._is_stepping:
            await self.aend("closed")

    def end_left(self) -> None:
        """End the run of a stream that nobody reads any more."""
        if self.run.started_at is not None:
            self.end("closed")

    def leave(self) -> None:
        """Have the run ended on another thread: a collector calls, and may stand in any lock."""
        if self.run.status is None:
            call_soon(self.end_left)

    __del__ = leave

    # The stream that it opened.

    def opened(self) -> None:
        """Note that the answer is read by whoever gets it."""
        self.is_open = True
        _open.add(self)

    def observed(self, items: Iterator[T]) -> Iterator[T]:
        """Give *items*, the events as the client has them, each told before it is given."""
        self._is_typed = True
        return self._stepped(items, plain_event)

    def aobserved(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Give *items*; see ``observed``."""
        self._is_typed = True
        return self._astepped(items, plain_event)

    def teed(self, received: Iterator[bytes], *, is_events: bool) -> Iterator[bytes]:
        """Give the bytes of a response as they come; they are read unless its events are."""
        return received if self._is_typed else self._stepped(received, self._reader_of(is_events))

    def ateed(self, received: AsyncIterator[bytes], *, is_events: bool) -> AsyncIterator[bytes]:
        """Give the bytes of a response as they come; see ``teed``."""
        return received if self._is_typed else self._astepped(received, self._reader_of(is_events))

    def _reader_of(self, is_events: bool) -> Callable[[Any], Iterable[Any]]:  # noqa: FBT001
        if is_events:
            return EventLines().read

        def keep(received: bytes) -> Iterable[Any]:
            self._body = (self._body or b"") + received
            return ()

        return keep

    def _stepped(self, flow: Iterator[T], read: Callable[[T], Iterable[Any]]) -> Iterator[T]:
        try:
            while True:
                self._is_stepping = True
                try:
                    item: Any = next(flow, _DONE)
                finally:
                    self._is_stepping = False
                if item is _DONE:
                    break
                for event in read(item):
                    self.tell(event)
                yield item
            self.end()
        except GeneratorExit:
            self.leave()
            raise
        except BaseException as error:
            self.fail(error)
            raise

    async def _astepped(
        self, flow: AsyncIterator[T], read: Callable[[T], Iterable[Any]]
    ) -> AsyncIterator[T]:
        try:
            while True:
                self._is_stepping = True
                try:
                    item: Any = await anext(flow, _DONE)
                finally:
                    self._is_stepping = False
                if item is _DONE:
                    break
                for event in read(item):
                    await self.atell(event)
                yield item
            await self.aend()
        except GeneratorExit:
            self.leave()
            raise
        except BaseException as error:
            await self.afail(error)
            raise


def plain_event(item: Any) -> tuple[Any]:
    """Return the one event that a client's object for it is."""
    return (plain(item),)


def _chunk(piece: Piece) -> Mapping[str, Any]:
    return {"chunk": ChatGenerationChunk(piece.chunk)}
