"""The end of the process, and its threads: whoever has something to do at the end says so here."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from ..forks import in_child

at_end: Final[list[Callable[[], Any]]] = []
"""What is called at the end, in this order."""


class _Watch:
    is_on = False
    is_over = False


class Phase:
    """Where the process stands; *is_ending* while what is left is sent within the budget."""

    is_ending = False


phase: Final = Phase()


def watch() -> None:
    """Have the end of this process noticed, from its first listener on."""
    if _Watch.is_on:
        return
    _Watch.is_on = True
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        # Such a child ends without the interpreter's own end.
        from multiprocessing.util import Finalize

        Finalize(None, _end, exitpriority=0)
    else:
        atexit.unregister(_end)  # A child that was forked has its parent's.
        atexit.register(_end)


def is_over() -> bool:
    """Tell whether the end has come: nobody sends later what is put on a queue now."""
    return _Watch.is_over


def _end() -> None:
    try:
        for call in at_end:
            call()
    finally:
        _Watch.is_over = True


@atexit.register
def _last() -> None:
    # What is registered while the interpreter ends is never called, so that a program that first
    # listens in an exit function of its own has only this.
    if _Watch.is_on and not _Watch.is_over:
        _end()
    _Watch.is_over = True


def start(thread: threading.Thread) -> bool:
    """Start *thread*; return whether that was possible."""
    if sys.is_finalizing():
        return False  # Python 3.11 would wait for ever for it to begin.
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def call_in_thread(function: Callable[[], Any], name: str) -> bool:
    """Call *function* in a thread; return whether a thread was available."""
    thread = threading.Thread(target=function, name=f"chain-callbacks-{name}", daemon=True)
    return start(thread) or spare.take(function)


class Spare:
    """A thread that is there at the end: Python 3.12 starts none once the main one is over."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any]] | None = None

    def ready(self) -> None:
        """Have the thread, on the Python that needs it."""
        if self._calls is not None or sys.version_info[:2] != (3, 12):
            return
        calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        target = threading.Thread(
            target=_call_all, args=(calls,), name="chain-callbacks-end", daemon=True
        )
        if start(target):
            self._calls = calls

    def take(self, function: Callable[[], Any]) -> bool:
        """Have *function* called once what was taken before has returned; False without a thread.

        What it raises ends with it.
        """
        if self._calls is None or sys.is_finalizing():
            return False
        self._calls.put(function)
        return True


def _call_all(calls: SimpleQueue[Callable[[], Any]]) -> None:
    while True:
        function = calls.get()
        try:
            function()
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), None)))
        del function


spare: Final = Spare()


@in_child
def _renew() -> None:
    is_on, _Watch.is_on, _Watch.is_over = _Watch.is_on, False, False
    spare.__init__()  # type: ignore[misc]
    util = sys.modules.get("multiprocessing.util")
    if is_on and util is not None:
        # A child of `multiprocessing` forgets what its parent had for the end, then calls this.
        util.register_after_fork(_Watch, lambda _: watch())
