"""The base of everything that runs: it resolves, starts the run, calls one method, ends the run.

A subclass writes `_invoke`, and where it pays `_ainvoke`, `_transform` and `_atransform`. It
cannot forget to pass callbacks on, because it never sees them unless it asks: `config` or `run`
in the signature of one of these methods.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextvars import Token
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast, overload

from ..context import current, leave, to_thread
from ..delivery.inline import atell, atell_to_the_end, tell
from ..dispatch.manager import CallbackManager
from ..dispatch.run import AsyncRun, Run
from ..errors import InvalidConfigError
from ..events import KINDS, RunKind
from ..resolution.resolver import enter
from ..resolution.sources import Attachments
from ..sink import NO_KEYWORDS
from . import concurrency, streaming
from .chunks import Whole, combined
from .config import RunnableConfig, check, child_config, limits_here

if TYPE_CHECKING:
    from .composition import RunnableSequence
    from .wrappers import ExceptionTypes, RunnableBinding, RunnableRetry, RunnableWithFallbacks

Input = TypeVar("Input")
Output = TypeVar("Output")
Other = TypeVar("Other")

_ASKED: Final = ("config", "run", "run_manager")
_HOOKS: Final = ("_invoke", "_ainvoke", "_transform", "_atransform")


def asked_by(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return which of ``config``, ``run`` and ``run_manager`` a function has as parameters."""
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return ()
    if parameters and parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        # The first one takes the input, whatever it is called.
        del parameters[0]
    names = {parameter.name for parameter in parameters}
    return tuple(name for name in _ASKED if name in names)


def given(asked: tuple[str, ...], run: Run | None, *, is_async: bool) -> dict[str, Any]:
    """Return what a function that asks for these is given; *run* is None where none was made."""
    passed: dict[str, Any] = {}
    for name in asked:
        if name == "config":
            passed[name] = child_config(run)
        elif name == "run_manager" and run is not None and is_async:
            passed[name] = AsyncRun(run)
        else:
            passed[name] = run
    return passed


