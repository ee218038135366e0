"""`@traced`: a plain function, coroutine, generator or asynchronous generator as a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

from ..dispatch.manager import CallbackManager
from ..dispatch.run import Run
from ..events import KINDS, RunKind, RunType
from ..resolution.resolver import enter
from ..resolution.sources import Attachments
from ..sink import NO_KEYWORDS
from .chunks import reported
from .config import RunnableConfig, check
from .inner import inside
from .messages import AIMessage
from .models import _result
from .outputs import LLMResult
from .streaming import OwnedGenerator, entered

P = ParamSpec("P")
T = TypeVar("T")


@overload
def traced(function: Callable[P, T], /) -> Callable[P, T]: ...
@overload
def traced(
    run_type: RunType = "chain",
    /,
    *,
    name: str | None = None,
    callbacks: Any = None,
    tags: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
def traced(
    function: Callable[..., Any] | RunType = "chain",
    /,
    *,
    name: str | None = None,
    callbacks: Any = None,
    tags: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Make each call of a function a run: ``@traced``, ``@traced("tool", name="search")``.

    The input of the run is a dict of the arguments, its output what the function returns. A
    generator is one run from its first item to its end, with ``send``, ``throw`` and the return
    value passed through; its output is what it returns, or where that is None its items, added up
    where they can be.

    Args:
        function: The function; or the type of the runs, ``"chain"`` if it is left out.
        name: What the runs are called; the function's name if None.
        callbacks: Handlers or names that hear the runs and all nested in them.
        tags, metadata: Of the runs and all nested in them.

    Raises:
        InvalidConfigError: *tags* is one text, or holds what is none.
        ValueError: There is no such type of run.
    """
    if callable(function):
        return _wrapped(function, _Tracer(KINDS["chain"], function, None, None, None))
    if function not in KINDS:
        raise ValueError(f"{function!r} is no type of run. Valid: {', '.join(KINDS)}.")
    config: RunnableConfig | None = None
    if tags or metadata:
        # One text alone is refused, as in the config of a call: its letters are no tags.
        stated = tags if isinstance(tags, str) else [*tags]
        config = {"tags": stated, "metadata": {**(metadata or {})}}
        check(config)
    kind = KINDS[function]

    def wrap(each: Callable[..., Any]) -> Any:
        return _wrapped(each, _Tracer(kind, each, name, callbacks, config))

    return wrap


class _Tracer:
    """How the calls of one function become runs."""

    def __init__(
        self,
        kind: RunKind,
        function: Callable[..., Any],
        name: str | None,
        callbacks: Any,
        config: RunnableConfig | None,
    ) -> None:
        self.kind = kind
        # A partial, or an object that can be called, has no name of its own.
        kind_name = type(function).__name__
        own_name: str = getattr(function, "__name__", kind_name)
        self.name = name or own_name
        path = getattr(function, "__qualname__", kind_name)
        self.id_path = (*function.__module__.split("."), path)
        self.signature = inspect.signature(function)
        first = next(iter(self.signature.parameters), "")
        self.owner = first if first in ("self", "cls") else ""
        self.own: Attachments | None = None
        if callbacks is not None:
            self.own = Attachments(callbacks, f"traced({self.name}).callbacks")
        self.config = config

    def scope(self) -> Run | CallbackManager | None:
        """Return the run of a call; where nobody listens the manager for what it calls, if any."""
        manager = enter(self.own, self.config)
        if manager is None or manager.is_silent:
            return manager
        return manager.prepare(self.kind, self.name, id_path=self.id_path)

    def payload(
        self, run: Run, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Return what the start event brings, in the form of the run's type."""
        if not run.hears(self.kind.start):
            return (), NO_KEYWORDS
        try:
            inputs = dict(self.signature.bind(*args, **kwargs).arguments)
        except TypeError:  # The call itself will say what is wrong with it.
            inputs = {"args": args, "kwargs": kwargs}
        # What a method is called on is no input; it may be large, and hold much else.
        inputs.pop(self.owner, None)
        first = next(iter(inputs.values()), "")
        match self.kind.run_type:
            case "tool":
                return (str(inputs),), {"inputs": inputs}
            case "retriever":
                return (first if isinstance(first, str) else str(inputs),), NO_KEYWORDS
            case "llm":
                return ([first if isinstance(first, str) else str(inputs)],), NO_KEYWORDS
            case "chat_model":
                return ([first if isinstance(first, list) else [first]],), NO_KEYWORDS
            case "embeddings":
                return (first if isinstance(first, list) else [str(first)],), NO_KEYWORDS
            case _:
                return (inputs,), NO_KEYWORDS

    def output(self, run: Run, value: Any) -> Any:
        """Return what the end event brings, in the form of the run's type."""
        if self.kind.run_type not in ("llm", "chat_model") or not run.hears(self.kind.end):
            return value
        if isinstance(value, LLMResult):
            return value
        return _result(AIMessage(value) if isinstance(value, str) else value)


def _wrapped(function: Callable[..., Any], tracer: _Tracer) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, tracer)
    if inspect.isgeneratorfunction(function):
        return _generator(function, tracer)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, tracer)
    return _plain(function, tracer)


