"""Streams as runs: the run is in the context during each step, never between two of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextvars import Token
from itertools import chain
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from weakref import WeakSet

from ..context import current, leave, to_thread
from ..delivery.failures import log
from ..delivery.lifecycle import lifecycle
from ..delivery.threads import sweeper
from ..dispatch.manager import CallbackManager
from ..dispatch.run import Run
from ..loops import is_cancellation
from .chunks import Whole, combined, reported
from .inner import aclosed_after, inside

if TYPE_CHECKING:
    from .base import Runnable

T = TypeVar("T")

_DONE: Final = object()


_held: Final[WeakSet[OwnedStream[Any]]] = WeakSet()
_held_async: Final[WeakSet[Run]] = WeakSet()
"""The runs of the asynchronous streams that have begun and not ended."""


def _end_held() -> None:
    """End the streams that are still held at the end of the process, if that is possible."""
    for stream in tuple(_held):
        if stream._generator.gi_suspended:
            try:
                stream.close()
            except BaseException as error:
                log.warning("A stream failed to close at exit.", exc_info=error)
    # Their loop has ended, or is about to: nobody can await their closing any more. What closes
    # them while the interpreter is torn down must not contradict the log.
    names = [repr(run.name) for run in tuple(_held_async) if run.finish("closed") is not None]
    if names:
        log.warning(
            "Asynchronous streams were still held when the process ended, and the ends of their "
            "runs were not delivered: %s. Read a stream to its end, or close it by aclose().",
            ", ".join(names),
        )


lifecycle.enders.append(_end_held)


class OwnedStream(Iterator[T]):
    """The iterator that a caller holds: closing it, or losing it, ends the runs behind it.

    A collected one is closed on a thread for it. Where the collector happens to run somebody's
    lock may be held, and a handler may want it.
    """

    __slots__ = ("__weakref__", "_generator")

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        _held.add(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return next(self._generator)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the stream: nothing more is pulled from upstream, and its runs end as closed."""
        self._generator.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._generator.gi_suspended:
            sweeper.take(self._generator.close)


class OwnedGenerator(OwnedStream[T], Generator[T, Any, Any]):
    """A generator that a caller holds: as a stream, and what is sent and thrown goes through."""

    __slots__ = ()

    def send(self, value: Any, /) -> T:
        """Return the next item, *value* being what the last one is answered with."""
        return self._generator.send(value)  # type: ignore[no-any-return]

    def throw(self, *error: Any) -> T:
        """Return the next item after *error* was raised where the last one was given."""
        return self._generator.throw(*error)  # type: ignore[no-any-return]


def owned(chunks: Iterator[T]) -> Iterator[T]:
    """Return *chunks* as their caller may hold them; it need not have a run, a step of it may."""
    return OwnedStream(chunks) if isinstance(chunks, GeneratorType) else chunks


class entered:  # noqa: N801  It is used as a function.
    """Put *scope*, a run or a manager, into the context of a block; None leaves it as it is."""

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: Run | CallbackManager | None) -> None:
        self._scope = scope
        self._token: Token[Any] | None = None

    def __enter__(self) -> None:
        if self._scope is not None:
            self._token = current.set(self._scope)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            leave(self._token)


def within(manager: CallbackManager, chunks: Iterator[T]) -> Iterator[T]:
    """Give *chunks*, each made with *manager* in the context."""
    with contextlib.closing(chunks):  # type: ignore[type-var]
        while True:
            with entered(manager):
                chunk: Any = next(chunks, _DONE)
            if chunk is _DONE:
                return
            yield chunk


async def awithin(manager: CallbackManager, chunks: AsyncIterator[T]) -> AsyncIterator[T]:
    """Give *chunks*, each made with *manager* in the context."""
    async with aclosed_after(chunks) as flow:
        while True:
            with entered(manager):
                chunk: Any = await anext(flow, _DONE)
            if chunk is _DONE:
                return
            yield chunk


