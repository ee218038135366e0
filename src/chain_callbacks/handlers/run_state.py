"""A base for handlers that keep something per run, and let go of it when its tree has ended."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from ..attributes import once
from ..events import EVENTS, EventSpec
from ..handler import BaseCallbackHandler
from .open_trees import Kept, Lost, OpenTrees

S = TypeVar("S")

log = logging.getLogger("chain_callbacks")

_STARTS_AND_ENDS: Final = tuple(spec for spec in EVENTS.values() if spec.phase != "during")
_HOOKS: Final = ("start_run", "end_run", "end_tree", "lose_run")


class RunStart(NamedTuple):
    """The start of a run, for ``start_run``.

    *event* is the event's name (``"on_tool_start"``), *payload* what it brings, by argument name.
    Keep what you need of it: the whole would hold the user's data as long as your state.
    """

    event: str
    payload: Mapping[str, Any]
    run_id: UUID
    parent_run_id: UUID | None
    root_run_id: UUID
    depth: int
    name: str
    run_type: str
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    started: datetime


class RunEnd(NamedTuple):
    """The end of a run, for ``end_run``: *event* is ``"on_tool_end"``, or ``"on_tool_error"``.

    *payload* is what the event brings, by argument name; *duration* is in seconds.
    """

    event: str
    payload: Mapping[str, Any]
    run_id: UUID
    parent_run_id: UUID | None
    root_run_id: UUID
    depth: int
    name: str
    run_type: str
    tags: Sequence[str]
    status: str
    duration: float
    error_id: UUID | None
    is_origin: bool
    origin: tuple[str, ...]


class RunStateHandler(BaseCallbackHandler, Generic[S]):
    """Keeps an object of yours for each run: a span, a node of a tree, a counter.

    Write ``start_run``, which makes it, and ``end_run``; ``end_tree`` and ``lose_run`` where you
    need them. All kinds of runs come to these four, which are plain functions and not asynchronous.
    Events between start and end are methods as on any handler; there, ``state_of(run_id)`` is the
    run's object::

        class Spans(RunStateHandler[Span]):
            def start_run(self, run: RunStart, parent: Span | None) -> Span:
                return Span(run.name, parent)

            def end_run(self, state: Span, run: RunEnd) -> None:
                state.end(run.status)

            def on_retry(self, retry_state, *, run_id, **kwargs):
                if span := self.state_of(run_id):
                    span.add_event("retry")

    A *tree* is the topmost run that was heard, and the runs below it. Its objects are there while
    the topmost run goes on, so that a run which outlives its parent, or starts after it, finds the
    parent's. Then those that have ended are let go of, the others when they end; a run that starts
    later still is the top of another tree. Where ends never come, a tree is let go of after
    ``max_age`` seconds without a start or an end in it, or where ``max_runs`` are kept; that is
    counted, and a warning says so. An end without its start is ignored.

    One handler serves any number of runs at once, from any number of threads. No lock is held while
    a method of yours is called, so parallel runs of one tree may call them at the same time.
    """

    max_runs: int = 10_000
    """How many runs are kept; room is made by the tree that was silent for the longest time. Of a
    tree most of which has ended, what has ended goes first."""

    max_age: float = 3600.0
    """Seconds without a start or an end in a tree, after which its missing ends are given up."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for spec in _STARTS_AND_ENDS:
            if getattr(cls, spec.name) is not getattr(RunStateHandler, spec.name):
                hook = "start_run" if spec.phase == "start" else "end_run"
                raise TypeError(
                    f"{cls.__qualname__}.{spec.name} would hide a run from its base class. A "
                    f"RunStateHandler hears the start and the end of every run itself. Write "
                    f"{hook}, where run.event is {spec.name!r} and run.payload has its arguments."
                )
        for hook in _HOOKS:
            if inspect.iscoroutinefunction(getattr(cls, hook)):
                raise TypeError(
                    f"{cls.__qualname__}.{hook} is asynchronous, and nobody would await it. Make "
                    f"it a plain function; what takes time belongs in deliver()."
                )

    def start_run(self, run: RunStart, parent: S | None) -> S | None:
        """Return the object to keep for the run; None to keep nothing.

        Args:
            run: What started.
            parent: The object of the nearest run above it that has one; None at the top of a tree.
        """
        raise NotImplementedError

    def end_run(self, state: S, run: RunEnd) -> None:
        """Deal with the end of a run, with the object that ``start_run`` returned for it."""

    def end_tree(self, state: S) -> None:
        """Deal with a tree in which every run has ended or is lost; *state* is the topmost run's.

        Called once for each tree, after all that is to say of its runs; not where ``start_run``
        returned None for the topmost.
        """

    def lose_run(self, state: S) -> None:
        """Deal with a run that is given up: its end was not told in time. Inner ones come first."""

    def state_of(self, run_id: UUID) -> S | None:
        """Return the object of a run; None where it has none, or has it no longer."""
        run = self._run_trees.get(run_id)
        return None if run is None else run.state

    @property
    def runs_kept(self) -> int:
        """How many runs are kept now: open ones, and ended ones whose tree goes on."""
        return len(self._run_trees)

    @property
    def runs_lost(self) -> int:
        """How many runs were given up in this process, because their end was not told in time."""
        return self._run_trees.runs_lost

    def clock(self) -> float:
        """Return the time in seconds by a clock that never goes back; a test may have its own."""
        return time.monotonic()

    def close(self) -> Any:
        """Forget all runs, without a word about those that are open."""
        self._run_trees.clear()

    def after_fork(self) -> Any:
        """Forget, in a child process, the runs of its parent."""
        self._run_trees.renew()

    @once
    def _run_trees(self) -> OpenTrees[S]:
        # Made here, so that a subclass may have an `__init__` that does not call this one's.
        return OpenTrees()


