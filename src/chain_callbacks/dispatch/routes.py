"""Who is told of an event: per event a tuple of sinks, built once from a list of listeners."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final

from ..delivery.backlog import rank_of
from ..delivery.counters import Counters, counters_of
from ..delivery.failures import note
from ..delivery.lifecycle import lifecycle
from ..delivery.options import options
from ..delivery.queue import Channel, channel_of
from ..events import EventSpec
from ..handler import Content
from ..loops import load
from ..policies import EVERYTHING, UNSTATED, Hearing, Manner, Policy
from ..sink import Route, Sink, Tell
from .adapters import ways_of
from .handler_class import class_of
from .views import Recorded, view_of


class Listener:
    """A handler with its key, its policies, and where it came from. Key and source are opaque.

    *operator* is the policy of the operator's settings, *policy* the one that code states; what is
    heard is what both let through. *content* is shown where neither they nor the handler say.

    Raises:
        HandlerSignatureError: A method of the handler cannot be called with what its event brings.
        InvalidPolicyError: The policies exclude each other.
    """

    __slots__ = (
        "channel",
        "content",
        "counters",
        "handler",
        "hearing",
        "key",
        "kind",
        "manner",
        "operator",
        "policy",
        "source",
    )

    def __init__(
        self,
        key: Hashable,
        handler: object,
        *,
        operator: Policy = UNSTATED,
        policy: Policy = UNSTATED,
        source: Any = None,
        name: str | None = None,
        content: Content = "full",
    ) -> None:
        self.key = key
        self.handler = handler
        self.kind = class_of(handler)
        self.operator = operator
        self.policy = policy
        self.source = source
        self.content: Content = content
        self.counters = counters_of(name or type(handler).__qualname__)
        # The plain case is recognised by identity: its routes are chosen without a question.
        self.hearing = EVERYTHING
        if not UNSTATED == operator == policy:
            hearing = Hearing.of(operator, policy)
            self.hearing = EVERYTHING if hearing == EVERYTHING else hearing
        manner = self.kind.manner(operator, policy, content)
        self.manner = manner._replace(delivery="inline") if options.is_inline else manner
        self.channel: Channel | None = None
        if self.manner.delivery == "queued" or self.kind.overrides & _NEEDS_CHANNEL:
            self.channel = channel_of(handler, self.counters, self.manner, self.kind.overrides)
        lifecycle.watch()

    def __repr__(self) -> str:
        return f"<listener {self.key}>"


_NEEDS_CHANNEL: Final = frozenset({"flush", "deliver", "after_fork"})
"""The methods of a handler for which it has a channel though nothing of it is queued."""

_UNCOUNTED: Final = Counters()
"""The counters of what is put on a queue: it has not been told by then."""


def _sink(listener: Listener, spec: EventSpec[...], tell: Tell, *, is_async: bool) -> Sink:
    """Return the sink of a method of the listener's handler, in the listener's manner."""
    if is_async:
        load()
    manner = listener.manner
    sink = Sink(
        spec,
        tell,
        is_async=is_async,
        handler_id=id(listener.handler),
        counters=listener.counters,
        on_error=manner.on_error,
        shows_text=manner.content == "full",
    )
    if manner.delivery == "queued" and listener.channel is not None:
        sink = Sink(
            spec,
            _queueing(listener.channel, spec, sink, manner),
            is_async=False,
            handler_id=sink.handler_id,
            counters=_UNCOUNTED,
            on_error=sink.on_error,
            shows_text=sink.shows_text,
        )
    elif manner.content != "full":
        sink.tell = _showing(spec, tell, manner.content)
    channel = listener.channel
    if channel and manner.delivery == "inline" and "deliver" in listener.kind.overrides:
        sink.tell = _delivering(channel, sink)
    if manner.on_error == "detach":
        sink.tell = _unless_detached(sink)
    return sink


def _showing(spec: EventSpec[...], tell: Tell, content: Content) -> Tell:
    def tell_view(run: Recorded, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        return tell(*view_of(run, spec, arguments, keywords, content))

    return tell_view


def _queueing(channel: Channel, spec: EventSpec[...], sink: Sink, manner: Manner) -> Tell:
    rank, content, seconds = rank_of(spec), manner.content, manner.when_full.seconds

    def tell_later(run: Recorded, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        try:
            view = view_of(run, spec, arguments, keywords, content, is_kept=True)
            if view.run.size > manner.queue_bytes:
                # More than the queue may hold of all events together: what it says without content.
                view = view_of(run, spec, arguments, keywords, "none", is_kept=True)
            size = min(view.run.size, manner.queue_bytes)
            channel.put(sink, rank, view, size, seconds)
        except Exception as error:
            # The payload's own code raised, or the stack is full. The caller counts for nobody.
            note(sink, run, error, None)

    return tell_later


def _delivering(channel: Channel, sink: Sink) -> Tell:
    tell = sink.tell

    async def atell_and_deliver(
        run: Recorded, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        await tell(run, arguments, keywords)
        channel.deliver_here()

    def tell_and_deliver(
        run: Recorded, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        result = tell(run, arguments, keywords)
        channel.deliver_here()
        return result

    return atell_and_deliver if sink.is_async else tell_and_deliver


def _unless_detached(sink: Sink) -> Tell:
    tell, handler_id, counters = sink.tell, sink.handler_id, sink.counters

    def tell_or_not(run: Recorded, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        if handler_id in run.detached:
            counters.add(delivered=-1)  # Who called this counts what did not raise as told.
            return None
        return tell(run, arguments, keywords)

    return tell_or_not


def _shares(listener: Listener) -> bool:
    """Tell whether an event is put into another form for it, which the run keeps for others."""
    manner = listener.manner
    is_plain = manner.content == "full" and manner.delivery == "inline"
    return not is_plain or listener.kind.package is not None


def _releasing(sink: Sink) -> Tell:
    """Return how the last sink of a route is called: after it, nobody shares what the run keeps."""
    tell = sink.tell

    async def atell_and_release(
        run: Recorded, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        try:
            await tell(run, arguments, keywords)
        finally:
            run.release()

    def tell_and_release(
        run: Recorded, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        try:
            return tell(run, arguments, keywords)
        finally:
            run.release()

    return atell_and_release if sink.is_async else tell_and_release


class Routes(dict[EventSpec[...], Route]):
    """The routes of a list of listeners, each built when its event first occurs.

    It never changes in what it says, so it is shared by all runs of a tree. *folds* is the
    resolver's: what was once folded onto this list dies with it.
    """

    __slots__ = ("folds", "is_filtered", "listeners", "selections")

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        super().__init__()
        self.listeners = tuple(listeners)
        self.is_filtered = any(each.hearing is not EVERYTHING for each in self.listeners)
        self.folds: dict[Any, Any] = {}
        self.selections: dict[tuple[bool, ...], Routes] = {}

    def __missing__(self, spec: EventSpec[...]) -> Route:
        # Two threads may each build one: a route has no state, and nobody asks which one it is.
        sinks: list[Sink] = []
        is_shared = False
        for listener in self.listeners:
            if listener.hearing.only.errors and not spec.is_failure:
                continue
            kind, handler = listener.kind, listener.handler
            if kind.flags and kind.ignores(handler, spec):
                continue
            for make, is_async in ways_of(kind, spec):
                sinks.append(_sink(listener, spec, make(handler), is_async=is_async))
                is_shared = is_shared or _shares(listener)
        if is_shared:
            sinks[-1].tell = _releasing(sinks[-1])
        route = self[spec] = Route(sinks)
        return route

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
