"""The one tree: where each of LangChain's runs stands in it, among theirs and ours.

LangChain says the parent of a run by its id. Where it says none, or one that is further out than
the run that the code is in, our own context and LangChain's tell the true one.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from functools import partial
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
    defer,
    manager_below,
    own_scope,
    run_around,
)

from .dispatching import model_run_id

_MOST_ENDED: Final = 1_024
"""How many runs that have ended are remembered, for nested ones that start late."""

_MOST_OPEN: Final = 100_000
"""How many runs may be open at once: a net for ends that never come."""


def own_id(run_id: UUID) -> UUID:
    """Return an id that is equal to one of LangChain's, and another object.

    All of LangChain's that can still start a run in another one, or end it, holds that one's id,
    the very object. So nothing of ours holds it: when it is gone, nothing more can come.
    """
    number = getattr(run_id, "int", None)
    return run_id if number is None else UUID(int=number)


def _key_of(run_id: UUID) -> Hashable:
    # A number is hashed and compared without a call of Python code: what a dict does by it is
    # atomic. An id that a program gives may be anything.
    return getattr(run_id, "int", run_id)


class Place:
    """One of LangChain's runs in the tree.

    Attributes:
        key: What it is found by.
        scope: What runs nested in it are resolved from: our run, or a manager where none was made.
        run: Our run; None where nobody listens to it.
        outside: What our context held when it started: as long as it holds that, nothing of ours
            has been entered inside.
        parent: The place of the next of LangChain's runs around it.
        applied: What stands for names and has joined, here or further up.
    """

    __slots__ = ("_id", "applied", "children", "key", "outside", "parent", "run", "scope")

    def __init__(
        self,
        run_id: UUID,
        scope: Run | CallbackManager,
        *,
        outside: Scope,
        parent: Place | None,
        applied: frozenset[object],
    ) -> None:
        self.key = _key_of(run_id)
        self._id: Callable[[], object]
        try:
            self._id = weakref.ref(run_id, partial(_let_go, self.key))
        except TypeError:  # Not a UUID of Python's own: it is remembered for as long as any.
            self._id = partial(own_id, run_id)
        self.scope = scope
        self.run = scope if isinstance(scope, Run) else None
        self.outside = outside
        self.parent = parent
        self.applied = applied
        self.children: dict[Hashable, Place] = {}

    @property
    def is_over(self) -> bool:
        """Whether LangChain can start nothing in it any more, and not end it either."""
        return self._id() is None


class Tree:
    """The places of LangChain's runs in this process: of open ones, and of some that have ended.

    A run that has ended is remembered while LangChain can start another one in it. No lock is held
    in here: what lets go of an id, and so comes in here, may be the collector, anywhere.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Hashable, Place] = OrderedDict()
        self._ended: OrderedDict[Hashable, Place] = OrderedDict()

    def find(self, run_id: UUID | None) -> Place | None:
        """Return the place of a run, also of one that has ended."""
        if run_id is None:
            return None
        key = _key_of(run_id)
        return self._open.get(key) or self._ended.get(key)

    def open(self, run_id: UUID) -> Place | None:
        """Return the place of a run that goes on."""
        return self._open.get(_key_of(run_id))

    def add(self, place: Place) -> None:
        """Take in a run that starts."""
        # Not before there is one: until then our code is asked nothing on LangChain's account.
        add_finder(self.surrounding)
        add_model_finder(self.model)
        self._open[place.key] = place
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        if place.parent is not None:
            place.parent.children[place.key] = place

    def end(self, run_id: UUID) -> Place | None:
        """Return the place of a run that ends; None where it ended before."""
        place = self._end(_key_of(run_id))
        if place is not None:
            self._ended[place.key] = place
            if len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)
        return place

    def _end(self, key: Hashable) -> Place | None:
        place = self._open.pop(key, None)
        if place is not None and place.parent is not None:
            place.parent.children.pop(key, None)
        return place

    def let_go(self, key: Hashable) -> None:
        """Forget a run that is over; have it ended where LangChain issued no end.

        It issues none, in some versions, for a model, a tool or a retriever that is cancelled.
        """
        place = self._ended.get(key)
        if place is not None and place.is_over:
            self._ended.pop(key, None)
        place = self._open.get(key)
        if place is not None and place.is_over:
            defer(partial(self._give_up, place))

    def _give_up(self, place: Place) -> None:
        if self._open.get(place.key) is not place:
            return  # It ended, and another run may have the same id.
        error = asyncio.CancelledError("LangChain issued no end of this run.")
        for each in (*self.abandoned(place), self._end(place.key)):
            if each is not None and each.run is not None:
                each.run.fail(error)

    def abandoned(self, place: Place) -> Iterator[Place]:
        """Yield, innermost first, the open runs in *place*, which LangChain issues no end of."""
        for child in tuple(place.children.values()):
            yield from self.abandoned(child)
            if self._end(child.key) is not None:
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
        place = None if run_id is None else self.open(run_id)
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


def _let_go(key: Hashable, _: object) -> None:
    tree.let_go(key)