# Functions, not methods: a subclass may call its own whatever it likes.


def _start(handler: RunStateHandler[S], start: RunStart) -> None:
    trees, now = handler._run_trees, handler.clock()
    run, lost = trees.start(
        start.run_id, start.parent_run_id, start.root_run_id, now, handler.max_runs
    )
    lost += trees.drop_silent(now, handler.max_age)
    try:
        if run is not None:
            state = handler.start_run(start, run.handed)
            if not trees.keep(run, state):  # It had to make room while its state was made.
                lost.append(Lost(run if run.above is None else None, [run], {}))
    finally:
        _lose(handler, lost, now)


def _end(handler: RunStateHandler[S], end: RunEnd) -> None:
    trees, now = handler._run_trees, handler.clock()
    run = trees.end(end.run_id, now)
    lost = trees.drop_silent(now, handler.max_age)
    try:
        if run is not None:
            _end_run(handler, run, end)
    finally:
        _lose(handler, lost, now)


def _end_run(handler: RunStateHandler[S], run: Kept[S], end: RunEnd) -> None:
    try:
        if run.state is not None:
            handler.end_run(run.state, end)
    finally:
        # Closed after the hook, so that no other thread sees the tree as ended before it was told.
        top = handler._run_trees.close(run)
        if top is not None and top.state is not None:
            handler.end_tree(top.state)


def _lose(handler: RunStateHandler[S], lost: list[Lost[S]], now: float) -> None:
    if not lost:
        return
    if handler._run_trees.may_warn(now):
        log.warning(
            "The handler %s gave up runs whose ends it was not told of: %d by now. A tree goes "
            "after %g seconds of silence (max_age), or where %d runs are kept (max_runs); if your "
            "runs are longer, or more, raise the limit.",
            type(handler).__qualname__,
            handler.runs_lost,
            handler.max_age,
            handler.max_runs,
        )
    failures: list[Exception] = []
    for tree in lost:
        told = [(handler.lose_run, run.state) for run in tree.open_runs]
        if tree.top is not None:
            told.append((handler.end_tree, tree.top.state))
        for hook, state in told:
            try:
                if state is not None:
                    hook(state)
            except Exception as error:  # The others are to be told.
                failures.append(error)
    if failures:
        raise failures[0]


def _start_method(spec: EventSpec[...]) -> Any:
    # Facts are had by naming them; what is left is the event's own.
    def on_start(
        self: RunStateHandler[Any],
        *payload: Any,
        run_id: UUID,
        root_run_id: UUID,
        depth: int,
        name: str,
        run_type: str,
        started: datetime,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        brought = {**dict(zip(spec.positional, payload, strict=True)), **keywords}
        run = (run_id, parent_run_id, root_run_id, depth, name, run_type, tags, metadata or {})
        _start(self, RunStart(spec.name, brought, *run, started))

    return on_start


def _end_method(spec: EventSpec[...]) -> Any:
    def on_end(
        self: RunStateHandler[Any],
        *payload: Any,
        run_id: UUID,
        root_run_id: UUID,
        depth: int,
        name: str,
        run_type: str,
        status: str,
        duration: float,
        error_id: UUID | None,
        is_origin: bool,
        origin: tuple[str, ...],
        parent_run_id: UUID | None = None,
        tags: Sequence[str] = (),
        **keywords: Any,
    ) -> None:
        brought = {**dict(zip(spec.positional, payload, strict=True)), **keywords}
        run = (run_id, parent_run_id, root_run_id, depth, name, run_type, tags)
        _end(self, RunEnd(spec.name, brought, *run, status, duration, error_id, is_origin, origin))

    return on_end


for _spec in _STARTS_AND_ENDS:
    _method = _start_method(_spec) if _spec.phase == "start" else _end_method(_spec)
    _method.__name__ = _spec.name
    _method.__qualname__ = f"RunStateHandler.{_spec.name}"
    _method.__doc__ = _spec.does
    setattr(RunStateHandler, _spec.name, _method)