def _plain(function: Callable[..., Any], tracer: _Tracer) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = tracer.scope()
        if not isinstance(run, Run):
            with entered(run):
                return function(*args, **kwargs)
        run.payload = tracer.payload(run, args, kwargs)
        with run:
            output = function(*args, **kwargs)
            run.end(tracer.output(run, output))
        return output

    return call


def _coroutine(function: Callable[..., Any], tracer: _Tracer) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        run = tracer.scope()
        if not isinstance(run, Run):
            with entered(run):
                return await function(*args, **kwargs)
        run.payload = tracer.payload(run, args, kwargs)
        async with run:
            output = await function(*args, **kwargs)
            await run.aend(tracer.output(run, output))
        return output

    return call


def _generator(function: Callable[..., Any], tracer: _Tracer) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        scope = tracer.scope()
        inner = function(*args, **kwargs)
        if scope is None:
            return inner
        if isinstance(scope, Run):
            return OwnedGenerator(_generating(scope, tracer, inner, args, kwargs))
        return OwnedGenerator(_stepping(scope, inner))

    return call


def _generating(
    run: Run,
    tracer: _Tracer,
    inner: Generator[Any, Any, Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Generator[Any, Any, Any]:
    given: list[Any] = []
    keeps = run.hears(tracer.kind.end)
    try:
        run.start(*tracer.payload(run, args, kwargs))
        result = yield from _stepping(run, inner, given if keeps else None)
        run.end(tracer.output(run, reported(given) if result is None else result))
    except GeneratorExit:
        run.end(tracer.output(run, reported(given)), status="closed")
        raise
    except BaseException as error:
        run.fail(error)
        raise
    return result


def _stepping(
    scope: Run | CallbackManager,
    inner: Generator[Any, Any, Any],
    given: list[Any] | None = None,
) -> Generator[Any, Any, Any]:
    """Pass everything through to *inner*, with *scope* in the context during each of its steps."""
    step: Callable[[], Any] = functools.partial(next, inner)
    while True:
        try:
            with entered(scope):
                item = step()
        except StopIteration as stop:
            return stop.value
        if given is not None:
            given.append(item)
        try:
            sent = yield item
            step = functools.partial(inner.send, sent)
        except GeneratorExit:
            with entered(scope):
                inner.close()
            raise
        except BaseException as error:
            step = functools.partial(inner.throw, error)


def _async_generator(function: Callable[..., Any], tracer: _Tracer) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        scope = tracer.scope()
        inner = function(*args, **kwargs)
        if scope is None:
            return inner
        if isinstance(scope, Run):
            return _agenerating(scope, tracer, inside(inner), args, kwargs)
        return _astepping(scope, inside(inner))

    return call


async def _agenerating(
    run: Run,
    tracer: _Tracer,
    inner: AsyncGenerator[Any, Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> AsyncGenerator[Any, Any]:
    given: list[Any] = []
    keeps = run.hears(tracer.kind.end)
    try:
        await run.astart(*tracer.payload(run, args, kwargs))
        flow = inside(_astepping(run, inner, given if keeps else None))
        step: Any = anext(flow)
        while True:
            try:
                item = await step
            except StopAsyncIteration:
                break
            try:
                step = flow.asend((yield item))
            except GeneratorExit:
                await flow.aclose()
                raise
            except BaseException as error:
                step = flow.athrow(error)
        await run.aend(tracer.output(run, reported(given)))
    except GeneratorExit:
        await run.aend(tracer.output(run, reported(given)), status="closed")
        raise
    except BaseException as error:
        await run.afail(error)
        raise


async def _astepping(
    scope: Run | CallbackManager,
    inner: AsyncGenerator[Any, Any],
    given: list[Any] | None = None,
) -> AsyncGenerator[Any, Any]:
    """Pass everything through to *inner*, with *scope* in the context during each of its steps."""
    step: Any = functools.partial(anext, inner)
    while True:
        try:
            with entered(scope):
                item = await step()
        except StopAsyncIteration:
            return
        if given is not None:
            given.append(item)
        try:
            step = functools.partial(inner.asend, (yield item))
        except GeneratorExit:
            with entered(scope):
                await inner.aclose()
            raise
        except BaseException as error:
            step = functools.partial(inner.athrow, error)
