"""The runs that a handler keeps something for, as trees; no hook of a handler is called in here."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from ..forks import renew_in_child

S = TypeVar("S")

_OPEN: Final = 0
_ENDING: Final = 1
_CLOSED: Final = 2

_MOST_EARLY_ENDS: Final = 1_000
_SECONDS_BETWEEN_WARNINGS: Final = 60.0


class Kept(Generic[S]):
    """A run. *handed* is what runs nested in it get for a parent: its state, else one above it."""

    __slots__ = ("above", "below", "handed", "phase", "run_id", "state", "tree")

    def __init__(self, run_id: UUID, above: Kept[S] | None) -> None:
        self.run_id = run_id
        self.above = above
        self.below = 0
        self.handed: S | None = None if above is None else above.handed
        self.phase = _OPEN
        self.state: S | None = None
        self.tree: _Tree[S] = _Tree(run_id) if above is None else above.tree


class _Tree(Generic[S]):
    """The topmost run that was heard, and those below it; it goes when none of them is open."""

    __slots__ = ("heard_at", "open_runs", "runs", "top_id")

    def __init__(self, top_id: UUID) -> None:
        self.top_id = top_id
        self.runs: dict[UUID, Kept[S]] = {}
        self.open_runs = 0
        self.heard_at = 0.0


class Lost(NamedTuple, Generic[S]):
    """What was let go of: the topmost run of a tree, the open ones, innermost first, and all."""

    top: Kept[S] | None
    open_runs: list[Kept[S]]
    runs: dict[UUID, Kept[S]]


class OpenTrees(Generic[S]):
    """Runs by id, in trees that go when their last open run ends, or when a limit says so.

    Each event costs the same, however many runs there are: what walks through a tree frees at least
    half of it. What is freed is dropped once the lock is free, for its destructor is foreign code.
    """

    def __init__(self) -> None:
        self.runs_lost = 0
        self._lock = threading.Lock()
        self._runs: dict[UUID, Kept[S]] = {}
        self._trees: OrderedDict[_Tree[S], None] = OrderedDict()  # In the order of `heard_at`.
        self._early_ends: OrderedDict[UUID, None] = OrderedDict()
        self._warned_at: float | None = None
        renew_in_child(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickled or deeply copied handler begins without runs: it is not the one that hears them.
        return OpenTrees, ()

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, run_id: UUID) -> Kept[S] | None:
        """Return the run, open or not; None where it is not kept."""
        return self._runs.get(run_id)

    def start(
        self, run_id: UUID, parent_id: UUID | None, root_id: UUID, now: float, most_runs: int
    ) -> tuple[Kept[S] | None, list[Lost[S]]]:
        """Return the run, None if it was heard of before, and what had to go to make room."""
        lost: list[Lost[S]] = []
        freed: list[Kept[S]] = []
        with self._lock:
            if run_id in self._runs:
                return None, lost
            if run_id in self._early_ends:
                del self._early_ends[run_id]
                return None, lost
            above = self._above(run_id, parent_id, root_id)
            if above is not None:
                self._hear(above.tree, now)
            if self._make_room(most_runs, lost, freed):
                above = self._above(run_id, parent_id, root_id)
            run = Kept(run_id, above)
            if above is not None:
                above.below += 1
            self._runs[run_id] = run.tree.runs[run_id] = run
            run.tree.open_runs += 1
            self._hear(run.tree, now)
        return run, lost

    def keep(self, run: Kept[S], state: S | None) -> bool:
        """Put *state* on a run that was started; tell whether it is kept still."""
        with self._lock:
            run.state = state
            if state is not None:
                run.handed = state
            return self._runs.get(run.run_id) is run

    def end(self, run_id: UUID, now: float) -> Kept[S] | None:
        """Return the open run that is ending, for ``close``; None where there is none."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                self._early_ends[run_id] = None
                if len(self._early_ends) > _MOST_EARLY_ENDS:
                    self._early_ends.popitem(last=False)
                return None
            if run.phase != _OPEN:
                return None
            run.phase = _ENDING
            self._hear(run.tree, now)
            return run

    def close(self, run: Kept[S]) -> Kept[S] | None:
        """End the run for good; return the top of its tree if that has ended with it."""
        freed: list[Kept[S]] = []
        with self._lock:
            if self._runs.get(run.run_id) is not run:
                return None
            tree = run.tree
            run.phase = _CLOSED
            tree.open_runs -= 1
            if not tree.open_runs:
                runs = self._remove(tree)
                return runs[tree.top_id]
            if run.run_id == tree.top_id:
                self._trim(tree, freed)
            elif tree.runs[tree.top_id].phase == _CLOSED:
                # Who is below it, or beside it, holds what is above.
                above: Kept[S] | None = run
                while above is not None and self._free(above, freed):
                    above = above.above
        return None

    def drop_silent(self, now: float, most_seconds: float) -> list[Lost[S]]:
        """Let go of the trees of which nothing was heard for so long."""
        lost: list[Lost[S]] = []
        with self._lock:
            while self._trees:
                tree = next(iter(self._trees))
                if now - tree.heard_at <= most_seconds:
                    break
                lost.append(self._drop(tree))
        return lost

    def may_warn(self, now: float) -> bool:
        """Tell whether the last warning is long enough ago, and count this one."""
        with self._lock:
            if self._warned_at is not None and now - self._warned_at < _SECONDS_BETWEEN_WARNINGS:
                return False
            self._warned_at = now
            return True

    def clear(self) -> None:
        """Forget all runs."""
        with self._lock:
            forgotten = self._runs, self._trees
            self._runs, self._trees = {}, OrderedDict()
            self._early_ends.clear()
        del forgotten  # Here, where the lock is free.

    def renew(self) -> None:
        """Forget all runs, in a forked child: they are its parent's."""
        self._lock = threading.Lock()
        self.runs_lost = 0
        self._warned_at = None
        self.clear()

    def _above(self, run_id: UUID, parent_id: UUID | None, root_id: UUID) -> Kept[S] | None:
        # A parent whose start was dropped: what is known of a run is that its root is above it.
        above = None if parent_id is None else self._runs.get(parent_id)
        return above or (self._runs.get(root_id) if root_id != run_id else None)

    def _hear(self, tree: _Tree[S], now: float) -> None:
        tree.heard_at = now
        self._trees[tree] = None
        self._trees.move_to_end(tree)

    def _make_room(self, most_runs: int, lost: list[Lost[S]], freed: list[Kept[S]]) -> bool:
        is_full = len(self._runs) >= max(most_runs, 1)
        while len(self._runs) >= max(most_runs, 1):
            tree = next(iter(self._trees))
            before = len(tree.runs)
            # A long tree goes on: most of it has ended, and is kept for late children alone.
            self._trim(tree, freed)
            if len(tree.runs) * 2 > before:
                lost.append(self._drop(tree))
        return is_full

    def _trim(self, tree: _Tree[S], freed: list[Kept[S]]) -> None:
        for run in reversed([*tree.runs.values()]):
            self._free(run, freed)

    def _free(self, run: Kept[S], freed: list[Kept[S]]) -> bool:
        if run.phase != _CLOSED or run.below:
            return False
        del self._runs[run.run_id], run.tree.runs[run.run_id]
        if run.above is not None:
            run.above.below -= 1
        freed.append(run)
        return True

    def _drop(self, tree: _Tree[S]) -> Lost[S]:
        runs = self._remove(tree)
        open_runs = [run for run in reversed(runs.values()) if run.phase == _OPEN]
        self.runs_lost += len(open_runs)
        return Lost(runs[tree.top_id], open_runs, runs)

    def _remove(self, tree: _Tree[S]) -> dict[UUID, Kept[S]]:
        # A run knows its tree: as long as the tree knew its runs, only the collector would free it.
        runs, tree.runs = tree.runs, {}
        for run_id in runs:
            del self._runs[run_id]
        del self._trees[tree]
        return runs
