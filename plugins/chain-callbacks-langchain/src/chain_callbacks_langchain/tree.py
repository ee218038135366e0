"""The one tree: where each of LangChain's runs stands in it, among theirs and ours.

LangChain says the parent of a run by its id. Where it says none, or one that is further out than
the run that the code is in, our own context and LangChain's tell the true one.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from langchain_core.runnables.config import var_child_runnable_config

from chain_callbacks import CallbackManager
from chain_callbacks.hosts import (
    SUPPRESSED,
    Run,
    Scope,
    add_finder,
    add_model_finder,
    manager_below,
    own_scope,
    run_around,
)

from .dispatching import model_run_id

_MOST_ENDED: Final = 1_024
"""How many runs that have ended are known yet, for nested ones that start late."""

_MOST_OPEN: Final = 100_000
"""How many runs may go on at once: a net for ends that never come."""


class Place:
    """One of LangChain's runs in the tree.

    Attributes:
        scope: What runs nested in it are resolved from: our run, or a manager where none was made.
        run: Our run; None where nobody hears it.
        outside: What our context held when it started: as long as it holds that, nothing of ours
            has been entered inside.
        parent: The place of the next of LangChain's runs around it.
        teller: The one of our handlers that passes its events on; it may stand in a list twice.
        applied: What stands for names and has been folded in, here or further up.
    """

    __slots__ = ("applied", "children", "outside", "parent", "run", "run_id", "scope", "teller")

    def __init__(
        self,
        run_id: UUID,
        scope: Run | CallbackManager,
        *,
        outside: Scope,
        parent: Place | None,
        teller: object,
        applied: frozenset[object],
    ) -> None:
        self.run_id = run_id
        self.scope = scope
        self.run = scope if isinstance(scope, Run) else None
        self.outside = outside
        self.parent = parent
        self.teller = teller
        self.applied = applied
        self.children: dict[UUID, Place] = {}


class Tree:
    """The places of all runs of LangChain's that go on in this process."""

    def __init__(self) -> None:
        self._open: OrderedDict[UUID, Place] = OrderedDict()
        self._ended: OrderedDict[UUID, Place] = OrderedDict()
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Have a lock of the child's own; the places stay, for the child may be inside of one."""
        self._lock = threading.Lock()

    def find(self, run_id: UUID | None) -> Place | None:
        """Return the place of a run, also where it has ended not long ago."""
        if run_id is None:
            return None
        return self._open.get(run_id) or self._ended.get(run_id)

    def open(self, run_id: UUID) -> Place | None:
        """Return the place of a run that goes on."""
        return self._open.get(run_id)

    def add(self, place: Place) -> None:
        """Take in a run that starts."""
        # Not before there is one: until then our code is asked nothing on LangChain's account.
        add_finder(self.surrounding)
        add_model_finder(self.model)
        with self._lock:
            self._open[place.run_id] = place
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        if place.parent is not None:
            place.parent.children[place.run_id] = place

    def end(self, run_id: UUID, teller: object) -> Place | None:
        """Return the place of a run that ends, if *teller* is who passes its events on."""
        with self._lock:
            place = self._open.get(run_id)
            if place is None or place.teller is not teller:
                return None
            del self._open[run_id]
            self._ended[run_id] = place
            if len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)
        if place.parent is not None:
            place.parent.children.pop(run_id, None)
        return place

    def abandoned(self, place: Place) -> Iterator[Place]:
        """Yield, innermost first, the runs in *place* whose end LangChain will not tell.

        It tells no end of a model, a tool or a retriever that is cancelled, in some versions.
        """
        for child in tuple(place.children.values()):
            yield from self.abandoned(child)
            if self.end(child.run_id, child.teller) is not None:
                yield child

    def around(self) -> Place | None:
        """Return the run of LangChain's that the calling code is in, by LangChain's context."""
        config = var_child_runnable_config.get()
        if not config:
            return None
        return self.find(getattr(config.get("callbacks"), "parent_run_id", None))

    def where(self, parent_run_id: UUID | None) -> tuple[Scope, Place | None]:
        """Return the scope that a run starts in, and the next of LangChain's runs around it.

        The stated parent holds, unless the code that starts the run is known to be in a run that
        is nested in that one: a fallback, and a tool that hands its config on, state the parent of
        their parent.
        """
        scope = own_scope()
        place = self.around()
        if place is not None and (scope is None or scope is place.outside):
            scope = place.scope
        elif scope is not SUPPRESSED:
            place = self._of_run(run_around(scope))
        if scope is SUPPRESSED:
            return scope, None
        stated = self.find(parent_run_id)
        if stated is not None and not _is_within(scope, place, stated):
            return stated.scope, stated
        return scope, place

    def _of_run(self, run: Run | None) -> Place | None:
        while run is not None:
            place = self.find(run.id)
            if place is not None:
                return place
            run = run.parent
        return None

    def surrounding(self, scope: Scope) -> Scope:
        """Return where our own code stands that LangChain's runs may be around."""
        config = var_child_runnable_config.get()
        if not config:
            return scope
        callbacks: Any = config.get("callbacks")
        place = self.find(getattr(callbacks, "parent_run_id", None))
        if place is None or not (scope is None or scope is place.outside):
            return scope
        if place.run is None:
            return place.scope
        return manager_below(place.run, callbacks.inheritable_tags, callbacks.inheritable_metadata)

    def model(self) -> Scope:
        """Return the run of the model of LangChain's that calls its vendor's client here.

        None where something of ours was entered inside of it: a tool of ours, which asks a client.
        """
        run_id = model_run_id()
        place = None if run_id is None else self._open.get(run_id)
        return place.scope if place is not None and own_scope() is place.outside else None


def _is_within(scope: Scope, place: Place | None, stated: Place) -> bool:
    while place is not None:
        if place is stated:
            return True
        place = place.parent
    run = run_around(scope)
    while run is not None:
        if run is stated.run:
            return True
        run = run.parent
    return False


tree: Final = Tree()
if hasattr(os, "register_at_fork"):
    # The lock may be held by a thread that the child has not; the runs of the parent go on there.
    os.register_at_fork(after_in_child=tree.after_fork)
