"""One thread with an event loop, on which asynchronous handlers are awaited for sync callers."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Awaitable, Callable

# Imported before the end: `concurrent.futures` closes its pools in a function that it registers
# when it is imported, and our end of the process comes before what was registered earlier.
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, NoReturn, TypeVar

from ..forks import in_child
from ..loops import asyncio
from .failures import log
from .threads import start

T = TypeVar("T")


class LoopThread:
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
                loop.set_default_executor(_Pool())
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
            RuntimeError: Called on the loop thread itself, or when the interpreter is torn down:
                waiting would never end.
        """
        loop = self._running_loop()
        if threading.current_thread() is self._thread:
            _refuse(awaitable)
        if sys.is_finalizing():
            _refuse(awaitable, "while the interpreter is torn down")
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
        """Return the same at the end of the process, when no thread could be started for it."""
        with self._turns:
            if loop.is_running():
                _refuse(awaitable)

            async def work() -> T:
                return await awaitable

            return contextvars.copy_context().run(loop.run_until_complete, work())


def _refuse(awaitable: Awaitable[Any], when: str = "on its own loop") -> NoReturn:
    if asyncio.iscoroutine(awaitable):
        awaitable.close()
    raise RuntimeError(f"an asynchronous handler cannot be waited for {when}")


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


class _Pool(ThreadPoolExecutor):
    """The threads of the loop: for ``asyncio.to_thread``, and for resolving the names of hosts.

    They are daemons, so a handler that hangs in one holds no process at its end; and they take work
    as long as threads start, when `concurrent.futures` has closed its pools. A new one is started
    if none is free: handlers that wait in one for a chain whose handlers do so too must not wait
    for each other.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # asyncio insists on the class; nothing of it is used.
        self._free = threading.Semaphore(0)
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have *fn* called in a thread; return its future."""
        future: Future[Any] = Future()
        if not self._free.acquire(blocking=False) and not start(
            threading.Thread(target=self._serve, name="chain-callbacks-pool", daemon=True)
        ):
            raise RuntimeError("no thread can be started any more")
        self._calls.put((future, partial(fn, *args, **kwargs)))
        return future

    def _serve(self) -> None:
        while True:
            future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del future, call  # Nothing is kept alive while waiting for the next one.
            self._free.release()


loop_thread: Final = LoopThread()
# The child has no such thread, and a thread that it has not either may hold the lock.
in_child(loop_thread.__init__)  # type: ignore[misc]
