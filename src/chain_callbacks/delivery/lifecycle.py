"""The end of the process: everything is sent and closed, within one budget for all handlers.

It comes when the main thread has ended and no other one of the program runs, before
`concurrent.futures` closes its pools: a handler may use one, or resolve the name of a host. If
other threads still run then, what waits is sent, and the end comes after them, when Python calls
its exit functions. It also comes at SIGTERM where the host asked for that.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread as pools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, Final

from ..forks import in_child
from .failures import log, summarise
from .flush import FlushReport, flush_all, flush_channels, stats, wait
from .options import options
from .queue import Channel, channels
from .threads import call_in_thread, reserve

Closing = Callable[[], Iterable[tuple[str, Callable[[], Any]]]]
"""Forgets handlers that are to be closed; returns how to close each, by its name."""

SHARE: Final = 0.05
"""How much of the budget the last steps have, each, when nothing of it is left."""


class Lifecycle:
    """What happens to this process: a fork, a signal, its end; and the time that the end has.

    Attributes:
        enders: What is called at the end to end the streams that are still held.
        closers: What is called after everything was sent, to close the handlers that names made.
    """

    def __init__(self) -> None:
        self.enders: list[Callable[[], Any]] = []
        self.closers: list[Closing] = []
        self._before_end: list[Callable[[], Any]] = []
        self._is_registered = False
        self._begin()

    def _begin(self) -> None:
        self._is_watched = self._is_over = self._is_interrupted = False
        self._spent = 0.0
        self._reported: set[str] = set()
        Channel.send_at_once = None

    def watch(self) -> None:
        """Notice the end of this process, from its first listener on."""
        if self._is_watched:
            return
        self._is_watched = True
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            # Such a child ends without calling exit functions.
            from multiprocessing.util import Finalize

            Finalize(None, self._at_exit, exitpriority=0)
            return
        if not self._is_registered:
            self._is_registered = True
            # What is registered last is called first: before `concurrent.futures`, imported above.
            with suppress(AttributeError, RuntimeError):  # Another Python; it has ended already.
                threading._register_atexit(self._after_main_thread)  # type: ignore[attr-defined]
        atexit.unregister(self._at_exit)  # A forked child has its parent's.
        atexit.register(self._at_exit)

    def before_end(self, function: Callable[[], Any]) -> Callable[[], None]:
        """Have *function* called when the process ends, before handlers are flushed and closed.

        It is for what issues events some time after they happened, and may have some left. At
        SIGTERM it is called if the host asked for that. It runs in a thread of its own and may take
        half of the budget. Calling what is returned takes it back.
        """
        self.watch()
        reserve.fill()
        self._before_end.append(function)

        def take_back() -> None:
            if function in self._before_end:
                self._before_end.remove(function)

        return take_back

    def flush_on_sigterm(self) -> None:
        """Have SIGTERM send what is left before it ends the process; for a host without a handler.

        A handler of the signal that is there is called after that. Call this in the main thread,
        once; calling it again does nothing.

        Raises:
            ValueError: Called in another thread.
        """
        before = signal.getsignal(signal.SIGTERM)
        if not isinstance(before, _OnSigterm):
            signal.signal(signal.SIGTERM, _OnSigterm(lambda: self._send(self._before_end), before))

    def _after_main_thread(self) -> None:
        if self._is_over:
            return
        with reserve.serving():
            if _is_alone():
                self._end()
            else:
                # It may be long until the others end. Their time is not taken from the budget.
                _report_late(flush_all(options.exit_timeout, in_threads=True), self._reported)

    def _at_exit(self) -> None:
        if self._is_watched and not self._is_interrupted:
            with reserve.serving():
                self._end()

    def _end(self) -> None:
        """Send what is left and close what is open, within the budget; log what was not sent."""
        try:
            # What was late the first time, at the end of the main thread, is not waited for again.
            late = frozenset(self._reported) if self._is_over else frozenset[str]()
            self._before_end, functions = [], [*self.enders, *self._before_end]
            self._send(functions, without=late)
            with self._budget() as seconds:
                self._close(seconds)
        except KeyboardInterrupt:
            # The second one: a person does not want to wait.
            self._is_interrupted = True
            left = [f"{name} has {each.queued} pending" for name, each in stats().items()]
            log.warning("Interrupted: %s", "; ".join(left) or "nothing was left to send")
        finally:
            self._is_over = True
            Channel.send_at_once = self._send_at_once
        summarise()

    def _send(
        self, functions: Iterable[Callable[[], Any]], without: frozenset[str] = frozenset()
    ) -> None:
        """Call *functions*, then send what is left, *without* some handlers, within the budget."""
        with self._budget() as seconds:
            deadline = time.monotonic() + seconds
            calls = [("last-words", _tolerant(each)) for each in functions]
            _call_all(calls, seconds / 2)
            left = max(0.0, deadline - time.monotonic())
            report = flush_all(left, in_threads=True, without=without)
        _report_late(report, self._reported)

    def _send_at_once(self, channel: Channel) -> None:
        """Send what was put on a queue after the end: nobody comes to send it later."""
        if sys.is_finalizing():
            return  # No thread runs any more: a handler that hangs would hold the process.
        with reserve.serving(), self._budget() as seconds:
            report = flush_channels([channel], seconds, in_threads=True)
        _report_late(report, self._reported)

    def _close(self, seconds: float) -> None:
        late = _call_all([each for closing in self.closers for each in closing()], seconds)
        if late:
            log.warning(
                "The process ended before these handlers were closed: %s. "
                "CHAIN_CALLBACKS_EXIT_TIMEOUT is %g seconds, for all handlers.",
                ", ".join(late),
                options.exit_timeout,
            )

    @contextmanager
    def _budget(self) -> Iterator[float]:
        """Give the seconds that are left; the end may begin more than once, at SIGTERM first."""
        began, whole, spent = time.monotonic(), options.exit_timeout, self._spent
        try:
            yield max(whole - spent, min(whole * SHARE, whole * (1 + 2 * SHARE) - spent), 0.0)
        finally:
            self._spent += time.monotonic() - began

    def after_fork(self) -> None:
        """Begin anew, in a forked child: its end is its own."""
        was_watched = self._is_watched
        self._begin()
        util = sys.modules.get("multiprocessing.util")
        if was_watched and util is not None:
            # A child of `multiprocessing` forgets what its parent had for the end, then calls this.
            util.register_after_fork(self, Lifecycle.watch)
        if was_watched:
            self.watch()


lifecycle: Final = Lifecycle()
before_end: Final = lifecycle.before_end
flush_on_sigterm: Final = lifecycle.flush_on_sigterm
in_child(lifecycle.after_fork)


@atexit.register
def _last() -> None:
    # What is registered while the interpreter ends is never called: a program that first listens in
    # an exit function of its own has only this, which was registered earlier and so is called last.
    if not lifecycle._is_over:
        lifecycle._at_exit()


def _is_alone() -> bool:
    """Tell whether none of the program's threads may start a run any more, but daemons."""
    here = threading.current_thread()
    return all(
        each.daemon or each is here or each is threading.main_thread() or _is_idle(each)
        for each in threading.enumerate()
    )