class Runnable(Generic[Input, Output]):
    """A step that can be invoked, streamed and batched, and composed with ``|``.

    Args:
        name: What its runs are called; its class's name if None.
        callbacks: Handlers or names that hear its runs and all nested in them, in addition to
            those of the environment and of the call.
    """

    kind: ClassVar[RunKind] = KINDS["chain"]
    """What kind of run it makes."""

    name: str | None = None
    attachments: Attachments | None = None
    _asked_by_hook: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    _id_path: ClassVar[tuple[str, ...]] = ()
    _unnamed: str = "Runnable"
    """What its runs are called where it has no name."""

    def __init__(self, *, name: str | None = None, callbacks: Any = None) -> None:
        if name is not None:
            self.name = name
        if callbacks is not None:
            self.attachments = Attachments(callbacks, f"{type(self).__name__}.callbacks")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._asked_by_hook = {hook: asked_by(getattr(cls, hook)) for hook in _HOOKS}
        cls._id_path = (*cls.__module__.split("."), cls.__qualname__)
        cls._unnamed = cls.__name__

    def get_name(self) -> str:
        """Return what its runs are called."""
        return self.name or self._unnamed

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name={self.name!r})"
            if self.name
            else f"{type(self).__name__}()"
        )

    # What a subclass writes.

    def _invoke(self, input: Input, **kwargs: Any) -> Output:
        raise NotImplementedError(f"{type(self).__name__} has no _invoke")

    async def _ainvoke(self, input: Input, **kwargs: Any) -> Output:
        return await to_thread(self._call, input, kwargs, None)

    def _transform(self, chunks: Iterator[Input], **kwargs: Any) -> Iterator[Output]:
        yield self._invoke(combined(list(chunks)), **kwargs)

    async def _atransform(
        self, chunks: AsyncIterator[Input], **kwargs: Any
    ) -> AsyncIterator[Output]:
        yield await self._ainvoke(combined([chunk async for chunk in chunks]), **kwargs)

    def _is_flowing(self) -> bool:
        """Tell whether its output begins before its input is complete."""
        return False

    def _start_payload(
        self, input: Input, kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Return what its start event brings after ``serialized``: positional and by keyword."""
        return (input,), NO_KEYWORDS

    def _end_payload(self, output: Any) -> Any:
        """Return what its end event brings."""
        return output

    def _error_keywords(self, input: Any, given: Sequence[Any] = ()) -> Mapping[str, Any]:
        """Return what its error event brings besides the error; a stream gave *given* by then."""
        return NO_KEYWORDS

    def explained(self, config: RunnableConfig | None) -> tuple[Attachments | None, Any]:
        """Return what a call with *config* is resolved from: its constructor's, and the call's."""
        if config is not None:
            check(config)
        return self.attachments, (config or {}).get("callbacks")

    # How they are called.

    def _prepare(self, manager: CallbackManager, config: RunnableConfig | None) -> Run:
        name, run_id = self.name, None
        if config and len(config) > 1:
            name, run_id = config.get("run_name") or name, config.get("run_id")
        return Run(manager, self.kind, name or self._unnamed, run_id=run_id, id_path=self._id_path)

    def _start(self, run: Run, input: Input, kwargs: Mapping[str, Any]) -> None:
        if run.hears(run.kind.start):
            run.start(*self._start_payload(input, kwargs))
        else:
            run.start()

    async def _astart(self, run: Run, input: Input, kwargs: Mapping[str, Any]) -> None:
        if run.hears(run.kind.start):
            await run.astart(*self._start_payload(input, kwargs))
        else:
            run.start()

    def _call(self, input: Input, kwargs: Mapping[str, Any], run: Run | None) -> Output:
        asked = self._asked_by_hook["_invoke"]
        if asked:
            kwargs = {**kwargs, **given(asked, run, is_async=False)}
        return self._invoke(input, **kwargs)

    async def _acall(self, input: Input, kwargs: Mapping[str, Any], run: Run | None) -> Output:
        if type(self)._ainvoke is Runnable._ainvoke:
            return await to_thread(self._call, input, kwargs, run)
        asked = self._asked_by_hook["_ainvoke"]
        if asked:
            kwargs = {**kwargs, **given(asked, run, is_async=True)}
        return await self._ainvoke(input, **kwargs)

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:
        """Return the output for *input*.

        Raises:
            ChainCallbacksError: The config, or a handler that it names, cannot be used; nothing
                has run then.
        """
        if config is not None:
            check(config)
        manager = enter(self.attachments, config)
        if manager is None:
            return self._call(input, kwargs, None)
        if manager.is_silent:
            with streaming.entered(manager):
                return self._call(input, kwargs, None)
        token: Token[Any] | None = None
        run = self._prepare(manager, config)
        # One `try` from before the start to after the end: an interrupt finds no gap. What the
        # methods of a run would do is written out here, for it is done at every call.
        try:
            if route := run.begin():
                arguments, keywords = self._start_payload(input, kwargs)
                serialized = {"name": run.name, "id": [*self._id_path]}
                tell(route, run, (serialized, *arguments), keywords)
            token = current.set(run)
            output = self._call(input, kwargs, run)
            current.reset(token)
            token = None
            ended = self._end_payload(output) if run.end_route else None
            if heard := run.finish("ok"):
                tell(heard, run, (ended,))
        except BaseException as error:
            if token is not None:
                leave(token)
            run.fail(error, keywords=self._error_keywords(input))
            raise
        return output

    async def ainvoke(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Output:
        """Return the output for *input*; a step that has no asynchronous form runs in a thread.

        Raises:
            ChainCallbacksError: As ``invoke`` does.
        """
        if config is not None:
            check(config)
        manager = enter(self.attachments, config)
        if manager is None:
            return await self._acall(input, kwargs, None)
        if manager.is_silent:
            with streaming.entered(manager):
                return await self._acall(input, kwargs, None)
        token: Token[Any] | None = None
        run = self._prepare(manager, config)
        try:
            if route := run.begin():
                arguments, keywords = self._start_payload(input, kwargs)
                await atell(route, run, (run.serialized(), *arguments), keywords)
            token = current.set(run)
            output = await self._acall(input, kwargs, run)
            current.reset(token)
            token = None
            ended = self._end_payload(output) if run.end_route else None
            if heard := run.finish("ok"):
                await atell_to_the_end(heard, run, (ended,))
        except BaseException as error:
            if token is not None:
                leave(token)
            await run.afail(error, keywords=self._error_keywords(input))
            raise
        return output

    def stream(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Output]:
        """Return an iterator of the output's chunks.

        It is resolved here and starts at the first ``next``; never iterated, it makes no events.
        Closed early, or left to the collector, it ends its runs and pulls no more from upstream.
        """
        return streaming.owned(self.transform(Whole(input), config, **kwargs))

    def astream(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Output]:
        """Return an asynchronous iterator of the output's chunks; see ``stream``."""
        return self.atransform(Whole(input), config, **kwargs)

    def transform(
        self, chunks: Iterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Output]:
        """Return the output's chunks for an input that comes in chunks itself."""
        if config is not None:
            check(config)
        manager = enter(self.attachments, config)
        if manager is None:
            return self._flow(chunks, kwargs, None)
        if manager.is_silent:
            return streaming.within(manager, self._flow(chunks, kwargs, None))
        return streaming.run_stream(self, self._prepare(manager, config), chunks, kwargs)

    def atransform(
        self, chunks: AsyncIterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Output]:
        """Return the output's chunks for an input that comes in chunks; see ``transform``."""
        if config is not None:
            check(config)
        manager = enter(self.attachments, config)
        if manager is None:
            return self._aflow(chunks, kwargs, None)
        if manager.is_silent:
            return streaming.awithin(manager, self._aflow(chunks, kwargs, None))
        return streaming.arun_stream(self, self._prepare(manager, config), chunks, kwargs)

    def _flow(
        self, chunks: Iterator[Input], kwargs: Mapping[str, Any], run: Run | None
    ) -> Iterator[Output]:
        asked = self._asked_by_hook["_transform"]
        if type(self)._transform is Runnable._transform:
            return self._flow_whole(chunks, kwargs, run)
        return self._transform(chunks, **kwargs, **given(asked, run, is_async=False))

    def _flow_whole(
        self, chunks: Iterator[Input], kwargs: Mapping[str, Any], run: Run | None
    ) -> Iterator[Output]:
        yield self._call(combined(list(chunks)), kwargs, run)

    def _aflow(
        self, chunks: AsyncIterator[Input], kwargs: Mapping[str, Any], run: Run | None
    ) -> AsyncIterator[Output]:
        if type(self)._atransform is not Runnable._atransform:
            asked = self._asked_by_hook["_atransform"]
            return self._atransform(chunks, **kwargs, **given(asked, run, is_async=True))
        if type(self)._transform is not Runnable._transform:
            return streaming.in_thread(self, chunks, kwargs, run)
        return self._aflow_whole(chunks, kwargs, run)

    async def _aflow_whole(
        self, chunks: AsyncIterator[Input], kwargs: Mapping[str, Any], run: Run | None
    ) -> AsyncIterator[Output]:
        yield await self._acall(combined([chunk async for chunk in chunks]), kwargs, run)

    def batch(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Return an output for each input, in their order, worked on by a few threads.

        Each input makes a run of its own. *config* is for all, or a list of one an input; its
        ``max_concurrency`` says how many run at a time. With *return_exceptions* an exception
        stands in the place of its output, otherwise the first one stops the batch and leaves.
        """
        configs = self._configs(inputs, config)
        call = partial(_returning(return_exceptions, self.invoke), **kwargs)
        calls = [partial(call, *each) for each in zip(inputs, configs, strict=True)]
        return concurrency.in_threads(calls, most=_most(configs))

    async def abatch(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Return an output for each input, worked on by tasks; see ``batch``.

        The first exception cancels what is still running.
        """
        configs = self._configs(inputs, config)
        call = partial(_areturning(return_exceptions, self.ainvoke), **kwargs)
        calls = [partial(call, *each) for each in zip(inputs, configs, strict=True)]
        return await concurrency.in_tasks(calls, most=_most(configs))

    def _configs(
        self, inputs: Sequence[Input], config: RunnableConfig | Sequence[RunnableConfig] | None
    ) -> list[RunnableConfig]:
        """Return a config for each input, all of them checked before anything runs."""
        stated: Any = {} if config is None else config
        ids = stated.get("run_id") if isinstance(stated, Mapping) else None
        for key, values in (("run_id", ids), (None, stated)):
            if isinstance(values, list | tuple) and len(values) != len(inputs):
                reason = f"has {len(values)} values for {len(inputs)} inputs"
                raise InvalidConfigError(key=key, reason=reason, advice="Pass one for each.")
        configs: list[RunnableConfig]
        if isinstance(stated, list | tuple):
            configs = [each or {} for each in stated]
        elif isinstance(ids, list | tuple):
            configs = [cast("RunnableConfig", {**stated, "run_id": each}) for each in ids]
        else:
            check(stated)
            configs = [cast("RunnableConfig", stated)] * len(inputs)
        for each in configs:
            if each is not stated:
                check(each)
        given_ids = [run_id for each in configs if (run_id := each.get("run_id"))]
        if len({*given_ids}) < len(given_ids):
            advice = "Pass a list with one for each."
            raise InvalidConfigError(
                key="run_id", reason="is the same for several inputs", advice=advice
            )
        return configs

    # How it is composed.

    @overload
    def __or__(self, other: Runnable[Any, Other]) -> RunnableSequence[Input, Other]: ...
    @overload
    def __or__(self, other: Mapping[str, Any]) -> RunnableSequence[Input, dict[str, Any]]: ...
    @overload
    def __or__(self, other: Callable[..., Any]) -> RunnableSequence[Input, Any]: ...
    def __or__(
        self, other: Runnable[Any, Any] | Callable[..., Any] | Mapping[str, Any]
    ) -> RunnableSequence[Input, Any]:
        from .composition import RunnableSequence

        return RunnableSequence(self, other)

    def __ror__(
        self, other: Callable[..., Any] | Mapping[str, Any]
    ) -> RunnableSequence[Any, Output]:
        from .composition import RunnableSequence

        return RunnableSequence(other, self)

    def pipe(self, *others: Any) -> RunnableSequence[Input, Any]:
        """Return the sequence of this step and *others*."""
        from .composition import RunnableSequence

        return RunnableSequence(self, *others)

    def with_config(
        self, config: RunnableConfig | None = None, **values: Any
    ) -> RunnableBinding[Input, Output]:
        """Return this step with a config that each call adds to; it makes no run of its own."""
        from .wrappers import RunnableBinding

        return RunnableBinding(self, config=cast("RunnableConfig", {**(config or {}), **values}))

    def bind(self, **kwargs: Any) -> RunnableBinding[Input, Output]:
        """Return this step with keyword arguments that each call passes on to it."""
        from .wrappers import RunnableBinding

        return RunnableBinding(self, kwargs=kwargs)

    def with_retry(
        self,
        *,
        retry_if_exception_type: ExceptionTypes = (Exception,),
        wait_exponential_jitter: bool = True,
        stop_after_attempt: int = 3,
    ) -> RunnableRetry[Input, Output]:
        """Return a step that tries this one again after such an exception, with growing pauses.

        *stop_after_attempt* counts all attempts. Each new one is preceded by ``on_retry``.
        """
        from .wrappers import RunnableRetry

        return RunnableRetry(
            self,
            retry_if_exception_type=retry_if_exception_type,
            wait_exponential_jitter=wait_exponential_jitter,
            stop_after_attempt=stop_after_attempt,
        )

    def with_fallbacks(
        self,
        fallbacks: Runnable[Input, Output] | Sequence[Runnable[Input, Output]],
        *,
        exceptions_to_handle: ExceptionTypes = (Exception,),
    ) -> RunnableWithFallbacks[Input, Output]:
        """Return a step that tries *fallbacks* in turn where this one raises such an exception."""
        from .wrappers import RunnableWithFallbacks

        return RunnableWithFallbacks(self, fallbacks, exceptions_to_handle=exceptions_to_handle)


Runnable.__init_subclass__.__func__(Runnable)  # type: ignore[attr-defined]


def _returning(exceptions: bool, invoke: Callable[..., Any]) -> Callable[..., Any]:  # noqa: FBT001
    """Return *invoke*, which returns what it raises where *exceptions* are wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return invoke(*args, **kwargs)
        except Exception as error:
            return error

    return call if exceptions else invoke


def _areturning(exceptions: bool, ainvoke: Callable[..., Any]) -> Callable[..., Any]:  # noqa: FBT001
    """Return the asynchronous twin of what ``_returning`` does."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await ainvoke(*args, **kwargs)
        except Exception as error:
            return error

    return call if exceptions else ainvoke


def _most(configs: Sequence[RunnableConfig]) -> int | None:
    stated = [most for each in configs if (most := each.get("max_concurrency"))]
    return min(stated) if stated else limits_here().get("max_concurrency")


def coerced(step: Any) -> Runnable[Any, Any]:
    """Return *step* as a runnable: a function becomes a lambda, a mapping a parallel.

    A runnable of another framework stays what it is, and makes the runs that it makes.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(step, Runnable):
        return step
    if callable(getattr(step, "invoke", None)) and callable(getattr(step, "ainvoke", None)):
        from .foreign import ForeignRunnable

        return ForeignRunnable(step)
    if isinstance(step, Mapping):
        from .composition import RunnableParallel

        return RunnableParallel(step)
    if callable(step):
        from .functions import RunnableLambda

        return RunnableLambda(step)
    raise TypeError(
        f"A {type(step).__name__} cannot be a step of a chain. "
        "Pass a runnable, ours or LangChain's, a function or a dict."
    )
