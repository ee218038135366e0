"""The manager: who is told, and under which parent, tags and metadata; it starts runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Concatenate, Final, ParamSpec, Self, TypedDict
from uuid import UUID

from .. import events
from ..context import here
from ..errors import NotAHandlerError, quoted
from ..events import KINDS, EventSpec, RunKind, RunType
from ..handler import BaseCallbackHandler
from ..policies import unwrapped
from .handler_class import events_of
from .routes import SILENCE, Listener, Routes
from .run import NO_METADATA, Run

P = ParamSpec("P")

_BY_START: Final[dict[EventSpec[...], RunKind]] = {
    events.on_chain_start: KINDS["chain"],
    events.on_llm_start: KINDS["llm"],
    events.on_chat_model_start: KINDS["chat_model"],
    events.on_tool_start: KINDS["tool"],
    events.on_retriever_start: KINDS["retriever"],
    events.on_embeddings_start: KINDS["embeddings"],
}


def starts(spec: EventSpec[P]) -> Callable[Concatenate[CallbackManager, P], Run]:
    """Return the method of a manager that starts a run by *spec* from synchronous code."""

    def start(manager: CallbackManager, *arguments: Any, **keywords: Any) -> Run:
        run = _prepare(manager, spec, arguments, keywords)
        run.start(*run.payload)
        return run

    method: Callable[Concatenate[CallbackManager, P], Run] = spec.method(
        start, of="CallbackManager", does=_STARTS
    )
    return method


def astarts(
    spec: EventSpec[P],
) -> Callable[Concatenate[CallbackManager, P], Coroutine[Any, Any, Run]]:
    """Return the method of a manager that starts a run by *spec* from asynchronous code."""

    async def start(manager: CallbackManager, *arguments: Any, **keywords: Any) -> Run:
        run = _prepare(manager, spec, arguments, keywords)
        await run.astart(*run.payload)
        return run

    method: Callable[Concatenate[CallbackManager, P], Coroutine[Any, Any, Run]] = spec.method(
        start, of="CallbackManager", prefix="a", does=_STARTS
    )
    return method


def starts_each(spec: EventSpec[P]) -> Callable[Concatenate[CallbackManager, P], list[Run]]:
    """Return the method that starts a run for each item of the list that *spec* brings."""

    def start(manager: CallbackManager, *arguments: Any, **keywords: Any) -> list[Run]:
        runs = _prepare_each(manager, spec, arguments, keywords)
        for run in runs:
            run.start(*run.payload)
        return runs

    method: Callable[Concatenate[CallbackManager, P], list[Run]] = spec.method(
        start, of="CallbackManager", does=_STARTS
    )
    return method


def astarts_each(
    spec: EventSpec[P],
) -> Callable[Concatenate[CallbackManager, P], Coroutine[Any, Any, list[Run]]]:
    """Return the asynchronous twin of ``starts_each``."""

    async def start(manager: CallbackManager, *arguments: Any, **keywords: Any) -> list[Run]:
        runs = _prepare_each(manager, spec, arguments, keywords)
        for run in runs:
            await run.astart(*run.payload)
        return runs

    method: Callable[Concatenate[CallbackManager, P], Coroutine[Any, Any, list[Run]]] = spec.method(
        start, of="CallbackManager", prefix="a", does=_STARTS
    )
    return method


def _prepare(
    manager: CallbackManager,
    spec: EventSpec[...],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> Run:
    (serialized, *payload), keywords = spec.bound(arguments, keywords)
    told = {name: keywords.pop(name) for name in spec.keywords if name in keywords}
    id_path = tuple((serialized or {}).get("id") or ())
    name = keywords.pop("name", None) or (serialized or {}).get("name") or (id_path or ("",))[-1]
    run_type: RunType | None = keywords.get("run_type")
    kind = KINDS[run_type] if run_type else _BY_START[spec]
    return manager.prepare(
        kind, name or kind.run_type, tuple(payload), told, id_path=id_path, **keywords
    )


def _prepare_each(
    manager: CallbackManager,
    spec: EventSpec[...],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> list[Run]:
    (serialized, batch), keywords = spec.bound(arguments, keywords)
    runs = []
    for item in batch:
        runs.append(_prepare(manager, spec, (serialized, [item]), dict(keywords)))
        keywords["run_id"] = None  # A given id is for the first run only.
    return runs


def _refuse_what_hears_nothing(handler: object) -> None:
    kind = f"an object of type {type(handler).__qualname__}"
    if isinstance(handler, str):
        kind, advice = "a text", "Pass objects, or have resolve() make a manager from names."
    elif isinstance(handler, type):
        kind = f"the class {handler.__qualname__}"
        advice = f"Pass an instance: {handler.__qualname__}()."
    elif not isinstance(handler, BaseCallbackHandler) and not events_of(handler):
        advice = "Pass an object with methods of the event table, such as on_chain_start."
    else:
        return
    raise NotAHandlerError(kind=kind, source="CallbackManager(handlers)", advice=advice)


_STARTS: Final = "Issues this event of a new run, and returns the run."


class Limits(TypedDict, total=False):
    """What a call's ``config`` hands down to nested runs besides handlers, tags and metadata."""

    max_concurrency: int | None
    recursion_limit: int


