"""Several calls at a time, in threads or in tasks, each in a fresh copy of the caller's context."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def _most(asked: int | None, calls: int) -> int:
    return max(1, min(calls, asked or min(32, (os.cpu_count() or 1) + 4)))


def in_threads(calls: Sequence[Callable[[], T]], *, most: int | None = None) -> list[T]:
    """Return what each of *calls* returns, in their order, *most* of them running at a time.

    Where one raises, no further one is begun, the running ones are awaited, and the exception
    leaves. A pool of its own: a shared one would be full of callers that wait for it.
    """
    if len(calls) == 1:
        return [contextvars.copy_context().run(calls[0])]
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
    pending = iter(numbered)
    snapshot = contextvars.copy_context()

    async def work() -> None:
        for position, call in pending:
            # A task of its own gives each call a context of its own.
            await asyncio.create_task(work_alone(position, call), context=snapshot.copy())

    async def work_alone(position: int, call: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            results[position] = await call()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this task: the call raised it, and a group would pass over that.
            raise _Raised(error) from None
        except (KeyboardInterrupt, SystemExit) as error:
            # Out of a task it would stop the loop before the other calls were cancelled, and once
            # more for each task around this one. It leaves from the outermost.
            raise _Raised(error) from None

    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            if most is None or most >= len(numbered):
                for position, call in numbered:
                    group.create_task(work_alone(position, call), context=snapshot.copy())
            else:
                for _ in range(most):
                    group.create_task(work())
    except BaseExceptionGroup as failed:
        failure = failed.exceptions[0]
    if isinstance(failure, _Raised):
        failure = failure.error
    if failure is not None:
        raise failure
    return [results[position] for position in range(len(numbered))]


class _Raised(Exception):  # noqa: N818  No error of its own: it carries one past a task group.
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
