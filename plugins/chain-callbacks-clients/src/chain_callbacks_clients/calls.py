"""One call of a model that a program makes through its vendor's client, as a chat-model run.

A call ends where its answer ends: with the request, or with the stream that the request opened. A
stream may be read as events or as bytes, closed, dropped, or never read at all.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar, Token
from dataclasses import replace
from operator import add
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, overload
from weakref import WeakSet

from chain_callbacks import Run
from chain_callbacks.events import on_llm_new_token
from chain_callbacks.hosts import defer, here, manager_at, model_around, run_at
from chain_callbacks.runnables import (
    AIMessage,
    ChatGeneration,
    ChatGenerationChunk,
    LLMResult,
    message_chunk_to_message,
)

from .steps import Steps, adrive, drive
from .translation import Endpoint, Piece, Reading, Vendor, invocation_params, ls_metadata
from .wire import EventLines, parsed, plain

log = logging.getLogger("chain_callbacks")

T = TypeVar("T")
Read = Callable[[Any], Iterable[Any]]

sending: Final[ContextVar[Call | None]] = ContextVar("chain_callbacks_call", default=None)
"""The call whose request is being sent."""

_open: Final[WeakSet[Call]] = WeakSet()


def _as_event(item: Any) -> Iterable[Any]:
    return (plain(item),)


@functools.cache
def _end_open_calls_at_exit() -> None:
    @atexit.register
    def end_all() -> None:
        for call in tuple(_open):
            call.end_left()


def begin(vendor: Vendor, endpoint: Endpoint, *body: Any) -> Call | None:
    """Return the call of a request that is about to be sent, for a ``with`` block around it.

    None if nobody listens, or if the request is made by a model that has a run of its own.

    Args:
        vendor: Whose client sends it.
        endpoint: How the request and its answer read as messages.
        body: The request, as the client has it. Fields of later parts replace those of earlier
            ones; a part that is no mapping is left to the server to refuse.
    """
    manager = manager_at(here())
    if manager is None or manager.is_silent or model_around() is not None:
        return None
    name = endpoint.name
    parts = _translated(name, lambda: [*map(plain, body)])
    request = {k: v for part in parts if isinstance(part, Mapping) for k, v in part.items()}
    metadata = ls_metadata(vendor.provider, request)
    run = run_at(manager, "chat_model", name, id_path=name.split("."), metadata=metadata)
    if run.hears(run.kind.start):
        messages = _translated(name, lambda: endpoint.messages(request))
        params = invocation_params(vendor.provider, request, endpoint.content)
        run.payload = (([messages],), {"invocation_params": params, "options": {}})
    return Call(run, endpoint)


def _translated(name: str, translate: Callable[[], list[T]]) -> list[T]:
    """Return what *translate* returns, or nothing if it fails.

    What a program sends and gets must not break it only because somebody listens.
    """
    try:
        return translate()
    except Exception as error:
        _warn(name, error)
        return []


def _warn(name: str, error: Exception) -> None:
    log.warning(
        "A message of %s could not be read: %s. Its handlers get the event without it.",
        name,
        type(error).__name__,
    )


class Call:
    """One request and its answer, told through *run*.

    Enter it, by ``with`` or ``async with``, around the code that sends the request. The run ends on
    leaving, unless the answer is a stream that somebody else goes on to read.
    """

    _token: Token[Call | None]

    def __init__(self, run: Run, endpoint: Endpoint) -> None:
        self.run = run
        self._endpoint = endpoint
        self._reading = Reading(endpoint)
        self._given: list[Piece] = []
        self._answer: Any = None
        self._is_observed = self._is_stepping = self._is_open = False
        self._keeps = run.hears(run.kind.end) or run.hears(run.kind.error)
        self._hears_tokens = run.hears(on_llm_new_token)

    # The request.

    def __enter__(self) -> Self:
        self.run.__enter__()
        self._token = sending.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        drive(self._sent(error))

    async def __aenter__(self) -> Self:
        await self.run.__aenter__()
        self._token = sending.set(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await adrive(self._sent(error))

    def _sent(self, error: BaseException | None) -> Steps:
        with contextlib.suppress(ValueError):  # A generator may be resumed in another context.
            sending.reset(self._token)
        del self._token  # It refers to the whole context.
        self.run.exit()
        if error is not None:
            yield from self._failing(error)
        elif not self._is_open:
            yield from self._ending()

    def take(self, answer: Any) -> None:
        """Note the whole answer: the bytes of a JSON value, or the client's object for it."""
        self._answer = answer

    def keep_open(self) -> None:
        """Leave the run open on leaving the ``with`` block: its answer has yet to be read."""
        self._is_open = True
        _open.add(self)
        _end_open_calls_at_exit()

    # The stream.

    @overload
    def observe(self, items: Iterator[T], read: Read = ...) -> Iterator[T]: ...
    @overload
    def observe(self, items: AsyncIterator[T], read: Read = ...) -> AsyncIterator[T]: ...

    def observe(self, items: Any, read: Read = _as_event) -> Any:
        """Return *items*, each told before it is given; the run ends with them.

        Args:
            items: What the client gives, an iterator or an asynchronous one.
            read: Returns the events of an item, as JSON values; the item itself if not given.
        """
        self._is_observed = True
        return self._through(items, read)

    def observe_bytes(self, received: Any, *, is_events: bool) -> Any:
        """Return the bytes of a response; they are read unless somebody observes its events."""
        if self._is_observed:
            return received
        return self._through(received, EventLines().read if is_events else self._collect)

    def _collect(self, received: bytes) -> Iterable[Any]:
        if self._answer is None:
            self._answer = bytearray()
        self._answer += received
        return ()

    def _through(self, flow: Any, read: Read) -> Any:
        self.keep_open()
        return (self._astepped if hasattr(flow, "__anext__") else self._stepped)(flow, read)

    def _stepped(self, flow: Iterator[T], read: Read) -> Iterator[T]:
        try:
            self._is_stepping = True
            for item in flow:
                drive(self._telling(item, read))
                self._is_stepping = False
                yield item
                self._is_stepping = True
            drive(self._ending())
        except BaseException as error:
            drive(self._stopped(error))
            raise

    async def _astepped(self, flow: AsyncIterator[T], read: Read) -> AsyncIterator[T]:
        try:
            self._is_stepping = True
            async for item in flow:
                await adrive(self._telling(item, read))
                self._is_stepping = False
                yield item
                self._is_stepping = True
            await adrive(self._ending())
        except BaseException as error:
            await adrive(self._stopped(error))
            raise

    def close(self) -> None:
        """End the run because its response was closed; do nothing if the stream is at its end."""
        drive(self._closing())

    async def aclose(self) -> None:
        """Do what ``close`` does, from asynchronous code."""
        await adrive(self._closing())

    def leave(self) -> None:
        """End the run soon, on another thread: a finaliser may run while any lock is held."""
        if self.run.status is None:
            defer(self.end_left)

    __del__ = leave

    def end_left(self) -> None:
        """End the run of a stream that nobody reads any more."""
        drive(self._ending("closed"))

    # What is told.

    def _telling(self, item: Any, read: Read) -> Steps:
        for piece in self._pieces(item, read):
            if self._hears_tokens:
                told = {"chunk": ChatGenerationChunk(piece.chunk)}
                token = (on_llm_new_token, (piece.chunk.text,), told)
                yield self.run.tell, self.run.atell, token, {}
        if self._reading.is_complete:
            yield from self._ending()

    def _ending(self, status: Literal["ok", "closed"] = "ok") -> Steps:
        if self.run.status is None:
            output = self._result() if self.run.hears(self.run.kind.end) else None
            self._release()
            yield self.run.end, self.run.aend, (output,), {"status": status}

    def _failing(self, error: BaseException) -> Steps:
        is_known = self._given or self._answer is not None
        partial = {"response": self._result()} if is_known else {}
        self._release()
        yield self.run.fail, self.run.afail, (error,), {"keywords": partial}

    def _release(self) -> None:
        # A connection that is kept open holds the context that it was made in, and so this call.
        self._keeps = self._hears_tokens = False
        self._given, self._answer = [], None
        self._reading = Reading(self._endpoint)

    def _closing(self) -> Steps:
        # The client closes the response in the step that reads its end: that is no early close.
        if not self._is_stepping:
            yield from self._ending("closed")

    def _stopped(self, error: BaseException) -> Steps:
        if isinstance(error, GeneratorExit):
            self.leave()
        else:
            yield from self._failing(error)

    def _pieces(self, item: Any, read: Read) -> list[Piece]:
        found: list[Piece] = []
        if not (self._keeps or self._hears_tokens):
            return found
        try:
            events = [*read(item)]
        except Exception as error:
            _warn(self.run.name, error)
            return found
        for event in events:
            if isinstance(event, Mapping):
                # An event that cannot be read is no reason to miss the others.
                try:
                    found += self._reading.read(event)
                except Exception as error:
                    _warn(self.run.name, error)
        if self._keeps:
            self._given += found
        return found

    def _result(self) -> LLMResult:
        messages = _translated(self.run.name, self._messages)
        named = [
            replace(each, id=each.id or f"run-{self.run.id}-{n}") for n, each in enumerate(messages)
        ]
        return LLMResult(
            generations=[[ChatGeneration(each) for each in named]],
            llm_output={**named[0].response_metadata} if named else None,
        )

    def _messages(self) -> list[AIMessage]:
        if self._answer is not None:
            is_raw = isinstance(self._answer, bytes | bytearray)
            answer = parsed(self._answer) if is_raw else plain(self._answer)
            return self._endpoint.answers(answer) if isinstance(answer, Mapping) else []
        choices = sorted({piece.choice for piece in self._given})
        return [
            message_chunk_to_message(
                functools.reduce(add, (p.chunk for p in self._given if p.choice == choice))
            )
            for choice in choices
        ]
