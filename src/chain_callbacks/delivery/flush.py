"""Sending what is queued or held, for all handlers within one time; and what became of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..loops import asyncio
from .counters import all_counters
from .options import options
from .queue import Channel, Flush, channels
from .threads import sweeper

SLICE: Final = 0.1
"""Seconds until a second Ctrl-C ends a flush, at most."""


class HandlerStats(NamedTuple):
    """The counts of one handler in this process.

    Attributes:
        delivered: Events that it was called with, and dealt with.
        failed: How often it raised.
        dropped: Events that found no room in its queue, and those that it says it dropped itself.
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
            each.dropped + sum(channel.let_go for channel in found if channel.counters is each),
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
    """Send everything that was issued until now; return what became of it.

    It waits for all handlers at once, *timeout* seconds at most: those of
    ``CHAIN_CALLBACKS_EXIT_TIMEOUT`` (5) if none are given. Handlers stay in use.
    """
    seconds = options.exit_timeout if timeout is None else timeout
    return flush_all(seconds)


async def aflush(timeout: float | None = None) -> FlushReport:
    """Do what ``flush`` does, from asynchronous code: the loop goes on meanwhile."""
    return await asyncio.to_thread(flush, timeout)


def flush_all(
    seconds: float, *, in_threads: bool = False, without: frozenset[str] = frozenset()
) -> FlushReport:
    """Send everything; *in_threads* of their own even if the settings want none.

    *without* names handlers that are not waited for.
    """
    sweeper.wait(seconds / 2)  # A collected stream ends there, and its end is an event.
    those = [each for each in channels() if each.name not in without]
    return flush_channels(those, seconds, in_threads=in_threads)


def flush_handlers(handlers: Iterable[object]) -> FlushReport:
    """Do what ``flush`` does, for some handlers: those that are about to be closed."""
    ids = {id(each) for each in handlers}
    found = [each for each in channels() if id(each.handler) in ids]
    return flush_channels(found, options.exit_timeout)


def flush_channels(
    those: Iterable[Channel], seconds: float, *, in_threads: bool = False
) -> FlushReport:
    """Do what ``flush_all`` does, for some channels."""
    deadline = time.monotonic() + seconds
    requests = [
        (channel, channel.request_flush(deadline, in_thread=in_threads)) for channel in those
    ]
    for _, request in requests:
        if request is not None:
            wait(request.done, deadline)
    return _report(requests)


def wait(event: threading.Event, deadline: float) -> None:
    """Wait until *event* or *deadline*, a time of ``time.monotonic``.

    In slices: a signal that comes right before a wait begins is seen after it only.
    """
    while not event.wait(min(SLICE, max(0.0, deadline - time.monotonic()))):
        if time.monotonic() >= deadline:
            return


def _report(requests: list[tuple[Channel, Flush | None]]) -> FlushReport:
    left: Counter[str] = Counter()
    for channel, request in requests:
        if request is not None and request.done.is_set():
            left[channel.name] += request.left
    late = [
        channel.name
        for channel, request in requests
        if request is not None
        and (not request.done.is_set() or request.is_given_up or request.left)
    ]
    handlers = {
        name: HandlerReport(each.delivered, each.queued + left[name], each.failed, each.dropped)
        for name, each in stats().items()
    }
    return FlushReport(handlers, tuple(dict.fromkeys(late)))