def _is_idle(thread: threading.Thread) -> bool:
    """Tell whether *thread* waits for work in a pool that `concurrent.futures` is about to close.

    What cannot be found out about it, in another Python, counts as work.
    """
    queue = getattr(pools, "_threads_queues", {}).get(thread)
    frame = sys._current_frames().get(thread.ident or 0)
    if queue is None or frame is None or not queue.empty():
        return False
    waits = getattr(getattr(pools, "_worker", None), "__code__", None)
    return frame.f_code is waits and frame.f_locals.get("work_item") is None


def _tolerant(function: Callable[[], Any]) -> Callable[[], None]:
    def call() -> None:
        try:
            function()
        except Exception as error:
            log.warning(
                "A function that was to be called before the end of the process failed: %s.",
                type(error).__qualname__,
            )

    return call


def _report_late(report: FlushReport, reported: set[str]) -> None:
    """Log once for each handler that it did not send everything."""
    for name, each in report.handlers.items():
        if name in reported or not (name in report.late or each.dropped):
            continue
        reported.add(name)
        log.warning(
            "The handler %s did not send everything before the process ended: %d pending, "
            "%d dropped, %d failed. CHAIN_CALLBACKS_EXIT_TIMEOUT is %g seconds, for all handlers.",
            name,
            each.pending,
            each.dropped,
            each.failed,
            options.exit_timeout,
        )


def _call_all(functions: Iterable[tuple[str, Callable[[], Any]]], seconds: float) -> list[str]:
    """Call all of them at once, so that one that hangs stops no other; return who is late."""
    deadline = time.monotonic() + seconds
    calls = [(name, _Call(function)) for name, function in functions]
    for name, call in calls:
        if not call_in_thread(call, f"end-{name}"):
            call()
    for _, call in calls:
        wait(call.is_done, deadline)
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


class _OnSigterm:
    def __init__(self, send: Callable[[], None], before: Any) -> None:
        self._send = send
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if any(channel.is_held_here() for channel in channels()) and call_in_thread(
            partial(_signal_again, number), "signal"
        ):
            return  # Nothing can be sent before what it interrupted is over.
        self._send()
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
