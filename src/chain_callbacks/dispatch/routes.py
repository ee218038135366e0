"""Who is told of an event: per event a tuple of sinks, built once from a list of listeners."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final, Self

from ..events import EventSpec
from ..policies import EVERYTHING, UNSTATED, Hearing, Policy
from .sinks import Tell, build, build_record_sink, check


class Counters:
    """How often a handler was told of an event, and how often it failed in that."""

    __slots__ = ("delivered", "failed")

    def __init__(self) -> None:
        self.delivered = 0
        self.failed = 0


class Listener:
    """A handler with its key, its policies, and where it came from. Key and source are opaque.

    *operator* is the policy of the operator's settings, *policy* the one that code states; what is
    heard is what both let through.
    """

    __slots__ = ("counters", "handler", "hearing", "key", "operator", "policy", "source")

    def __init__(
        self,
        key: Hashable,
        handler: object,
        *,
        operator: Policy = UNSTATED,
        policy: Policy = UNSTATED,
        source: Any = None,
        counters: Counters | None = None,
    ) -> None:
        self.key = key
        self.counters = counters or Counters()
        self.handler = handler
        self.operator = operator
        self.policy = policy
        self.source = source
        # The plain case is recognised by identity: its routes are chosen without a question.
        hearing = Hearing.of(operator, policy)
        self.hearing = EVERYTHING if hearing == EVERYTHING else hearing

    def __repr__(self) -> str:
        return f"<listener {self.key}>"


class Sink:
    """One handler's method for one event.

    *tell* calls it; *is_async* says that what it returns is to be awaited, *raises* that its
    exception is meant to leave the run.
    """

    __slots__ = ("counters", "event", "handler_name", "is_async", "raises", "tell")

    def __init__(self, listener: Listener, event: str, tell: Tell, *, is_async: bool) -> None:
        self.counters = listener.counters
        self.event = event
        self.tell = tell
        self.is_async = is_async
        self.handler_name = type(listener.handler).__qualname__
        self.raises = getattr(listener.handler, "raise_error", False) is True


class Route(tuple[Sink, ...]):  # noqa: SLOT001  A tuple can have no slots.
    """The sinks of an event, in the order of the list; *has_async* says if one is to be awaited."""

    has_async: bool

    def __new__(cls, sinks: Iterable[Sink]) -> Self:
        route = super().__new__(cls, sinks)
        route.has_async = any(sink.is_async for sink in route)
        return route


class Routes(dict[EventSpec[...], Route]):
    """The routes of a list of listeners, each built when its event first occurs.

    It never changes in what it says, so it is shared by all runs of a tree. *folds* is the
    resolver's: what was once folded onto this list dies with it.

    Raises:
        HandlerSignatureError: A listener's method cannot take its event.
    """

    __slots__ = ("folds", "is_filtered", "listeners", "selections")

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        super().__init__()
        self.listeners = tuple(listeners)
        self.is_filtered = any(each.hearing is not EVERYTHING for each in self.listeners)
        self.folds: dict[Any, Any] = {}
        self.selections: dict[tuple[bool, ...], Routes] = {}
        for listener in self.listeners:
            check(listener.handler)

    def __missing__(self, spec: EventSpec[...]) -> Route:
        route = self[spec] = Route(self._sinks(spec))
        return route

    def _sinks(self, spec: EventSpec[...]) -> Iterable[Sink]:
        for listener in self.listeners:
            if listener.hearing.only.errors and not spec.is_failure:
                continue
            for builder in (build, build_record_sink):
                built = builder(listener.handler, spec)
                if built is not None:
                    tell, is_async = built
                    yield Sink(listener, spec.name, tell, is_async=is_async)

    def select(
        self, run_type: str, tags: tuple[str, ...], told: frozenset[Hashable]
    ) -> tuple[Routes, frozenset[Hashable]]:
        """Return what of these routes a run is told through, and who has been told of it by then.

        *told* holds the keys of the listeners that heard a run further up: ``only=roots`` means
        the topmost run that a handler hears.
        """
        hears = [each.hearing.selects(run_type, tags) for each in self.listeners]
        told_here = {
            each.key for each, is_heard in zip(self.listeners, hears, strict=True) if is_heard
        }
        choice = tuple(
            is_heard and not (each.hearing.only.roots and each.key in told)
            for each, is_heard in zip(self.listeners, hears, strict=True)
        )
        routes = self.selections.get(choice)
        if routes is None:
            chosen = (
                each for each, is_heard in zip(self.listeners, choice, strict=True) if is_heard
            )
            routes = self.selections[choice] = Routes(chosen)
        return routes, told | told_here

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


SILENCE: Final = Routes()
"""The routes on which nobody listens."""