NO_LIMITS: Final[Limits] = {}


def _listeners(handlers: Iterable[object]) -> Iterator[Listener]:
    # One object is one listener, however often it is in the list.
    stated: dict[int, Listener] = {}
    for each in handlers:
        handler, policy = unwrapped(each)
        _refuse_what_hears_nothing(handler)
        if id(handler) in stated:
            policy = stated[id(handler)].policy.replaced(policy)
        stated[id(handler)] = Listener(id(handler), handler, policy=policy)
    yield from stated.values()


def _uncontrolled(listeners: Iterable[Listener]) -> tuple[Routes, Routes]:
    routes = Routes(listeners)
    return routes, routes


class _Controls:
    """Puts a manager that is made by hand under the operator's controls.

    *apply* returns the routes of the manager's own runs, and those handed down. The resolver sets
    it, from which programs import the manager. The listeners are made once it has read the
    settings, which say how to deliver.
    """

    __slots__ = ("apply",)

    def __init__(self) -> None:
        self.apply: Callable[[Iterable[Listener]], tuple[Routes, Routes]] = _uncontrolled


controls: Final = _Controls()


class CallbackManager:
    """Starts runs, and is what is handed down to nested ones; immutable.

    *handlers* are objects, with a ``policy()`` or without; ``resolve()`` makes a manager from names
    too. The operator's controls hold for either: what ``CHAIN_CALLBACKS_REQUIRE`` and policy
    plugins add is added, and with ``CHAIN_CALLBACKS_DISABLED`` nobody is told.

    Raises:
        NotAHandlerError: One of *handlers* is no handler.
        ChainCallbacksError: A setting is wrong, or what the operator requires cannot be used.

    Attributes:
        here: The routes of the runs that it starts.
        down: The routes of the runs nested in those.
        parent: The run around; None where its runs are roots.
        root: The topmost run around; None likewise.
        depth: How many runs are around.
        attached: What was attached around its runs; only set where that is not nothing, and they
            are roots.
        tags, metadata: Of its runs and of those nested in them.
        run_tags: Of its runs alone: *tags*, and what was added for them.
        is_silent: Whether nobody listens, here or further down.
    """

    __slots__ = (
        *("attached", "depth", "down", "here", "is_silent", "limits", "metadata", "parent"),
        *("root", "run_tags", "tags"),
    )

    attached: tuple[Any, ...]

    def __init__(
        self,
        handlers: Iterable[object] = (),
        *,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        here, down = controls.apply(_listeners(handlers))
        self._set(here, down, None, tuple(dict.fromkeys(tags)), dict(metadata or {}))

    def _set(
        self,
        here: Routes,
        down: Routes,
        parent: Run | None,
        tags: tuple[str, ...],
        metadata: Mapping[str, Any],
        limits: Limits = NO_LIMITS,
        local_tags: tuple[str, ...] = (),
    ) -> None:
        self.here, self.down, self.parent = here, down, parent
        self.tags, self.metadata, self.limits = tags, metadata, limits
        self.run_tags = tuple(dict.fromkeys((*tags, *local_tags))) if local_tags else tags
        self.is_silent = not here.listeners and not down.listeners
        self.depth = 0
        self.root = parent
        if parent is not None:
            self.depth = parent.started_by.depth + 1
            self.root = parent.started_by.root or parent

    @classmethod
    def of(
        cls,
        here: Routes,
        down: Routes,
        *,
        parent: Run | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Any] = NO_METADATA,
        limits: Limits = NO_LIMITS,
        local_tags: tuple[str, ...] = (),
    ) -> CallbackManager:
        """Return a manager of routes that are there already: the resolver's constructor."""
        manager = cls.__new__(cls)
        manager._set(here, down, parent, tags, metadata, limits, local_tags)
        return manager

    @property
    def handlers(self) -> list[object]:
        """The handlers that hear the runs this manager starts, in their order; a fresh list."""
        return [listener.handler for listener in self.here.listeners]

    @property
    def parent_run_id(self) -> UUID | None:
        """The id of the run around; None where its runs are roots."""
        return None if self.parent is None else self.parent.id

    def manager(self) -> Self:
        """Return the manager itself: that of runs that start where it is the current scope."""
        return self

    def child(self, parent: Run) -> CallbackManager:
        """Return the manager for what is nested in *parent*, which this manager started."""
        return CallbackManager.of(
            self.down,
            self.down,
            parent=parent,
            tags=self.tags,
            metadata=self.metadata,
            limits=self.limits,
        )

    def replaced(
        self,
        *,
        here: Routes | None = None,
        down: Routes | None = None,
        tags: tuple[str, ...] | None = None,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        local_tags: tuple[str, ...] = (),
    ) -> CallbackManager:
        """Return this manager with something else in the place of what is given.

        *local_tags* are added, for the runs that it starts alone.
        """
        return CallbackManager.of(
            self.here if here is None else here,
            self.down if down is None else down,
            parent=self.parent,
            tags=self.tags if tags is None else tags,
            metadata=self.metadata if metadata is None else metadata,
            limits=self.limits if limits is None else limits,
            local_tags=(*self.run_tags[len(self.tags) :], *local_tags),
        )

    def tagged(self, *tags: str) -> CallbackManager:
        """Return this manager with *tags* on the runs that it starts, and on no others."""
        return self.replaced(local_tags=tags)

    def prepare(
        self,
        kind: RunKind,
        name: str,
        arguments: tuple[Any, ...] = (),
        keywords: Mapping[str, Any] | None = None,
        *,
        id_path: Sequence[str] = (),
        run_id: UUID | None = None,
        run_type: RunType | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Run:
        """Return a run that has not started: enter it, or call its ``start``."""
        own_tags = tuple(dict.fromkeys((*self.run_tags, *tags))) if tags else self.run_tags
        own_metadata = {**self.metadata, **metadata} if metadata else self.metadata
        return Run(
            self,
            kind,
            name,
            run_id=run_id,
            run_type=run_type,
            tags=own_tags,
            metadata=own_metadata,
            id_path=id_path,
            payload=(arguments, keywords or {}),
        )

    def run(
        self,
        run_type: RunType,
        name: str,
        *payload: Any,
        run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Run:
        """Return a run of *run_type*, to be entered with ``with`` or ``async with``.

        *payload* is what its start event brings after ``serialized``: the inputs of a chain, the
        query of a retriever. ``run.end(output)`` says what it gave. *tags* and *metadata* are of
        this run alone.

        Raises:
            ValueError: There is no such type.
            TypeError: *payload* is not what runs of that type start with.
        """
        if run_type not in KINDS:
            raise ValueError(f"{run_type!r} is no type of run. Valid: {quoted(KINDS)}.")
        expected = KINDS[run_type].start.positional[1:]
        if len(payload) != len(expected):
            raise TypeError(
                f"A run of type {run_type!r} starts with {quoted(expected)}; {len(payload)} values "
                "were given. Pass it after the name."
            )
        return self.prepare(
            KINDS[run_type], name, payload, run_id=run_id, tags=tags, metadata=metadata
        )

    def __repr__(self) -> str:
        names = ", ".join(type(handler).__name__ for handler in self.handlers)
        return f"<manager of [{names}] under {self.parent!r}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "A manager holds live handlers and cannot be pickled. Hand names over, and resolve "
            "them on the other side."
        )

    on_chain_start = starts(events.on_chain_start)
    on_llm_start = starts_each(events.on_llm_start)
    on_chat_model_start = starts_each(events.on_chat_model_start)
    on_tool_start = starts(events.on_tool_start)
    on_retriever_start = starts(events.on_retriever_start)
    on_embeddings_start = starts(events.on_embeddings_start)

    aon_chain_start = astarts(events.on_chain_start)
    aon_llm_start = astarts_each(events.on_llm_start)
    aon_chat_model_start = astarts_each(events.on_chat_model_start)
    aon_tool_start = astarts(events.on_tool_start)
    aon_retriever_start = astarts(events.on_retriever_start)
    aon_embeddings_start = astarts(events.on_embeddings_start)


NOBODY: Final = CallbackManager.of(SILENCE, SILENCE)
"""A manager that tells nobody."""


def manager_around() -> CallbackManager:
    """Return the manager of the scope that the calling code is in; NOBODY outside of all."""
    scope = here()
    return (None if scope is None else scope.manager()) or NOBODY