_DEFERRED: Final = {"input": ""}
"""The inputs that a start event shows where the input comes in chunks; the form is LangChain's."""


class _Left:
    """How a run ends whose stream was left by an exception, or by its reader."""

    __slots__ = ("_run", "_runnable", "given", "input")

    def __init__(
        self, runnable: Runnable[Any, Any], run: Run, input: Any, given: list[Any]
    ) -> None:
        self._runnable, self._run = runnable, run
        self.input, self.given = input, given

    def end(self, error: BaseException) -> None:
        """Tell it as closed where a GeneratorExit left it, else as failed."""
        if isinstance(error, GeneratorExit):
            self._run.end(self._output(), status="closed")
        else:
            self._run.fail(error, keywords=self._keywords())

    async def aend(self, error: BaseException) -> None:
        """Do what ``end`` does, from asynchronous code."""
        if isinstance(error, GeneratorExit):
            await self._run.aend(self._output(), status="closed")
        else:
            await self._run.afail(error, keywords=self._keywords())

    def _output(self) -> Any:
        return self._runnable._end_payload(reported(self.given)) if self.given else None

    def _keywords(self) -> Mapping[str, Any]:
        return self._runnable._error_keywords(self.input, self.given)


def run_stream(
    runnable: Runnable[Any, Any],
    run: Run,
    chunks: Iterator[Any],
    kwargs: Mapping[str, Any],
) -> Iterator[Any]:
    """Give the chunks of one run, which starts with the first of its input."""
    given: list[Any] = []
    keeps = run.hears(run.kind.end) or run.hears(run.kind.error)
    flow: Any = None
    known: Any = None
    try:
        source, known = _begin(runnable, chunks)
        runnable._start(run, known, kwargs)
        flow = runnable._flow(source, kwargs, run)
        while True:
            token = current.set(run)
            try:
                chunk = next(flow, _DONE)
            finally:
                leave(token)
            if chunk is _DONE:
                break
            if keeps:
                given.append(chunk)
            yield chunk
        run.end(runnable._end_payload(reported(given)) if keeps else None)
    except BaseException as error:
        left_by = error
        try:
            _close(run, flow)
        except BaseException as failure:
            left_by = _graver(error, failure)
            raise
        finally:
            _Left(runnable, run, known, given).end(left_by)
        raise
    finally:
        _close(None, chunks)


def _graver(error: BaseException, failure: BaseException) -> BaseException:
    """Return what a run failed with whose closing failed, too: not that its reader left it."""
    return failure if isinstance(error, GeneratorExit) else error


def _begin(runnable: Runnable[Any, Any], chunks: Iterator[Any]) -> tuple[Iterator[Any], Any]:
    """Return what the run reads, and what its start event says of it."""
    if isinstance(chunks, Whole):
        return chunks, chunks.value
    if runnable._is_flowing():
        first = next(chunks, _DONE)
        return (chunks if first is _DONE else chain((first,), chunks)), _DEFERRED
    whole = Whole(combined(list(chunks)))
    return whole, whole.value


@contextlib.contextmanager
def closed_after(chunks: Iterator[T]) -> Iterator[Iterator[T]]:
    """Close *chunks* on leaving, where that is something that can be closed."""
    try:
        yield chunks
    finally:
        _close(None, chunks)


def _close(run: Run | None, chunks: Any) -> None:
    close = getattr(chunks, "close", None)
    if run is not None and close is not None:
        with entered(run):
            close()
    elif close is not None:
        close()


