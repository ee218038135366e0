"""Streams as runs: the run is in the context during each step, never between two of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..dispatch.context import current, leave, to_thread
from ..dispatch.delivery.portal import portal
from ..dispatch.manager import CallbackManager
from ..dispatch.runs import Run
from .chunks import Whole, combined

if TYPE_CHECKING:
    from .base import Runnable

T = TypeVar("T")

_DONE: Final = object()


class OwnedStream(Iterator[T]):
    """The iterator that a caller holds: closing it, or losing it, ends the runs behind it.

    A collected one is closed on the worker thread. Where the collector happens to run somebody's
    lock may be held, and a handler may want it.
    """

    __slots__ = ("_generator",)

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __iter__(self) -> OwnedStream[T]:
        return self

    def __next__(self) -> T:
        return next(self._generator)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the stream: nothing more is pulled from upstream, and its runs end as closed."""
        self._generator.close()

    def __enter__(self) -> OwnedStream[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._generator.gi_suspended:
            # At the very end of the interpreter there is no thread to start any more.
            with contextlib.suppress(RuntimeError):
                portal.call_soon(self._generator.close)


def owned(chunks: Iterator[T]) -> Iterator[T]:
    """Return *chunks* as their caller may hold them; those that make no run are left alone."""
    code = getattr(chunks, "gi_code", None)
    return OwnedStream(chunks) if code is run_stream.__code__ else chunks


def within(manager: CallbackManager, chunks: Iterator[T]) -> Iterator[T]:
    """Give *chunks*, each made with *manager* in the context."""
    with contextlib.closing(chunks):  # type: ignore[type-var]
        while True:
            token = current.set(manager)
            try:
                chunk: Any = next(chunks, _DONE)
            finally:
                leave(token)
            if chunk is _DONE:
                return
            yield chunk


async def awithin(manager: CallbackManager, chunks: AsyncIterator[T]) -> AsyncIterator[T]:
    """Give *chunks*, each made with *manager* in the context."""
    async with contextlib.aclosing(chunks):  # type: ignore[type-var]
        while True:
            token = current.set(manager)
            try:
                chunk: Any = await anext(chunks, _DONE)
            finally:
                leave(token)
            if chunk is _DONE:
                return
            yield chunk


_DEFERRED: Final = {"input": ""}
"""The inputs that a start event shows where the input comes in chunks; the form is LangChain's."""


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
            run.enter()
            try:
                chunk = next(flow, _DONE)
            finally:
                run.exit()
            if chunk is _DONE:
                break
            if keeps:
                given.append(chunk)
            yield chunk
        run.end(runnable._end_payload(combined(given)) if keeps else None)
    except GeneratorExit:
        _close(run, flow)
        run.end(runnable._end_payload(combined(given)) if given else None, status="closed")
        raise
    except BaseException as error:
        _close(run, flow)
        run.fail(error, keywords=runnable._error_keywords(known, given))
        raise
    finally:
        _close(None, chunks)


def _begin(runnable: Runnable[Any, Any], chunks: Iterator[Any]) -> tuple[Iterator[Any], Any]:
    """Return what the run reads, and what its start event says of it."""
    if isinstance(chunks, Whole):
        return chunks, chunks.value
    if runnable._is_flowing():
        first = next(chunks, _DONE)
        return (chunks if first is _DONE else chain((first,), chunks)), _DEFERRED
    whole = Whole(combined(list(chunks)))
    return whole, whole.value


def _close(run: Run | None, chunks: Any) -> None:
    close = getattr(chunks, "close", None)
    if close is None:
        return
    if run is None:
        close()
        return
    run.enter()
    try:
        close()
    finally:
        run.exit()


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
    try:
        source, known = await _abegin(runnable, chunks)
        await runnable._astart(run, known, kwargs)
        flow = runnable._aflow(source, kwargs, run)
        while True:
            run.enter()
            try:
                chunk = await anext(flow, _DONE)
            finally:
                run.exit()
            if chunk is _DONE:
                break
            if keeps:
                given.append(chunk)
            yield chunk
        await run.aend(runnable._end_payload(combined(given)) if keeps else None)
    except GeneratorExit:
        await _aclose(run, flow)
        await run.aend(runnable._end_payload(combined(given)) if given else None, status="closed")
        raise
    except BaseException as error:
        await _aclose(run, flow)
        await run.afail(error, keywords=runnable._error_keywords(known, given))
        raise
    finally:
        await _aclose(None, chunks)


async def _abegin(
    runnable: Runnable[Any, Any], chunks: AsyncIterator[Any]
) -> tuple[AsyncIterator[Any], Any]:
    if isinstance(chunks, Whole):
        return chunks, chunks.value
    if runnable._is_flowing():
        first = await anext(chunks, _DONE)
        return (chunks if first is _DONE else _achain(first, chunks)), _DEFERRED
    whole: Whole[Any] = Whole(combined([chunk async for chunk in chunks]))
    return whole, whole.value


async def _achain(first: T, rest: AsyncIterator[T]) -> AsyncIterator[T]:
    yield first
    async for chunk in rest:
        yield chunk


async def _aclose(run: Run | None, chunks: Any) -> None:
    close = getattr(chunks, "aclose", None)
    if close is None:
        return
    if run is None:
        await close()
        return
    run.enter()
    try:
        await close()
    finally:
        run.exit()


async def in_thread(
    runnable: Runnable[Any, Any],
    chunks: AsyncIterator[Any],
    kwargs: Mapping[str, Any],
    run: Run | None,
) -> AsyncIterator[Any]:
    """Give what a step that streams only synchronously makes, each chunk made in a thread."""
    whole: Any = Whole(combined([chunk async for chunk in chunks]))
    flow: Any = runnable._flow(whole, kwargs, run)
    try:
        while (chunk := await to_thread(next, flow, _DONE)) is not _DONE:
            yield chunk
    finally:
        await to_thread(flow.close)
