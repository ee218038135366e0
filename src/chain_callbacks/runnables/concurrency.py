"""Several calls at a time, in threads or in tasks, each in a fresh copy of the caller's context."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..loops import asyncio

T = TypeVar("T")


def _most(asked: int | None, calls: int) -> int:
    return max(1, min(calls, asked or min(32, (os.cpu_count() or 1) + 4)))


def in_threads(calls: Sequence[Callable[[], T]], *, most: int | None = None) -> list[T]:
    """Return what each of *calls* returns, in their order, *most* of them running at a time.

    Where one raises, no further one is begun, the running ones are awaited, and the exception
    leaves. A pool of its own: a shared one would be full of callers that wait for it.
    """
    if len(calls) <= 1:
        return [contextvars.copy_context().run(call) for call in calls]
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    pending = iter(enumerate(calls))
    lock = threading.Lock()
    snapshot = contextvars.copy_context()

    def work() -> None:
        while True:
            with lock:
                taken = None if failures else next(pending, None)
            if taken is None:
                return
            position, call = taken
            try:
                results[position] = snapshot.copy().run(call)
            except BaseException as error:
                with lock:
                    failures.append(error)

    workers = _most(most, len(calls))
    with ThreadPoolExecutor(workers, thread_name_prefix="chain-callbacks") as pool:
        futures = [pool.submit(work) for _ in range(workers)]
        try:
            for future in futures:
                future.result()
        except BaseException as error:  # An interrupt of the thread that waits.
            with lock:
                failures.append(error)
            raise
    if failures:
        raise failures[0]
    return [results[position] for position in range(len(calls))]


async def in_tasks(
    calls: Iterable[Callable[[], Coroutine[Any, Any, T]]], *, most: int | None = None
) -> list[T]:
    """Return what each of *calls* gives when awaited, in their order, *most* at a time or all.

    Where one raises, the others are cancelled and awaited, and the bare exception leaves.
    """
    numbered = list(enumerate(calls))
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    pending = iter(numbered)
    snapshot = contextvars.copy_context()

    async def work_alone(position: int, call: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            results[position] = await call()
        except BaseException as error:
            task = asyncio.current_task()
            is_cancelled = task is not None and task.cancelling()
            if not (is_cancelled and isinstance(error, asyncio.CancelledError)):
                failures.append(error)
            # Not itself: an interrupt that left a task would stop the loop before the others were
            # cancelled, and a cancellation that the call raised would not count as a failure.
            raise _FailedError from None

    async def work() -> None:
        for position, call in pending:
            # A task of its own gives each call a context of its own.
            await asyncio.create_task(work_alone(position, call), context=snapshot.copy())

    # No `TaskGroup`: before Python 3.13 it leaves its task marked as being cancelled.
    if most is None or most >= len(numbered):
        tasks = [
            asyncio.create_task(work_alone(*each), context=snapshot.copy()) for each in numbered
        ]
    else:
        tasks = [asyncio.create_task(work()) for _ in range(most)]
    await _until_one_fails(tasks)
    if failures:
        raise failures[0]
    if len(results) < len(numbered):
        raise asyncio.CancelledError
    return [results[position] for position in range(len(numbered))]


async def _until_one_fails(tasks: Sequence[asyncio.Task[None]]) -> None:
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _FailedError(Exception):
    """Ends a task whose failure was noted."""