async def arun_stream(
    runnable: Runnable[Any, Any],
    run: Run,
    chunks: AsyncIterator[Any],
    kwargs: Mapping[str, Any],
) -> AsyncIterator[Any]:
    """Give the chunks of one run, which starts with the first of its input."""
    given: list[Any] = []
    keeps = run.hears(run.kind.end) or run.hears(run.kind.error)
    flow: Any = None
    known: Any = None
    is_out = False
    try:
        source, known = await _abegin(runnable, chunks)
        _held_async.add(run)
        await runnable._astart(run, known, kwargs)
        flow = inside(runnable._aflow(source, kwargs, run))
        while True:
            token = current.set(run)
            try:
                chunk = await anext(flow, _DONE)
            finally:
                leave(token)
            if chunk is _DONE:
                break
            if keeps:
                given.append(chunk)
            is_out = True
            yield chunk
            is_out = False
        await run.aend(runnable._end_payload(reported(given)) if keeps else None)
    except BaseException as error:
        # A loop that ends cancels the closing of what was left: nobody was waiting for a chunk.
        left_by = GeneratorExit() if is_out and is_cancellation(error) else error
        try:
            await _aclose(run, flow)
        except BaseException as failure:
            left_by = _graver(left_by, failure)
            raise
        finally:
            await _Left(runnable, run, known, given).aend(left_by)
        raise
    finally:
        _held_async.discard(run)
        await _aclose(None, chunks)


async def _abegin(
    runnable: Runnable[Any, Any], chunks: AsyncIterator[Any]
) -> tuple[AsyncIterator[Any], Any]:
    if isinstance(chunks, Whole):
        return chunks, chunks.value
    if runnable._is_flowing():
        first = await anext(chunks, _DONE)
        return (chunks if first is _DONE else _Chained(first, chunks)), _DEFERRED
    whole: Whole[Any] = Whole(combined([chunk async for chunk in chunks]))
    return whole, whole.value


class _Chained(AsyncIterator[T]):
    """A first item, and the rest; no generator, which somebody would have to close."""

    __slots__ = ("_first", "_rest")

    def __init__(self, first: T, rest: AsyncIterator[T]) -> None:
        self._first: Any = first
        self._rest = rest

    async def __anext__(self) -> T:
        first, self._first = self._first, _DONE
        return await anext(self._rest) if first is _DONE else first


async def _aclose(run: Run | None, chunks: Any) -> None:
    close = getattr(chunks, "aclose", None)
    if run is not None and close is not None:
        with entered(run):
            await close()
    elif close is not None:
        await close()


async def in_thread(
    runnable: Runnable[Any, Any],
    chunks: AsyncIterator[Any],
    kwargs: Mapping[str, Any],
    run: Run | None,
) -> AsyncIterator[Any]:
    """Give what a step that streams only synchronously makes, each chunk made in a thread."""
    whole: Any = Whole(combined([chunk async for chunk in chunks]))
    async with aclosed_after(stepped(runnable._flow(whole, kwargs, run))) as flow:
        async for chunk in flow:
            yield chunk


class _Steps:
    """A synchronous stream that is stepped in threads, and may be left during a step."""

    def __init__(self, flow: Any) -> None:
        self._flow = flow
        self._lock = threading.Lock()
        self._is_running = self._is_left = False

    def step(self) -> Any:
        """Return the next chunk; close the stream where it was left in the meantime."""
        with self._lock:
            if self._is_left:
                return _DONE
            self._is_running = True
        try:
            return next(self._flow, _DONE)
        finally:
            with self._lock:
                self._is_running = False
                is_left = self._is_left
            if is_left:
                _close(None, self._flow)

    def leave(self) -> bool:
        """Make this step the last; tell whether the stream is to be closed, none being made."""
        with self._lock:
            self._is_left = True
            return not self._is_running


async def stepped(flow: Iterator[T]) -> AsyncGenerator[T, None]:
    """Give the chunks of *flow*, each made in a thread.

    A thread cannot be interrupted: cancelled during a step, this leaves at once, and the thread
    closes *flow* when it comes back.
    """
    steps = _Steps(flow)
    try:
        while (chunk := await to_thread(steps.step)) is not _DONE:
            yield chunk
    finally:
        if steps.leave():
            # Here and now: a loop that ends cancels closings before they begin, and one that then
            # waits for anything is broken off by Python 3.11 where it waits.
            _close(None, flow)
