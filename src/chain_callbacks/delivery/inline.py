"""Inline delivery: each sink of a route is called in turn, where the event happened.

While a sink is called the context is SUPPRESSED: what a handler runs itself is told to nobody.
A route without an asynchronous sink takes one plain loop in both worlds. Only the others take the
generator that `drive` and `adrive` share.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from inspect import isawaitable
from typing import Any, Final, cast

from ..context import SUPPRESSED, current, leave
from ..handler import RunFacts
from ..loops import asyncio
from ..sink import NO_KEYWORDS, Route, Sink
from .counters import HAS_GIL
from .failures import log, note
from .loop_thread import loop_thread

Telling = Generator[Awaitable[Any], Any, None]

SLOW: Final = 0.05
"""Seconds that a synchronous handler may take on an event loop."""

clock: Callable[[], float] = time.perf_counter
"""Seconds; not the clock of runs, on which a test counts the looks."""

_slow: Final[set[str]] = set()


def _warn_slow(sink: Sink, seconds: float) -> None:
    """Log once for each handler that it held up an event loop for *seconds*."""
    if sink.counters.name in _slow:
        return
    _slow.add(sink.counters.name)
    log.warning(
        "The handler %s held up the event loop for %d ms in %s: it is synchronous and its caller "
        "is not. Set delivery=queued for it, or make its methods asynchronous.",
        sink.counters.name,
        round(seconds * 1000),
        sink.event,
    )


def forget_slow() -> None:
    """Have every slow handler logged again."""
    _slow.clear()


class _Raised(Exception):  # noqa: N818  It never leaves this module.
    """A ``GeneratorExit`` that a handler raised."""

    def __init__(self, error: GeneratorExit) -> None:
        super().__init__()
        self.error = error


def tell(  # noqa: C901, PLR0912 - the one loop of all dispatch: a call for each branch would be felt
    route: Route,
    run: RunFacts,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any] = NO_KEYWORDS,
    *,
    is_on_loop: bool = False,
) -> Telling | None:
    """Tell the sinks of *route* from synchronous code; asynchronous ones are waited for.

    Where the caller *is_on_loop*, what is left to be awaited is returned for it.
    """
    if route.has_async:
        telling = _telling(route, run, arguments, keywords, is_on_loop=is_on_loop)
        if is_on_loop:
            return telling
        drive(telling)
        return None
    leaving: BaseException | None = None
    unawaited: list[tuple[Sink, Awaitable[Any]]] | None = None
    token = current.set(SUPPRESSED)
    try:
        for sink in route:
            began = clock() if is_on_loop else 0.0
            try:
                result = sink.tell(run, arguments, keywords)
                # A lambda or a partial may return a coroutine without being marked as one. Asking
                # what a handler returned for anything may raise, too.
                is_awaited = result is not None and isawaitable(result)
            except BaseException as error:
                leaving = note(sink, run, error, leaving)
            else:
                if is_awaited:
                    waiting = (sink, cast("Awaitable[Any]", result))
                    unawaited = [*(unawaited or ()), waiting]
                elif HAS_GIL:
                    sink.counters.delivered += 1
                else:
                    sink.counters.add(delivered=1)
            if is_on_loop and clock() - began > SLOW:
                _warn_slow(sink, clock() - began)
    finally:
        current.reset(token)
    if unawaited is not None:
        telling = _finishing(run, unawaited, leaving)
        if is_on_loop:
            return telling
        drive(telling)
    elif leaving is not None:
        raise leaving
    return None


async def atell(
    route: Route,
    run: RunFacts,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any] = NO_KEYWORDS,
) -> None:
    """Tell the sinks of *route* from asynchronous code."""
    telling = tell(route, run, arguments, keywords, is_on_loop=True)
    if telling is None:
        return
    if _is_on_asyncio():
        await adrive(telling)
    else:
        drive(telling)


async def atell_to_the_end(
    route: Route,
    run: RunFacts,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any] = NO_KEYWORDS,
) -> None:
    """Tell a terminal event to its end, even if the task is cancelled meanwhile."""
    rest = tell(route, run, arguments, keywords, is_on_loop=True)
    if rest is None:
        return
    if not _is_on_asyncio():
        drive(rest)
        return
    telling = asyncio.ensure_future(adrive(rest))
    cancelled: asyncio.CancelledError | None = None
    while not telling.done():
        try:
            await asyncio.shield(telling)
        except asyncio.CancelledError as error:
            if telling.cancelled():
                break  # A handler raised it.
            cancelled = error
        except BaseException:
            break  # It is what the delivery raised, and the result below raises it.
    if cancelled is not None:
        if not telling.cancelled():
            telling.exception()  # A cancellation beats it; it counts as retrieved.
        raise cancelled
    telling.result()


def _telling(
    route: Route,
    run: RunFacts,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    *,
    is_on_loop: bool = False,
) -> Telling:
    leaving: BaseException | None = None
    for sink in route:
        began = clock() if is_on_loop else 0.0
        try:
            result = sink.tell(run, arguments, keywords)
            is_awaited = result is not None and isawaitable(result)
        except BaseException as error:
            leaving = note(sink, run, error, leaving)
            continue
        finally:
            if is_on_loop and clock() - began > SLOW:
                _warn_slow(sink, clock() - began)
        try:
            if is_awaited:
                yield cast("Awaitable[Any]", result)
            sink.counters.add(delivered=1)
        except GeneratorExit:
            raise
        except BaseException as error:
            leaving = note(sink, run, _raised_by(error), leaving)
    if leaving is not None:
        raise leaving


def _finishing(
    run: RunFacts, unawaited: list[tuple[Sink, Awaitable[Any]]], leaving: BaseException | None
) -> Telling:
    for sink, awaitable in unawaited:
        try:
            yield awaitable
            sink.counters.add(delivered=1)
        except GeneratorExit:
            raise
        except BaseException as error:
            leaving = note(sink, run, _raised_by(error), leaving)
    if leaving is not None:
        raise leaving


def _raised_by(error: BaseException) -> BaseException:
    return error.error if isinstance(error, _Raised) else error


def drive(telling: Telling) -> None:
    """Run *telling* to its end from synchronous code; what it yields is awaited on the portal."""
    token = current.set(SUPPRESSED)
    try:
        awaitable = next(telling)
        while True:
            try:
                result = loop_thread.run(awaitable)
            except GeneratorExit as error:
                # Thrown in as it is, it would be taken for the end of the generator itself.
                awaitable = telling.throw(_Raised(error))
            except BaseException as error:
                awaitable = telling.throw(error)
            else:
                awaitable = telling.send(result)
    except StopIteration:
        pass
    finally:
        current.reset(token)


async def adrive(telling: Telling) -> None:
    """Run *telling* to its end from asynchronous code; what it yields is awaited here."""
    task = asyncio.current_task()
    token = current.set(SUPPRESSED)
    try:
        awaitable = next(telling)
        while True:
            try:
                result = await awaitable
            except GeneratorExit as error:
                if task is None or not _is_on_asyncio() or asyncio.current_task() is not task:
                    raise  # Nobody waits for this any more: it is being closed, from elsewhere.
                awaitable = telling.throw(_Raised(error))
            except BaseException as error:
                awaitable = telling.throw(error)
            else:
                awaitable = telling.send(result)
    except StopIteration:
        pass
    finally:
        leave(token)


def _is_on_asyncio() -> bool:
    """Tell whether a loop of asyncio runs here: on another one (trio) nothing of its works."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
