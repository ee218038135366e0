"""A step with more around it: bound arguments, attempts, alternatives."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, Self, TypeAlias

from ..dispatch.run import Run
from ..events import RETRY_ATTEMPT
from ..loops import asyncio
from ..resolution.sources import Attachments
from .base import Input, Output, Runnable
from .chunks import Whole, combined
from .composition import config_at
from .config import RunnableConfig, check, merged
from .inner import aclosed_after, inside
from .outputs import RetryState

_DONE: Final = object()
_LONGEST_PAUSE: Final = 60.0

ExceptionTypes: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]


def _several(types: ExceptionTypes) -> tuple[type[BaseException], ...]:
    return (types,) if isinstance(types, type) else tuple(types)


class RunnableBinding(Runnable[Input, Output]):
    """A step with keyword arguments and a config that every call adds to; it makes no run.

    Callbacks bound later come after those bound earlier, and after the step's own.
    """

    def __init__(
        self,
        bound: Runnable[Input, Output],
        *,
        kwargs: Mapping[str, Any] | None = None,
        config: RunnableConfig | None = None,
    ) -> None:
        super().__init__()
        config = {**(config or {})}
        check(config)
        callbacks = config.pop("callbacks", None)
        self.bound = bound
        self.kwargs = {**(kwargs or {})}
        self.config = config
        self.attached = (
            None
            if callbacks is None
            else Attachments(callbacks, f"{bound.get_name()}.with_config(callbacks)")
        )

    @property
    def attachments(self) -> Attachments | None:  # type: ignore[override]
        """None: what is bound is handed to the bound step with each call."""
        return None

    def get_name(self) -> str:
        """Return what its runs are called: they are the bound step's."""
        return self.config.get("run_name") or self.bound.get_name()

    def _config(self, config: RunnableConfig | None) -> RunnableConfig:
        if config is not None:
            check(config)
        return merged(self.config, self.attached, config)

    def explained(self, config: RunnableConfig | None) -> tuple[Attachments | None, Any]:
        """Return what the bound step is resolved from, with what is bound to it."""
        return self.bound.explained(self._config(config))

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:
        """Invoke the bound step."""
        return self.bound.invoke(input, self._config(config), **{**self.kwargs, **kwargs})

    async def ainvoke(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Output:
        """Invoke the bound step."""
        return await self.bound.ainvoke(input, self._config(config), **{**self.kwargs, **kwargs})

    def batch(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Invoke the bound step on each input."""
        configs = [self._config(each) for each in self._configs(inputs, config)]
        return self.bound.batch(
            inputs, configs, return_exceptions=return_exceptions, **{**self.kwargs, **kwargs}
        )

    async def abatch(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Invoke the bound step on each input."""
        configs = [self._config(each) for each in self._configs(inputs, config)]
        return await self.bound.abatch(
            inputs, configs, return_exceptions=return_exceptions, **{**self.kwargs, **kwargs}
        )

    def transform(
        self, chunks: Iterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Output]:
        """Stream the bound step on an input that comes in chunks."""
        return self.bound.transform(chunks, self._config(config), **{**self.kwargs, **kwargs})

    def atransform(
        self, chunks: AsyncIterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Output]:
        """Stream the bound step on an input that comes in chunks."""
        return self.bound.atransform(chunks, self._config(config), **{**self.kwargs, **kwargs})

    def _is_flowing(self) -> bool:
        return self.bound._is_flowing()

    def __getattr__(self, name: str) -> Any:
        # `bind_tools` and the like are the bound step's; `bound` itself may not be set yet.
        if name.startswith("_") or name == "bound":
            raise AttributeError(name)
        return getattr(self.bound, name)

    def __repr__(self) -> str:
        return f"RunnableBinding({self.bound!r})"


class _Tries:
    """Entered round each try, it swallows the exceptions after which something else is tried."""

    def __init__(self, exceptions: tuple[type[BaseException], ...]) -> None:
        self.exceptions = exceptions
        self.failures: list[BaseException] = []

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, self.exceptions):
            return False
        self.failures.append(error)
        return True

    def failed(self, which: int) -> BaseException:
        """Return the first failure (0) or the last (-1), and hold none of them any longer."""
        failures, self.failures = self.failures, []
        return failures[which] if failures else RuntimeError("There was nothing to try.")


_random: Final = random.Random()  # noqa: S311  A program's own random numbers stay as they are.


class _Attempts(_Tries):
    """The attempts at one call, each as its config; all but the first follow a failure.

    No generator, which an asynchronous loop would have to close.
    """

    def __init__(self, retry: RunnableRetry[Any, Any], run: Run | None) -> None:
        super().__init__(retry.retry_if_exception_type)
        self.run = run
        self.most = retry.stop_after_attempt
        self.has_pauses = retry.wait_exponential_jitter

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> RunnableConfig | None:
        if len(self.failures) == self.most:
            raise StopIteration
        if self.failures:
            state = self._state()
            if self.run is not None:
                self.run.on_retry(state)
            if state.idle_for:
                time.sleep(state.idle_for)
        return self._config()

    async def __anext__(self) -> RunnableConfig | None:
        if len(self.failures) == self.most:
            raise StopAsyncIteration
        if self.failures:
            state = self._state()
            if self.run is not None:
                await self.run.aon_retry(state)
            if state.idle_for:
                await asyncio.sleep(state.idle_for)
        return self._config()

    def _config(self) -> RunnableConfig | None:
        return config_at(self.run, RETRY_ATTEMPT, len(self.failures) + 1)

    def _state(self) -> RetryState:
        number, error = len(self.failures), self.failures[-1]
        outcome: Future[Any] = Future()
        outcome.set_exception(error)
        pause = min(_LONGEST_PAUSE, 2.0 ** (number - 1) + _random.random())
        return RetryState(number, outcome, pause if self.has_pauses else 0.0)


class RunnableRetry(Runnable[Input, Output]):
    """Tries its step again after a failure; each attempt is a run below its own.

    A stream is tried again only while nothing has been given of it.
    """

    def __init__(
        self,
        bound: Runnable[Input, Output],
        *,
        retry_if_exception_type: ExceptionTypes = (Exception,),
        wait_exponential_jitter: bool = True,
        stop_after_attempt: int = 3,
        name: str | None = None,
        callbacks: Any = None,
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        if stop_after_attempt < 1:
            raise ValueError(f"stop_after_attempt is {stop_after_attempt}; it must be at least 1.")
        self.bound = bound
        self.retry_if_exception_type = _several(retry_if_exception_type)
        self.wait_exponential_jitter = wait_exponential_jitter
        self.stop_after_attempt = stop_after_attempt

    def _invoke(self, input: Input, *, run: Run | None = None, **kwargs: Any) -> Output:
        attempts = _Attempts(self, run)
        for config in attempts:
            with attempts:
                return self.bound.invoke(input, config, **kwargs)
        raise attempts.failed(-1)

    async def _ainvoke(self, input: Input, *, run: Run | None = None, **kwargs: Any) -> Output:
        attempts = _Attempts(self, run)
        async for config in attempts:
            with attempts:
                return await self.bound.ainvoke(input, config, **kwargs)
        raise attempts.failed(-1)

    def _transform(
        self, chunks: Iterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> Iterator[Output]:
        input = combined(list(chunks))
        attempts = _Attempts(self, run)
        for config in attempts:
            flow: Any = self.bound.transform(Whole(input), config, **kwargs)
            with attempts:
                first = next(flow, _DONE)
                break
        else:
            raise attempts.failed(-1)
        yield from _rest(first, flow)

    async def _atransform(
        self, chunks: AsyncIterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> AsyncIterator[Output]:
        input = combined([chunk async for chunk in chunks])
        attempts = _Attempts(self, run)
        async for config in attempts:
            flow = inside(self.bound.atransform(Whole(input), config, **kwargs))
            with attempts:
                first = await anext(flow, _DONE)
                break
        else:
            raise attempts.failed(-1)
        async with aclosed_after(_arest(first, flow)) as rest:
            async for chunk in rest:
                yield chunk


def _rest(first: Any, flow: Any) -> Iterator[Any]:
    with contextlib.closing(flow):
        if first is not _DONE:
            yield first
            yield from flow


async def _arest(first: Any, flow: Any) -> AsyncGenerator[Any, None]:
    async with contextlib.aclosing(flow):
        if first is not _DONE:
            yield first
            async for chunk in flow:
                yield chunk


class RunnableWithFallbacks(Runnable[Input, Output]):
    """Tries alternatives in turn until one succeeds; each is a run below its own.

    Where all fail, the first one's exception leaves. In a stream the first chunk decides.
    """

    def __init__(
        self,
        runnable: Runnable[Input, Output],
        fallbacks: Runnable[Input, Output] | Sequence[Runnable[Input, Output]],
        *,
        exceptions_to_handle: ExceptionTypes = (Exception,),
        name: str | None = None,
        callbacks: Any = None,
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        others = (fallbacks,) if isinstance(fallbacks, Runnable) else fallbacks
        self.runnables = (runnable, *others)
        self.exceptions_to_handle = _several(exceptions_to_handle)

    def _invoke(self, input: Input, **kwargs: Any) -> Output:
        tries = _Tries(self.exceptions_to_handle)
        for each in self.runnables:
            with tries:
                return each.invoke(input, None, **kwargs)
        raise tries.failed(0)

    async def _ainvoke(self, input: Input, **kwargs: Any) -> Output:
        tries = _Tries(self.exceptions_to_handle)
        for each in self.runnables:
            with tries:
                return await each.ainvoke(input, None, **kwargs)
        raise tries.failed(0)

    def _transform(self, chunks: Iterator[Input], **kwargs: Any) -> Iterator[Output]:
        input = combined(list(chunks))
        tries = _Tries(self.exceptions_to_handle)
        for each in self.runnables:
            flow: Any = each.transform(Whole(input), None, **kwargs)
            with tries:
                first = next(flow, _DONE)
                break
        else:
            raise tries.failed(0)
        yield from _rest(first, flow)

    async def _atransform(
        self, chunks: AsyncIterator[Input], **kwargs: Any
    ) -> AsyncIterator[Output]:
        input = combined([chunk async for chunk in chunks])
        tries = _Tries(self.exceptions_to_handle)
        for each in self.runnables:
            flow = inside(each.atransform(Whole(input), None, **kwargs))
            with tries:
                first = await anext(flow, _DONE)
                break
        else:
            raise tries.failed(0)
        async with aclosed_after(_arest(first, flow)) as rest:
            async for chunk in rest:
                yield chunk
