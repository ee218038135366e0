"""Threads of our own: one loop for asynchronous handlers, one that ends what was collected."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable, Callable

# Its pool cannot be imported any more once the interpreter is ending.
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Final, NoReturn, TypeVar

from ..forks import in_child
from ..loops import asyncio
from .failures import log
from .lifecycle import start

T = TypeVar("T")

_MOST_THREADS: Final = 1_000


class Portal:
    """A thread with an event loop that lives as long as the process, started at the first call.

    One loop for all, because clients are bound to the loop that they were first used on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                loop = asyncio.new_event_loop()
                # With as few threads as usual, handlers that wait in one for a chain whose handlers
                # do so too would soon wait for each other; they are started as they are needed.
                loop.set_default_executor(ThreadPoolExecutor(_MOST_THREADS))
                # A daemon: a handler that hangs must not hold the process at its end.
                thread = threading.Thread(
                    target=_serve, args=(loop,), name="chain-callbacks-loop", daemon=True
                )
                self._thread = thread if start(thread) else None
                self._loop = loop
            return self._loop

    def run(self, awaitable: Awaitable[T]) -> T:
        """Return what *awaitable* gives when awaited on the loop thread, in a copy of this context.

        Raises:
            RuntimeError: Called on the loop thread itself, where waiting would never end.
        """
        loop = self._running_loop()
        if threading.current_thread() is self._thread:
            _refuse(awaitable)
        if self._thread is None:
            return self._run_here(loop, awaitable)
        outcome: Future[T] = Future()

        async def work() -> None:
            try:
                outcome.set_result(await awaitable)
            except BaseException as error:  # To the caller, whatever it is; the loop lives on.
                outcome.set_exception(error)

        context = contextvars.copy_context()
        loop.call_soon_threadsafe(_start, loop, work, context=context)
        return outcome.result()

    def _run_here(self, loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]) -> T:
        """Return the same at the end of the process, where no thread could be started for it."""
        with self._turns:
            if loop.is_running():
                _refuse(awaitable)

            async def work() -> T:
                return await awaitable

            return contextvars.copy_context().run(loop.run_until_complete, work())


def _refuse(awaitable: Awaitable[Any]) -> NoReturn:
    if asyncio.iscoroutine(awaitable):
        awaitable.close()
    raise RuntimeError("an asynchronous handler cannot be waited for on its own loop")


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException as error:
            # A task that a handler left behind raised SystemExit, say: the others still wait here.
            log.warning(
                "A task that a handler started ended with %s. It is not waited for by the run, and "
                "ends nothing else.",
                type(error).__name__,
            )


_tasks: set[asyncio.Task[None]] = set()


def _start(loop: asyncio.AbstractEventLoop, work: Callable[[], Any]) -> None:
    # A loop keeps weak references to its tasks only.
    task = loop.create_task(work())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


class Sweeper:
    """A thread that calls what the collector hands over, started when there is something.

    Not the portal's: what is called may have asynchronous handlers to wait for.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self, function: Callable[[], Any]) -> None:
        """Have *function* called soon; for a finaliser, which may stand inside any lock."""
        # No lock here either: `put` may be interrupted by another finaliser's `put`, and two
        # threads where one was meant do no harm.
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


portal = Portal()
sweeper = Sweeper()
in_child(portal.__init__)  # type: ignore[misc]
in_child(sweeper.__init__)  # type: ignore[misc]
