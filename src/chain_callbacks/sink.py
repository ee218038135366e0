"""A sink is one handler's method for one event; a route is all the sinks of that event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, Self

from .events import EventSpec

NO_KEYWORDS: Final[Mapping[str, Any]] = MappingProxyType({})

Tell = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Any]
"""Calls a handler's method with an event's run, its positional arguments and its keywords."""


class Counts(Protocol):
    """How often a handler was called and failed, as its sinks count it."""

    name: str
    delivered: int
    failed: int

    def add(self, *, delivered: int = 0, failed: int = 0) -> int:
        """Add to the counts, exactly, from any thread; return how often it has failed by now."""
        ...


class Sink:
    """One handler's method for one event.

    Attributes:
        tell: Calls the method.
        is_async: Whether what *tell* returns is awaited.
        event: The name of the event.
        handler_id: The ``id()`` of the handler.
        counters: The counts of the handler, with its name.
        on_error: The policy of that name.
        shows_text: Whether the log may quote what the handler was shown.
    """

    __slots__ = (
        "counters",
        "event",
        "handler_id",
        "is_async",
        "on_error",
        "shows_text",
        "tell",
    )

    def __init__(
        self,
        spec: EventSpec[...],
        tell: Tell,
        *,
        is_async: bool,
        handler_id: int,
        counters: Counts,
        on_error: str,
        shows_text: bool,
    ) -> None:
        self.event = spec.name
        self.tell = tell
        self.is_async = is_async
        self.handler_id = handler_id
        self.counters = counters
        self.on_error = on_error
        self.shows_text = shows_text


class Route(tuple[Sink, ...]):  # noqa: SLOT001  A tuple can have no slots.
    """The sinks of an event, in order; *has_async* says whether one of them is awaited."""

    has_async: bool

    def __new__(cls, sinks: Iterable[Sink]) -> Self:
        route = super().__new__(cls, sinks)
        route.has_async = any(sink.is_async for sink in route)
        return route
