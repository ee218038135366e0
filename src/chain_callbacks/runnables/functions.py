"""Functions as steps, and the step that hands its input on."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Self

from ..context import to_thread
from ..dispatch.run import Run
from ..errors import RecursionLimitError
from .base import Input, Output, Runnable, asked_by, given
from .chunks import combined
from .composition import RunnableParallel
from .config import DEFAULT_RECURSION_LIMIT, RunnableConfig, limits_here
from .inner import aclosed_after
from .streaming import stepped


class RunnableLambda(Runnable[Input, Output]):
    """A function as a step: plain, ``async def``, a generator or an asynchronous generator.

    Args:
        function: Takes the input. A parameter named ``config`` gets a config that holds the
            child manager, ``run`` or ``run_manager`` the run. A generator function takes the
            input's chunks and gives the output's. Where it returns a runnable, that is invoked
            with the same input, nested in this run.
        afunction: What ``ainvoke`` and ``astream`` call instead; *function* in a thread if None.
        name: What its runs are called; the function's name if None.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        afunction: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        callbacks: Any = None,
    ) -> None:
        if not callable(function):
            kind = type(function).__name__
            raise TypeError(f"A RunnableLambda takes a function, and a {kind} is none.")
        super().__init__(name=name, callbacks=callbacks)
        is_async = _is_async(function)
        self._function = None if is_async else function
        self._afunction = function if is_async else afunction
        if name is None:
            own = getattr(function, "__name__", None)
            self.name = own if own and own != "<lambda>" else None
        self._is_generator = inspect.isgeneratorfunction(self._function)
        self._asked = asked_by(function)
        self._aasked = asked_by(self._afunction) if self._afunction else ()

    def _is_flowing(self) -> bool:
        function = self._function or self._afunction
        return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)

    def _sync(self) -> Callable[..., Any]:
        if self._function is None:
            raise TypeError(
                f"{self.get_name()} is asynchronous and was called from synchronous code. "
                "Call ainvoke, astream or abatch, or give it a synchronous function as well."
            )
        return self._function

    def _call(self, input: Input, kwargs: Mapping[str, Any], run: Run | None) -> Any:
        # What the base does before it calls `_invoke` is done here, without another call.
        function = self._function or self._sync()
        if self._asked:
            kwargs = {**kwargs, **given(self._asked, run, is_async=False)}
        if self._is_generator:
            return combined(list(function(iter([input]), **kwargs)))
        output = function(input, **kwargs)
        if isinstance(output, Runnable):
            return output.invoke(input, self._deeper())
        return output

    async def _ainvoke(self, input: Input, *, run: Run | None = None, **kwargs: Any) -> Any:
        if self._afunction is None:
            # What it returns may be a runnable, which has an asynchronous form of its own.
            if self._asked:
                kwargs = {**kwargs, **given(self._asked, run, is_async=False)}
            function = self._sync()
            if self._is_generator:
                return await to_thread(lambda: combined(list(function(iter([input]), **kwargs))))
            output = await to_thread(function, input, **kwargs)
        else:
            if self._aasked:
                kwargs = {**kwargs, **given(self._aasked, run, is_async=True)}
            if inspect.isasyncgenfunction(self._afunction):
                flow = self._afunction(_aonce(input), **kwargs)
                return combined([chunk async for chunk in flow])
            output = await self._afunction(input, **kwargs)
        if isinstance(output, Runnable):
            return await output.ainvoke(input, self._deeper())
        return output

    def _transform(
        self, chunks: Iterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        function = self._sync()
        if self._asked:
            kwargs = {**kwargs, **given(self._asked, run, is_async=False)}
        if self._is_generator:
            yield from function(chunks, **kwargs)
            return
        input = combined(list(chunks))
        output = function(input, **kwargs)
        if isinstance(output, Runnable):
            yield from output.stream(input, self._deeper())
        else:
            yield output

    async def _atransform(
        self, chunks: AsyncIterator[Input], *, run: Run | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        if inspect.isasyncgenfunction(self._afunction):
            if self._aasked:
                kwargs = {**kwargs, **given(self._aasked, run, is_async=True)}
            async with aclosed_after(self._afunction(chunks, **kwargs)) as aflow:
                async for chunk in aflow:
                    yield chunk
            return
        if self._afunction is None and self._is_generator and self._function is not None:
            if self._asked:
                kwargs = {**kwargs, **given(self._asked, run, is_async=False)}
            flow = self._function(iter([chunk async for chunk in chunks]), **kwargs)
            async with aclosed_after(stepped(flow)) as aflow:
                async for chunk in aflow:
                    yield chunk
            return
        input = combined([chunk async for chunk in chunks])
        yield await self._ainvoke(input, run=run, **kwargs)

    def _deeper(self) -> RunnableConfig:
        limit = limits_here().get("recursion_limit", DEFAULT_RECURSION_LIMIT)
        if limit <= 1:
            raise RecursionLimitError(name=self.get_name(), limit=getattr(limit, "stated", limit))
        return {"recursion_limit": _Left(limit)}

    def __repr__(self) -> str:
        return f"RunnableLambda({self.name or '...'})"


class _Left(int):
    """What is left of a limit after one step; *stated* is what there was at first."""

    stated: int

    def __new__(cls, limit: int) -> Self:
        left = super().__new__(cls, limit - 1)
        left.stated = getattr(limit, "stated", limit)
        return left


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004  Of an object: is it `async def`?
    return any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
        for each in (function, call)
    )


async def _aonce(value: Any) -> AsyncIterator[Any]:
    yield value


class RunnablePassthrough(Runnable[Input, Input]):
    """Hands its input on, chunk by chunk; ``assign`` adds keys to a dict."""

    def _is_flowing(self) -> bool:
        return True

    def _invoke(self, input: Input, **kwargs: Any) -> Input:
        return input

    async def _ainvoke(self, input: Input, **kwargs: Any) -> Input:
        return input

    def _transform(self, chunks: Iterator[Input], **kwargs: Any) -> Iterator[Input]:
        yield from chunks

    async def _atransform(
        self, chunks: AsyncIterator[Input], **kwargs: Any
    ) -> AsyncIterator[Input]:
        async for chunk in chunks:
            yield chunk

    @classmethod
    def assign(cls, **steps: Any) -> RunnableAssign:
        """Return a step that adds to a dict what each of *steps* makes of it."""
        return RunnableAssign(steps)


class RunnableAssign(Runnable[dict[str, Any], dict[str, Any]]):
    """Adds keys to a dict: what each of its steps makes of the dict; they run in parallel."""

    def __init__(
        self, steps: Mapping[str, Any], *, name: str | None = None, callbacks: Any = None
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        self.mapper: RunnableParallel[Any] = RunnableParallel(steps)

    def _invoke(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {**_as_dict(input), **self.mapper.invoke(input, None, **kwargs)}

    async def _ainvoke(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {**_as_dict(input), **await self.mapper.ainvoke(input, None, **kwargs)}


def _as_dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(
            f"RunnablePassthrough.assign adds keys to a dict and got a {type(value).__name__}."
        )
    return dict(value)
