"""A run: one traced unit of work, from its start event to its one terminal event."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from contextvars import Token
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Final, NamedTuple, ParamSpec, Self
from uuid import UUID

from .. import events
from ..attributes import once
from ..context import current, leave
from ..delivery import inline
from ..events import EventSpec, RunKind, RunType
from ..handler import Content, Status
from ..loops import is_cancellation
from ..sink import NO_KEYWORDS, Route
from .identity import moment, source
from .views import Labels, Views

if TYPE_CHECKING:
    from .manager import CallbackManager

P = ParamSpec("P")

NO_METADATA: Final[Mapping[str, Any]] = MappingProxyType({})


class _Interruptions:
    """The exceptions by which a host pauses a run, or leaves it on purpose: no failure."""

    __slots__ = ("kinds",)

    def __init__(self) -> None:
        self.kinds: tuple[type[BaseException], ...] = ()


interruptions: Final = _Interruptions()
_MOST_TRAILS: Final = 64
"""Exceptions of nested runs that a run remembers, to know one that climbs up to it."""


class _Trail(NamedTuple):
    """An exception that left a nested run: it may climb on, or be passed on by another one.

    The run around keeps it until its own end. The exception object itself bears no mark: it is the
    program's, and two trees may see it at once.
    """

    error: Callable[[], BaseException | None]
    error_id: UUID
    origin: tuple[str, ...]


def _found(error: BaseException, trails: tuple[_Trail, ...]) -> _Trail | None:
    """Return the latest of *trails* that is of *error*."""
    for trail in reversed(trails):
        if trail.error() is error:
            return trail
    return None


def _reference(error: BaseException) -> Callable[[], BaseException | None]:
    try:
        return weakref.ref(error)
    except TypeError:  # Python's own exceptions take no weak reference.
        return lambda: error


def tells(spec: EventSpec[P]) -> Callable[Concatenate[Run, P], None]:
    """Return the method of a run that issues *spec* from synchronous code."""

    def issue(run: Run, *arguments: Any, **keywords: Any) -> None:
        run.tell(spec, *spec.bound(arguments, keywords))

    method: Callable[Concatenate[Run, P], None] = spec.method(issue, of="Run", does=_ISSUES)
    return method


def atells(spec: EventSpec[P]) -> Callable[Concatenate[Run, P], Coroutine[Any, Any, None]]:
    """Return the method of a run that issues *spec* from asynchronous code."""

    async def issue(run: Run, *arguments: Any, **keywords: Any) -> None:
        await run.atell(spec, *spec.bound(arguments, keywords))

    method: Callable[Concatenate[Run, P], Coroutine[Any, Any, None]] = spec.method(
        issue, of="Run", prefix="a", does=_ISSUES
    )
    return method


_ISSUES: Final = "Issues this event of the run."


class Run:
    """One run of a chain, prompt, model, tool, retriever or any other step.

    It is made by a manager and used as a context manager, ``with`` or ``async with``: it starts on
    entering and gets exactly one terminal event, by ``end()``, by an exception, or on leaving.
    Inside, it is the current run: what runs there is nested in it.

    Attributes:
        name, run_type, tags, metadata: As they were given; never changed.
        started_by: The manager that made it.
        status: None until the run ended.
        error_id: One for one exception object on its way up the tree; None without an error.
        is_origin: Whether the run's exception began here and not in a nested run.
        origin: The names of the runs from the root to where the exception began.
        routes, start_route, end_route: Who is told of it, of its start, of its end.
        content: How much of it a handler is shown that is given the run itself.
    """

    # Each has an attribute's annotation here, since a run and its parent are of one class.
    started_by: CallbackManager
    parent: Run | None
    name: str
    run_type: RunType
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]

    # What most runs never get is an attribute of the class: a run is made for every call.
    content: Content = "full"
    started_at: int | None = None
    status: Status | None = None
    error_id: UUID | None = None
    is_origin: bool = False
    origin: tuple[str, ...] = ()
    views: Views | None = None
    labels: Mapping[str, Labels] = NO_METADATA
    converted: Any = None
    _ended_at = 0.0
    _token: Token[Any] | None = None
    _told: frozenset[Hashable] = frozenset()
    _trails: tuple[_Trail, ...] = ()

    def __init__(
        self,
        manager: CallbackManager,
        kind: RunKind,
        name: str,
        *,
        run_id: UUID | None = None,
        run_type: RunType | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Any] = NO_METADATA,
        id_path: Sequence[str] = (),
        payload: tuple[Any, ...] = (),
    ) -> None:
        self.started_by = manager
        self.kind = kind
        self.name = name
        self.run_type = run_type or kind.run_type
        self.tags = tags or manager.run_tags
        self.metadata = metadata or manager.metadata
        self.payload = payload
        self._id_path = id_path
        self._is_open = True
        self.parent = parent = manager.parent
        routes = manager.here
        if routes.is_filtered:
            routes, self._told = routes.select(self.run_type, self.tags, self._told_above())
        self.routes = routes
        if run_id is not None:
            self.id = run_id
        self.start_route = routes[kind.start]
        self.end_route = routes[kind.end]
        if self.start_route or self.end_route:
            # Otherwise they are made where somebody asks for them: perhaps nobody ever does. The
            # parent's is made first, since ids sort by time.
            self.parent_id = None if parent is None else parent.id
            if run_id is None:
                self.id = source.make_id()

    # Set by the constructor if somebody listens to the start or the end; else when first read.

    if TYPE_CHECKING:
        id: UUID
        parent_id: UUID | None
        detached: set[int]
    else:

        @once
        def id(self):
            """The run's UUID, of version 7."""
            return source.make_id()

        @once
        def parent_id(self):
            """The id of the run around this one; None for a root."""
            return None if self.parent is None else self.parent.id

        @once
        def detached(self):
            """The ``id()`` of each handler that failed in this tree and listens to it no more."""
            root = self.started_by.root
            return set() if root is None else root.detached

    @property
    def depth(self) -> int:
        """How many runs are around this one: 0 for a root."""
        return self.started_by.depth

    @property
    def root_id(self) -> UUID:
        """The id of the topmost run."""
        root = self.started_by.root
        return self.id if root is None else root.id

    @property
    def path(self) -> tuple[str, ...]:
        """The names of the runs from the root to this one."""
        names = [self.name]
        run = self.parent
        while run is not None:
            names.append(run.name)
            run = run.parent
        return tuple(reversed(names))

    @property
    def started(self) -> datetime | None:
        """When the run started, in UTC; None before."""
        return moment(self.started_at)

    @property
    def duration(self) -> float | None:
        """Seconds from the start to the end, by a monotonic clock; None before the end."""
        if self.started_at is None or self.status is None:
            return None
        return self._ended_at - self._began_at

    def _told_above(self) -> frozenset[Hashable]:
        """Return the keys of the listeners that were told of a run further up."""
        run = self.parent
        while run is not None and not run._told:
            run = run.parent
        return frozenset() if run is None else run._told

    def manager(self) -> CallbackManager:
        """Return the manager for runs nested in this one; the same at every call."""
        return self._child

    @once
    def _child(self) -> CallbackManager:
        return self.started_by.child(self)

    def get_child(self, tag: str | None = None) -> CallbackManager:
        """Return a manager for runs nested in this one.

        It holds what is handed down. *tag* is added for the runs that it starts, not for theirs.
        """
        return self.manager() if tag is None else self.manager().tagged(tag)

    def hears(self, spec: EventSpec[...]) -> bool:
        """Tell whether anybody listens to an event of this run."""
        return bool(self.route_of(spec))

    def route_of(self, spec: EventSpec[...]) -> Route:
        """Return who is told of an event of this run, by the row that its type has for it."""
        return self.routes[self.kind.own.get(spec, spec)]

    def start(
        self, arguments: tuple[Any, ...] = (), keywords: Mapping[str, Any] = NO_KEYWORDS
    ) -> None:
        """Issue the start event; *arguments* is its payload without ``serialized``."""
        route = self.begin()
        if route:
            inline.tell(route, self, (self.serialized(), *arguments), keywords)

    async def astart(
        self, arguments: tuple[Any, ...] = (), keywords: Mapping[str, Any] = NO_KEYWORDS
    ) -> None:
        """Do what ``start`` does, from asynchronous code."""
        route = self.begin()
        if route:
            await inline.atell(route, self, (self.serialized(), *arguments), keywords)

    def end(
        self,
        output: Any = None,
        *,
        status: Status = "ok",
        keywords: Mapping[str, Any] = NO_KEYWORDS,
    ) -> None:
        """Issue the end event with what the run gave; do nothing where it ended before.

        *status* is ``"closed"`` for a stream that its consumer left, *output* then what was read.
        """
        route = self.finish(status)
        if route:
            inline.tell(route, self, (output,), keywords)

    async def aend(
        self,
        output: Any = None,
        *,
        status: Status = "ok",
        keywords: Mapping[str, Any] = NO_KEYWORDS,
    ) -> None:
        """Do what ``end`` does, from asynchronous code; a cancellation waits for it."""
        route = self.finish(status)
        if route:
            await inline.atell_to_the_end(route, self, (output,), keywords)

    def fail(self, error: BaseException, *, keywords: Mapping[str, Any] = NO_KEYWORDS) -> None:
        """Issue the error event for the exception that left the run, unless the run ended before.

        A ``GeneratorExit`` is a stream that was closed, and ends the run with its end event.
        """
        if isinstance(error, GeneratorExit):
            self.end(status="closed")
            return
        try:
            route = self._finish_with(error)
        except RecursionError:
            self._count_lost()
            return
        if route:
            inline.tell(route, self, (error,), keywords)

    async def afail(
        self, error: BaseException, *, keywords: Mapping[str, Any] = NO_KEYWORDS
    ) -> None:
        """Do what ``fail`` does, from asynchronous code; a cancellation waits for it."""
        if isinstance(error, GeneratorExit):
            await self.aend(status="closed")
            return
        try:
            route = self._finish_with(error)
        except RecursionError:
            self._count_lost()
            return
        if route:
            await inline.atell_to_the_end(route, self, (error,), keywords)

    def tell(
        self,
        spec: EventSpec[...],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any] = NO_KEYWORDS,
    ) -> None:
        """Issue an event of any phase; a terminal one ends this run as what it is."""
        if spec.phase == "end":
            self.end(*arguments, keywords=keywords)
        elif spec.phase == "error":
            self.fail(*arguments, keywords=keywords)
        elif route := self.routes[self.kind.own.get(spec, spec)]:
            inline.tell(route, self, arguments, keywords)

    async def atell(
        self,
        spec: EventSpec[...],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any] = NO_KEYWORDS,
    ) -> None:
        """Do what ``tell`` does, from asynchronous code."""
        if spec.phase == "end":
            await self.aend(*arguments, keywords=keywords)
        elif spec.phase == "error":
            await self.afail(*arguments, keywords=keywords)
        elif route := self.routes[self.kind.own.get(spec, spec)]:
            await inline.atell(route, self, arguments, keywords)

    def begin(self) -> Route:
        """Let the time of this run begin; return who is to be told of its start."""
        self.started_at = source.wall()
        self._began_at = source.monotonic()
        self.payload = ()  # Who is told of it has it by now: a run may go on for long.
        return self.start_route

    def release(self) -> None:
        """Drop what was made of an event for its handlers, once the last of them has it.

        A run outlives its payloads: contexts hold it, and hosts that may start another one in it.
        """
        self.views = None
        if self.converted is not None:  # A layout that all runs share has no room for it.
            del self.converted

    def serialized(self) -> dict[str, Any]:
        """Return what the start event says of the step: its name, and the path of its class."""
        return {"name": self.name, "id": [*(self._id_path or (self.name,))]}

    def finish(self, status: Status) -> Route | None:
        """End the time of this run, once; return its end route, None if it had ended before."""
        try:
            # Deleting an attribute is atomic: of two threads that end a run, one gets here twice.
            del self._is_open
        except AttributeError:
            return None
        self._ended_at = source.monotonic()
        self.status = status
        if self._trails:
            self._trails = ()  # With their frames they may hold this run, and much besides.
        # A run that was interrupted before its start was told has nothing to end.
        if self.started_at is None:
            return None
        return self.end_route

    def _count_lost(self) -> None:
        """Count the error event as failed for everyone who listens to it: the stack is full."""
        for listener in self.routes.listeners:
            if self.kind.error.name in listener.kind.methods:
                listener.counters.failed += 1

    def _finish_with(self, error: BaseException) -> Route | None:
        status: Status = "error"
        if isinstance(error, KeyboardInterrupt | SystemExit) or is_cancellation(error):
            status = "cancelled"
        elif isinstance(error, interruptions.kinds):
            status = "interrupted"
        trails = self._trails
        if self.finish(status) is None:
            return None
        self._trace(error, trails)
        spec = self.kind.error
        return self.routes[spec if status == "error" else spec.unless_failed]

    def _trace(self, error: BaseException, trails: tuple[_Trail, ...]) -> None:
        """Find out where *error* began: in a nested run, in one beside this one, or here."""
        parent = self.parent
        beside = () if parent is None else parent._trails
        trail = _found(error, trails) or _found(error, beside)
        if trail is None:
            self.is_origin = True
            above = parent
            while above is not None and trail is None:
                # One object that is raised a second time keeps its id in a tree.
                trail, above = _found(error, above._trails), above.parent
            error_id = source.make_id() if trail is None else trail.error_id
            trail = _Trail(_reference(error), error_id, self.path)
        self.error_id, self.origin = trail.error_id, trail.origin
        if parent is not None and parent.status is None and trail not in beside:
            parent._trails = (*beside, trail)[-_MOST_TRAILS:]

    def enter(self) -> None:
        """Make this the current run; ``exit`` takes it back."""
        self._token = current.set(self)

    def exit(self) -> None:
        """Make what was current before ``enter`` current again."""
        if self._token is not None:
            leave(self._token)
            self._token = None

    def _refuse_a_second_life(self) -> None:
        if self.status is not None or self._token is not None:
            what = "is going on" if self.status is None else "has ended"
            raise RuntimeError(f"{self!r} {what}. A run is entered once: make another one.")

    def __enter__(self) -> Self:
        self._refuse_a_second_life()
        try:
            if self.started_at is None:
                self.start(*self.payload)
            self.enter()
        except BaseException as error:
            self.fail(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.exit()
        if error is None:
            self.end()
        else:
            self.fail(error)

    async def __aenter__(self) -> Self:
        self._refuse_a_second_life()
        try:
            if self.started_at is None:
                await self.astart(*self.payload)
            self.enter()
        except BaseException as error:
            await self.afail(error)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.exit()
        if error is None:
            await self.aend()
        else:
            await self.afail(error)

    def __repr__(self) -> str:
        return f"<run {self.run_type} {self.name!r} {self.id}>"

    # Each event of the table but the starts, which make a run and so are the manager's. A bare
    # name would be shadowed by the attribute just set.
    on_text = tells(events.on_text)
    on_retry = tells(events.on_retry)
    on_custom_event = tells(events.on_custom_event)
    on_interrupt = tells(events.on_interrupt)
    on_resume = tells(events.on_resume)
    on_agent_action = tells(events.on_agent_action)
    on_agent_finish = tells(events.on_agent_finish)
    on_llm_new_token = tells(events.on_llm_new_token)
    on_llm_end = tells(events.on_llm_end)
    on_llm_error = tells(events.on_llm_error)
    on_chain_end = tells(events.on_chain_end)
    on_chain_error = tells(events.on_chain_error)
    on_tool_end = tells(events.on_tool_end)
    on_tool_error = tells(events.on_tool_error)
    on_retriever_end = tells(events.on_retriever_end)
    on_retriever_error = tells(events.on_retriever_error)
    on_embeddings_end = tells(events.on_embeddings_end)
    on_embeddings_error = tells(events.on_embeddings_error)

    aon_text = atells(events.on_text)
    aon_retry = atells(events.on_retry)
    aon_custom_event = atells(events.on_custom_event)
    aon_interrupt = atells(events.on_interrupt)
    aon_resume = atells(events.on_resume)
    aon_agent_action = atells(events.on_agent_action)
    aon_agent_finish = atells(events.on_agent_finish)
    aon_llm_new_token = atells(events.on_llm_new_token)
    aon_llm_end = atells(events.on_llm_end)
    aon_llm_error = atells(events.on_llm_error)
    aon_chain_end = atells(events.on_chain_end)
    aon_chain_error = atells(events.on_chain_error)
    aon_tool_end = atells(events.on_tool_end)
    aon_tool_error = atells(events.on_tool_error)
    aon_retriever_end = atells(events.on_retriever_end)
    aon_retriever_error = atells(events.on_retriever_error)
    aon_embeddings_end = atells(events.on_embeddings_end)
    aon_embeddings_error = atells(events.on_embeddings_error)


# CPython lets the instances of a class share one layout, and takes names into it from the first few
# alone: an attribute that is new later gives each run that has it a dict of its own.
_ON_MOST_RUNS: Final = (
    *(
        "started_by",
        "kind",
        "name",
        "run_type",
        "tags",
        "metadata",
        "payload",
        "_id_path",
        "_is_open",
    ),
    *("started_at", "_began_at", "_token", "_ended_at", "status", "_child", "views", "labels"),
)
_first: Final = Run.__new__(Run)
for _each in _ON_MOST_RUNS:
    setattr(_first, _each, None)


class PastRun(Run):
    """A run that was over before it is told of, made of one that has not started.

    Args:
        run: What it is the run of.
        times: When it began and when it ended, in nanoseconds since 1970.
    """

    def __init__(self, run: Run, times: tuple[int, int]) -> None:
        super().__init__(
            run.started_by,
            run.kind,
            run.name,
            run_id=run.id,
            run_type=run.run_type,
            tags=run.tags,
            metadata=run.metadata,
            id_path=run._id_path,
            payload=run.payload,
        )
        self._times = times

    @property
    def duration(self) -> float | None:
        """Seconds from the start to the end, however long it takes to deliver the events."""
        if self.status is None:
            return None
        began, ended = self._times
        return max(0, ended - began) / 1e9

    def begin(self) -> Route:
        """Return who is to be told of its start."""
        self.started_at = self._times[0]
        self.payload = ()
        return self.start_route


class AsyncRun:
    """A run as an asynchronous function takes it: LangChain's method names, to be awaited.

    Everything else is the run's.
    """

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    def get_sync(self) -> Run:
        """Return the run itself, whose methods are not awaited."""
        return self._run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, "a" + name if name.startswith("on_") else name)
