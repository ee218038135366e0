"""Threads of ours: how one is started, a reserve for the end, and one that closes streams."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Final

from ..forks import in_child
from .failures import log


def start(thread: threading.Thread) -> bool:
    """Start *thread*; return whether that was possible."""
    if sys.is_finalizing():
        return False  # Python 3.11 would wait for it to begin, which it never does.
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def call_in_thread(function: Callable[[], Any], name: str) -> bool:
    """Have *function* called in a daemon thread; return whether there is one."""
    thread = threading.Thread(target=function, name=f"chain-callbacks-{name}", daemon=True)
    return start(thread) or reserve.take(function)


class Reserve:
    """Threads that wait to be needed at the end of the process.

    Python 3.12.0 to 3.12.2 start no thread once the main thread has ended (gh-113964): neither we
    nor a handler that sends through a pool could do anything then. On other versions nothing waits.
    """

    IS_NEEDED: Final = (3, 12) <= sys.version_info[:3] < (3, 12, 3)
    SIZE: Final = 16

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()
        self._last: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()
        self._size = 0
        self._is_filled = self._has_last = False

    def fill(self) -> None:
        """Have the threads wait, if this Python needs them."""
        if self._is_filled or not self.IS_NEEDED:
            return
        self._is_filled = True
        with suppress(RuntimeError):  # It is too late: nothing is taken then.
            _thread.start_new_thread(_call_all, (self._last,))
            self._has_last = True
            while self._size < self.SIZE:
                _thread.start_new_thread(_call_one, (self._calls,))
                self._size += 1

    def take(self, function: Callable[[], Any]) -> bool:
        """Have *function* called by the last of the threads, after what it was given before."""
        if self._size or not self._has_last or sys.is_finalizing():
            return False
        self._last.put((function, ()))
        return True

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Have the threads that anybody starts in this block taken from the reserve."""
        if not self.IS_NEEDED:
            yield
            return
        original: Any = threading._start_new_thread  # type: ignore[attr-defined]

        def start_new_thread(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
            if not self._size:
                return original(function, arguments)
            self._size -= 1
            self._calls.put((function, arguments))
            return 0

        threading._start_new_thread = start_new_thread  # type: ignore[attr-defined]
        try:
            yield
        finally:
            threading._start_new_thread = original  # type: ignore[attr-defined]


def _call_one(calls: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]]) -> None:
    function, arguments = calls.get()
    function(*arguments)


def _call_all(calls: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]]) -> None:
    while True:
        try:
            _call_one(calls)
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), None)))


class Sweeper:
    """A thread that calls what the collector hands over, started when there is something.

    Not the loop's thread: what is called may have asynchronous handlers to wait for.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self, function: Callable[[], Any]) -> None:
        """Have *function* called soon; for a finaliser, whose thread may hold any lock."""
        # No lock here either: `put` may be interrupted by another finaliser's `put`, and two
        # threads instead of one do no harm.
        self._calls.put(function)
        if self._thread is None:
            self._thread = thread = threading.Thread(
                target=self._sweep, name="chain-callbacks-sweeper", daemon=True
            )
            if not start(thread):
                self._thread = None  # A flush calls it.

    def wait(self, seconds: float) -> None:
        """Return when what was taken until now has been called, after *seconds* at the latest."""
        thread = self._thread
        if thread is None:
            while not self._calls.empty():
                _call(self._calls.get())
        elif threading.current_thread() is not thread:
            is_done = threading.Event()
            self._calls.put(is_done.set)
            is_done.wait(seconds)

    def _sweep(self) -> None:
        while True:
            # Nothing is kept alive while waiting for the next one.
            _call(self._calls.get())


def _call(function: Callable[[], Any]) -> None:
    try:
        function()
    except BaseException:
        log.warning("A stream that nobody held any more failed to close.", exc_info=True)


reserve: Final = Reserve()
sweeper: Final = Sweeper()
# The child has no such threads.
in_child(reserve.__init__)  # type: ignore[misc]
in_child(sweeper.__init__)  # type: ignore[misc]
