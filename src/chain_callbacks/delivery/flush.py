"""The end: everything that is queued or held is sent, within one budget for all handlers.

It comes when a program asks for it, when the interpreter ends, when a child of `multiprocessing`
does, and at SIGTERM where the host asked for that.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, ClassVar, Final, NamedTuple

from ..dispatch.options import options
from ..loops import asyncio
from .counters import all_counters
from .failures import log, summarise
from .lifecycle import at_end, call_in_thread, phase, spare, watch
from .loop_thread import sweeper
from .queue import Channel, Flush, at_once, channels

SLICE: Final = 0.1
"""Seconds until a second Ctrl-C ends a flush, at most."""


class HandlerStats(NamedTuple):
    """The counts of one handler in this process.

    Attributes:
        delivered: Events that it was told, and dealt with.
        failed: How often it raised.
        dropped: Events that found no room in its queue, and what it says that it let go itself.
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
    """Have everything sent that was issued until now; return what became of it.

    It waits for all handlers at once, *timeout* seconds at most: those of
    ``CHAIN_CALLBACKS_EXIT_TIMEOUT`` (5) where none are given. Handlers stay in use.
    """
    seconds = options.exit_timeout if timeout is None else timeout
    sweeper.wait(seconds / 2)  # A collected stream ends there, and its end is an event.
    return _flush(channels(), seconds)


def flush_those(handlers: Iterable[object]) -> FlushReport:
    """Do what ``flush`` does, for some handlers: those that are about to be closed."""
    ids = {id(each) for each in handlers}
    return _flush([each for each in channels() if id(each.handler) in ids], options.exit_timeout)


def _flush(those: Iterable[Channel], timeout: float) -> FlushReport:
    deadline = time.monotonic() + timeout
    requests = [(channel, channel.request_flush(deadline)) for channel in those]
    for _, request in requests:
        if request is not None:
            _wait(request.done, deadline)
    return _report(requests)


def _wait(event: threading.Event, deadline: float) -> bool:
    """Wait in slices: a signal that comes right before a wait begins is seen after it only."""
    while not event.wait(min(SLICE, max(0.0, deadline - time.monotonic()))):
        if time.monotonic() >= deadline:
            return False
    return True


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


async def aflush(timeout: float | None = None) -> FlushReport:
    """Do what ``flush`` does, from asynchronous code: the loop goes on meanwhile."""
    return await asyncio.to_thread(flush, timeout)


Closing = Callable[[], list[tuple[str, Callable[[], Any]]]]

closers: Final[list[Closing]] = []
"""What lets go of the handlers that a name made, each by its name; the resolution puts it here."""


_latecomers: Final[list[Callable[[], Any]]] = []


def before_end(function: Callable[[], Any]) -> Callable[[], None]:
    """Have *function* called when the process ends, before the handlers are flushed and closed.

    It is for who tells of runs some time after they were, and has some left to tell. At SIGTERM it
    is called where the host asked for that, in a thread of its own: it may take half of the budget.
    Calling what is returned takes it back.
    """
    watch()
    spare.ready()
    _latecomers.append(function)

    def take_back() -> None:
        if function in _latecomers:
            _latecomers.remove(function)

    return take_back


class _Budget:
    """The seconds of the end: it may begin more than once, by SIGTERM and by what that leads to."""

    SHARE: Final = 0.05
    """What comes last may take that much of the whole, in all twice that, where nothing is left."""

    spent = 0.0
    told: ClassVar[set[str]] = set()

    def __enter__(self) -> float:
        """Return the seconds that are left."""
        self._began_at = time.monotonic()
        phase.is_ending = True
        whole, spent = options.exit_timeout, _Budget.spent
        return max(whole - spent, min(whole * self.SHARE, whole * (1 + 2 * self.SHARE) - spent), 0)

    def __exit__(self, *_: object) -> None:
        phase.is_ending = False
        _Budget.spent += time.monotonic() - self._began_at


def _end() -> None:
    """Send what is left and close what is open, within the budget; say what was not sent."""
    try:
        _send()
        with _Budget() as seconds:
            _close(seconds)
    except KeyboardInterrupt:
        # The second one: whoever presses it does not want to wait.
        log.warning("Interrupted: %s", "; ".join(_unsent()) or "nothing was left to send")
    summarise()


def _send() -> None:
    with _Budget() as seconds:
        deadline = time.monotonic() + seconds
        if _latecomers:
            _call_at_once([("last-words", _tolerant(each)) for each in _latecomers], seconds / 2)
        report = flush(max(0.0, deadline - time.monotonic()))
    _say(report)


def _tolerant(function: Callable[[], Any]) -> Callable[[], None]:
    def call() -> None:
        try:
            function()
        except Exception as error:
            log.warning(
                "What tells of runs late failed at the end of the process: %s.",
                type(error).__qualname__,
            )

    return call


def _say(report: FlushReport) -> None:
    for name, each in report.handlers.items():
        if name in _Budget.told or not (name in report.late or each.dropped):
            continue
        _Budget.told.add(name)
        log.warning(
            "The handler %s did not send everything before the process ended: %d pending, "
            "%d dropped, %d failed. CHAIN_CALLBACKS_EXIT_TIMEOUT is %g seconds, for all handlers.",
            name,
            each.pending,
            each.dropped,
            each.failed,
            options.exit_timeout,
        )


def _send_at_once(channel: Channel) -> None:
    """Send what was put on a queue after the end: nobody comes to send it any more."""
    with _Budget() as seconds:
        deadline = time.monotonic() + seconds
        request = channel.request_flush(deadline)
        if request is not None:
            _wait(request.done, deadline)
    if request is not None:
        _say(_report([(channel, request)]))


def _unsent() -> list[str]:
    return [f"{name} has {each.queued} pending" for name, each in stats().items() if each.queued]


def _close(seconds: float) -> None:
    closings = [(name, close) for closing in closers for name, close in closing()]
    late = _call_at_once(closings, seconds)
    if late:
        log.warning(
            "The process ended before these handlers were closed: %s. CHAIN_CALLBACKS_EXIT_TIMEOUT "
            "is %g seconds, for all handlers.",
            ", ".join(late),
            options.exit_timeout,
        )


def _call_at_once(functions: Iterable[tuple[str, Callable[[], Any]]], seconds: float) -> list[str]:
    """Call all of them, so that one that hangs keeps no other from it; return who is late."""
    deadline = time.monotonic() + seconds
    calls = [(name, _Call(function)) for name, function in functions]
    for name, call in calls:
        if not call_in_thread(call, f"end-{name}"):
            call()
    for _, call in calls:
        _wait(call.is_done, deadline)
    return [name for name, call in calls if not call.is_done.is_set()]


class _Call:
    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.is_done = threading.Event()

    def __call__(self) -> None:
        try:
            self._function()
        finally:
            self.is_done.set()


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
        if any(channel.is_held_here() for channel in channels()) and call_in_thread(
            partial(_signal_again, number), "signal"
        ):
            return  # Nothing can be sent before what it interrupted is over.
        _send()
        if callable(self._before):
            self._before(number, frame)
        elif self._before is not signal.SIG_IGN:
            # What would have happened: the process ends by the signal, with its exit status.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _signal_again(number: int) -> None:
    time.sleep(0.01)
    main = threading.main_thread()
    if hasattr(signal, "pthread_kill") and main.ident is not None:
        signal.pthread_kill(main.ident, number)  # It may wait for something by now.
    else:
        signal.raise_signal(number)


at_end.append(_end)
at_once.append(_send_at_once)
