"""Steps one after the other, and steps side by side."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Final, Generic, TypeVar

from ..dispatch.run import Run
from ..events import MAP_KEY, SEQUENCE_STEP, Step
from ..loops import asyncio
from . import concurrency
from .base import Input, Output, Runnable, coerced
from .chunks import Whole
from .config import RunnableConfig, limits_here
from .inner import aclosed_after
from .streaming import closed_after

T = TypeVar("T")

_DONE: Final = object()


def config_at(run: Run | None, step: Step, place: object) -> RunnableConfig | None:
    """Return the config of a step nested in *run*, its run tagged with where it stands.

    None where no run was made.
    """
    return None if run is None else {"callbacks": run.get_child(step.tag(place))}


class RunnableSequence(Runnable[Input, Output]):
    """Steps of which each gets the output of the one before; a chunk flows on as soon as it can.

    A sequence in it that has no name and no callbacks of its own is taken apart into its steps.
    """

    def __init__(self, *steps: Any, name: str | None = None, callbacks: Any = None) -> None:
        super().__init__(name=name, callbacks=callbacks)
        flat: list[Runnable[Any, Any]] = []
        for step in map(coerced, steps):
            is_plain = type(step) is RunnableSequence and not (step.name or step.attachments)
            flat.extend(step.steps if is_plain else (step,))  # type: ignore[attr-defined]
        if not flat:
            raise TypeError("A RunnableSequence has no steps. Pass at least one.")
        self.steps = tuple(flat)

    def _invoke(self, input: Input, *, run: Run | None = None, **kwargs: Any) -> Output:
        value: Any = input
        for number, step in enumerate(self.steps, start=1):
            value = step.invoke(value, config_at(run, SEQUENCE_STEP, number), **kwargs)
            kwargs = {}
        return value  # type: ignore[no-any-return]

    async def _ainvoke(self, input: Input, *, run: Run | None = None, **kwargs: Any) -> Output:
        value: Any = input
        for number, step in enumerate(self.steps, start=1):
            value = await step.ainvoke(value, config_at(run, SEQUENCE_STEP, number), **kwargs)
            kwargs = {}
        return value  # type: ignore[no-any-return]

    def _is_flowing(self) -> bool:
        return self.steps[0]._is_flowing()

    def _transform(
        self, chunks: Iterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> Iterator[Output]:
        flow: Any = chunks
        with contextlib.ExitStack() as stack:
            for number, step in enumerate(self.steps, start=1):
                flow = step.transform(flow, config_at(run, SEQUENCE_STEP, number), **kwargs)
                stack.enter_context(closed_after(flow))
                kwargs = {}
            yield from flow

    async def _atransform(
        self, chunks: AsyncIterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> AsyncIterator[Output]:
        flow: Any = chunks
        async with contextlib.AsyncExitStack() as stack:
            for number, step in enumerate(self.steps, start=1):
                flow = step.atransform(flow, config_at(run, SEQUENCE_STEP, number), **kwargs)
                flow = await stack.enter_async_context(aclosed_after(flow))
                kwargs = {}
            async for chunk in flow:
                yield chunk

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.steps))


class RunnableParallel(Runnable[Input, dict[str, Any]]):
    """Steps that all get the same input; the output is a dict of theirs, by key.

    They run at the same time, in threads or in tasks. Where one fails, the others are awaited in
    threads, cancelled and awaited in tasks, and then the bare exception leaves.
    """

    def __init__(
        self,
        steps: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        callbacks: Any = None,
        **more: Any,
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        self.steps = {key: coerced(step) for key, step in {**(steps or {}), **more}.items()}
        self._unnamed = f"{type(self).__name__}<{','.join(self.steps)}>"

    def _invoke(self, input: Input, *, run: Run | None = None, **kwargs: Any) -> dict[str, Any]:
        calls = [
            partial(step.invoke, input, config_at(run, MAP_KEY, key), **kwargs)
            for key, step in self.steps.items()
        ]
        outputs = concurrency.in_threads(calls, most=_branches(len(calls)))
        return dict(zip(self.steps, outputs, strict=True))

    async def _ainvoke(
        self, input: Input, *, run: Run | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        calls = [
            partial(step.ainvoke, input, config_at(run, MAP_KEY, key), **kwargs)
            for key, step in self.steps.items()
        ]
        outputs = await concurrency.in_tasks(calls, most=_branches(len(calls)))
        return dict(zip(self.steps, outputs, strict=True))

    def _is_flowing(self) -> bool:
        return any(step._is_flowing() for step in self.steps.values())

    def _transform(
        self, chunks: Iterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        shared = _Tee(chunks, len(self.steps))
        flows: dict[str, Any] = {
            key: step.transform(shared.copy(position), config_at(run, MAP_KEY, key), **kwargs)
            for position, (key, step) in enumerate(self.steps.items())
        }
        pending: dict[Future[Any], str] = {}
        # A thread a branch: a branch that waits for the shared input must not keep another out.
        with (
            contextlib.ExitStack() as stack,
            ThreadPoolExecutor(max(1, len(flows)), thread_name_prefix="chain-callbacks") as pool,
        ):
            for flow in flows.values():
                stack.enter_context(closed_after(flow))

            def pull(key: str) -> None:
                step = partial(next, flows[key], _DONE)
                pending[pool.submit(contextvars.copy_context().run, step)] = key

            try:
                for key in flows:
                    pull(key)
                while pending:
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in sorted(done, key=lambda each: [*flows].index(pending[each])):
                        key = pending.pop(future)
                        chunk = future.result()
                        if chunk is not _DONE:
                            yield {key: chunk}
                            pull(key)
            finally:
                wait(pending)

    async def _atransform(
        self, chunks: AsyncIterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> AsyncIterator[dict[str, Any]]:
        shared = _AsyncTee(chunks, len(self.steps))
        flows: dict[str, Any] = {
            key: step.atransform(shared.copy(position), config_at(run, MAP_KEY, key), **kwargs)
            for position, (key, step) in enumerate(self.steps.items())
        }
        pending: dict[asyncio.Task[Any], str] = {}

        def pull(key: str) -> None:
            pending[asyncio.create_task(_anext(flows[key]))] = key

        async with contextlib.AsyncExitStack() as stack:
            for key, flow in flows.items():
                flows[key] = await stack.enter_async_context(aclosed_after(flow))
            try:
                for key in flows:
                    pull(key)
                while pending:
                    done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    for task in sorted(done, key=lambda each: [*flows].index(pending[each])):
                        key = pending.pop(task)
                        chunk = task.result()
                        if chunk is not _DONE:
                            yield {key: chunk}
                            pull(key)
            finally:
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)

    def __repr__(self) -> str:
        return repr(self.steps)


def _branches(count: int) -> int:
    # All at once unless somebody limits it: a branch may wait for what another one does.
    return limits_here().get("max_concurrency") or max(1, count)


async def _anext(flow: AsyncIterator[Any]) -> Any:
    return await anext(flow, _DONE)


class _Tee(Generic[T]):
    """One stream for several readers in threads; each item is pulled by whoever wants it first."""

    def __init__(self, chunks: Iterator[T], readers: int) -> None:
        self._chunks = chunks
        self._queues: list[deque[T]] = [deque() for _ in range(readers)]
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def copy(self, position: int) -> Iterator[T]:
        """Return the reader at *position*; of an input that is known, one that knows it too."""
        if isinstance(self._chunks, Whole):
            return Whole(self._chunks.value)
        return self._read(self._queues[position])

    def _read(self, queue: deque[T]) -> Iterator[T]:
        while True:
            if not queue:
                with self._lock:
                    if not queue:
                        item: Any = self._pull()
                        if item is _DONE:
                            return
                        for each in self._queues:
                            each.append(item)
            yield queue.popleft()

    def _pull(self) -> Any:
        # A stream that failed would look like one that is complete to the next one who asks.
        if self._failure is not None:
            raise self._failure
        try:
            return next(self._chunks, _DONE)
        except BaseException as error:
            self._failure = error
            raise


class _AsyncTee(Generic[T]):
    """One stream for several readers in tasks."""

    def __init__(self, chunks: AsyncIterator[T], readers: int) -> None:
        self._chunks = chunks
        self._queues: list[deque[T]] = [deque() for _ in range(readers)]
        self._lock = asyncio.Lock()
        self._failure: BaseException | None = None

    def copy(self, position: int) -> AsyncIterator[T]:
        """Return the reader at *position*; of an input that is known, one that knows it too."""
        if isinstance(self._chunks, Whole):
            return Whole(self._chunks.value)
        return _AsyncReader(self, self._queues[position])

    async def fill(self, queue: deque[T]) -> None:
        """Pull an item for all where there is none for the reader of *queue*, if one is left."""
        async with self._lock:
            if not queue:
                item: Any = await self._pull()
                if item is not _DONE:
                    for each in self._queues:
                        each.append(item)

    async def _pull(self) -> Any:
        if self._failure is not None:
            raise self._failure
        try:
            return await anext(self._chunks, _DONE)
        except BaseException as error:
            self._failure = error
            raise


class _AsyncReader(AsyncIterator[T]):
    """One of several readers; no generator, which somebody would have to close."""

    def __init__(self, tee: _AsyncTee[T], queue: deque[T]) -> None:
        self._tee = tee
        self._queue = queue

    async def __anext__(self) -> T:
        if not self._queue:
            await self._tee.fill(self._queue)
        if not self._queue:
            raise StopAsyncIteration
        return self._queue.popleft()
