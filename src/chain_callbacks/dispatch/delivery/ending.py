"""The end: everything that is queued or held is sent, within one budget for all handlers.

It comes when a program asks for it, when the interpreter ends, when a child of `multiprocessing`
does, and at SIGTERM where the host asked for that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NamedTuple

from ..options import options
from .counters import all_counters
from .failures import log, summarise
from .process import at_end
from .queued import Channel, Flush, channels


class HandlerStats(NamedTuple):
    """The counts of one handler in this process.

    Attributes:
        delivered: Events that it was told, and dealt with.
        failed: How often it raised.
        dropped: Events that found no room in its queue.
        queued: Events that wait now.
        is_paused: Whether it failed so often that it is left alone for a while.
    """

    delivered: int
    failed: int
    dropped: int
    queued: int
    is_paused: bool


def stats() -> dict[str, HandlerStats]:
    """Return the counts of every handler that was listened to, by name; for metrics and alerts.

    A handler that was passed as an object counts under the name of its class.
    """
    found = channels()
    return {
        each.name: HandlerStats(
            each.delivered,
            each.failed,
            each.dropped,
            sum(channel.pending for channel in found if channel.counters is each),
            any(channel.is_paused for channel in found if channel.counters is each),
        )
        for each in all_counters()
    }


class HandlerReport(NamedTuple):
    """What a flush found of one handler; counts are of the process, *pending* is what is left."""

    delivered: int
    pending: int
    failed: int
    dropped: int


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What became of everything that was issued before a flush, by handler; print it.

    Attributes:
        handlers: A report for each handler that was listened to.
        late: The names of those that did not finish in time, or failed in sending.
    """

    handlers: Mapping[str, HandlerReport]
    late: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is pending any more."""
        return not self.late

    def __str__(self) -> str:
        lines = [
            f"{name}: {each.delivered} delivered, {each.pending} pending, {each.failed} failed, "
            f"{each.dropped} dropped{' (not finished)' if name in self.late else ''}"
            for name, each in self.handlers.items()
        ]
        return "\n".join(lines) or "No handler was listened to."


def flush(timeout: float | None = None) -> FlushReport:
    """Have everything sent that was issued until now; return what became of it.

    It waits for all handlers at once, *timeout* seconds at most: those of
    ``CHAIN_CALLBACKS_EXIT_TIMEOUT`` (5) where none are given. Handlers stay in use.
    """
    deadline = time.monotonic() + (options.exit_timeout if timeout is None else timeout)
    requests = [(channel, channel.request_flush(deadline)) for channel in channels()]
    for _, request in requests:
        if request is not None:
            request.done.wait(max(0.0, deadline - time.monotonic()))
    return _report(requests)


def _report(requests: list[tuple[Channel, Flush | None]]) -> FlushReport:
    left = {
        channel.name: request.left if request.done.is_set() else 0
        for channel, request in requests
        if request is not None
    }
    late = [
        channel.name
        for channel, request in requests
        if request is not None
        and (not request.done.is_set() or request.is_given_up or request.left)
    ]
    handlers = {
        name: HandlerReport(
            each.delivered, each.queued + left.get(name, 0), each.failed, each.dropped
        )
        for name, each in stats().items()
    }
    return FlushReport(handlers, tuple(dict.fromkeys(late)))


async def aflush(timeout: float | None = None) -> FlushReport:
    """Do what ``flush`` does, from asynchronous code: the loop goes on meanwhile."""
    return await asyncio.to_thread(flush, timeout)


closers: Final[list[Callable[[], Any]]] = []
"""What lets go of the handlers that a name made, at the end; the resolution puts it here."""


def _end() -> None:
    """Send what is left and close what is open, within the budget; say what was not sent."""
    deadline = time.monotonic() + options.exit_timeout
    try:
        report = flush(options.exit_timeout)
        _say(report)
        for close in closers:
            _bounded(close, deadline)
    except KeyboardInterrupt:
        # The second one: whoever presses it does not want to wait.
        log.warning("Interrupted: %s", "; ".join(_unsent()) or "nothing was left to send")
    summarise()


def _say(report: FlushReport) -> None:
    for name in report.late:
        each = report.handlers[name]
        log.warning(
            "The handler %s did not send everything before the process ended: %d pending, "
            "%d dropped, %d failed. CHAIN_CALLBACKS_EXIT_TIMEOUT is %g seconds, for all handlers.",
            name,
            each.pending,
            each.dropped,
            each.failed,
            options.exit_timeout,
        )


def _unsent() -> list[str]:
    return [f"{name} has {each.queued} pending" for name, each in stats().items() if each.queued]


def _bounded(call: Callable[[], Any], deadline: float) -> None:
    thread = threading.Thread(target=call, name="chain-callbacks-close", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # Python 3.12 starts no thread at the end: it is called all the same.
        call()
        return
    thread.join(max(0.0, deadline - time.monotonic()))


def flush_on_sigterm() -> None:
    """Have SIGTERM send what is left before it ends the process; for a host without one of its own.

    A handler of the signal that is there is called after that. It is to be called in the main
    thread, once; calling it again does nothing.

    Raises:
        ValueError: Called in another thread.
    """
    before = signal.getsignal(signal.SIGTERM)
    if not isinstance(before, _OnSigterm):
        signal.signal(signal.SIGTERM, _OnSigterm(before))


class _OnSigterm:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        _say(flush())
        if callable(self._before):
            self._before(number, frame)
        elif self._before is not signal.SIG_IGN:
            # What would have happened: the process ends by the signal, with its exit status.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


at_end.append(_end)
