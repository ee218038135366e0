"""How a handler's method is called for an event: as it is, by name, as text, in foreign types.

Each way is made for a class of handlers once, and bound to a handler when its route is built.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from ..events import (
    STANDARD,
    STANDARD_AT_START,
    EventSpec,
    on_chat_model_start,
    on_llm_new_token,
    on_llm_start,
)
from ..handler import RunFacts
from ..sink import Tell
from .handler_class import FACTS, ON_EVENT, HandlerClass, Method, Way

Make = Callable[[Any], Tell]
"""Makes, for a handler, what calls its method."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event as ``on_event`` receives it; *payload* has the arguments by name."""

    name: str
    run: RunFacts
    payload: Mapping[str, Any]


def ways_of(kind: HandlerClass, spec: EventSpec[...]) -> tuple[Way, ...]:
    """Return how handlers of a class are called for an event: none, one or two ways.

    The second is ``on_event``. A chat model's messages reach a handler that has ``on_llm_start``
    alone as text.
    """
    ways = kind.ways.get(spec)
    if ways is None:
        ways = kind.ways[spec] = tuple(_ways(kind, spec))
    return ways


def _ways(kind: HandlerClass, spec: EventSpec[...]) -> Iterator[Way]:
    method = kind.methods.get(spec.name)
    make = None if method is None else _calling(kind, method, spec)
    if spec.name == on_chat_model_start.name:
        text_method = kind.methods.get(on_llm_start.name)
        if text_method is not None:
            as_text = _as_text(_calling(kind, text_method, on_llm_start))
            if method is None:
                method, make = text_method, as_text
            elif make is not None:
                make = _or_as_text(make, as_text, is_async=method.is_async)
    if method is not None and make is not None:
        yield make, method.is_async
    if ON_EVENT in kind.methods:
        yield _recording(spec), kind.methods[ON_EVENT].is_async


def _calling(kind: HandlerClass, method: Method, spec: EventSpec[...]) -> Make:
    """Return what calls a method of the class, with a conversion for a class of another package."""
    signature = method.signature
    is_plain = signature.is_positional and signature.takes_any
    make: Make
    if not is_plain or signature.facts_beyond(spec) or spec.facts not in _PLAIN:
        make = _by_name(method, spec)
    elif spec.name == on_llm_new_token.name:
        make = _plain_token(spec.name)
    else:
        make = _PLAIN[spec.facts](spec.name)
    return make if kind.package is None else _converting(make, kind.package, spec.name)


# The ordinary handler: literal keywords, a fresh list and a fresh dict, nothing looked up. A call
# with `*` or `**` in it builds a tuple and a dict first and takes twice the time.


def _plain_start(name: str) -> Make:
    def make(handler: Any) -> Tell:
        method = getattr(handler, name)

        def tell(run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            if keywords:
                return method(
                    *arguments,
                    run_id=run.id,
                    parent_run_id=run.parent_id,
                    tags=[*run.tags],
                    metadata={**run.metadata},
                    name=run.name,
                    run_type=run.run_type,
                    **keywords,
                )
            serialized, inputs = arguments
            return method(
                serialized,
                inputs,
                run_id=run.id,
                parent_run_id=run.parent_id,
                tags=[*run.tags],
                metadata={**run.metadata} if run.metadata else {},
                name=run.name,
                run_type=run.run_type,
            )

        return tell

    return make


def _plain_token(name: str) -> Make:
    def make(handler: Any) -> Tell:
        method = getattr(handler, name)

        def tell(run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            (token,) = arguments
            return method(
                token,
                chunk=keywords.get("chunk"),
                run_id=run.id,
                parent_run_id=run.parent_id,
                tags=[*run.tags],
            )

        return tell

    return make


def _plain(name: str) -> Make:
    def make(handler: Any) -> Tell:
        method = getattr(handler, name)

        def tell(run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            if keywords:
                return method(
                    *arguments,
                    run_id=run.id,
                    parent_run_id=run.parent_id,
                    tags=[*run.tags],
                    **keywords,
                )
            (value,) = arguments
            return method(value, run_id=run.id, parent_run_id=run.parent_id, tags=[*run.tags])

        return tell

    return make


_PLAIN: Final = {STANDARD: _plain, STANDARD_AT_START: _plain_start}


def _by_name(method: Method, spec: EventSpec[...]) -> Make:
    """Return what passes a method the facts and keywords that it names, and no others."""
    signature = method.signature
    brought = {*spec.positional, *spec.keywords}
    wanted = [name for name in spec.facts if signature.takes_any or name in signature.named]
    wanted += signature.facts_beyond(spec)
    names = [name for name in wanted if name not in brought]
    # One call for all of them; with one name alone it would give no tuple.
    facts_of = attrgetter(*[FACTS[name] for name in names], "id", "id")
    accepted = None if signature.takes_any else frozenset(signature.named)
    positional = None if signature.is_positional else spec.positional

    def make(handler: Any) -> Tell:
        method = getattr(handler, spec.name)

        def tell(run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            passed: dict[str, Any] = dict(zip(names, facts_of(run), strict=False))
            if "tags" in passed:
                passed["tags"] = [*run.tags]
            if "metadata" in passed:
                passed["metadata"] = {**run.metadata}
            if keywords:
                passed |= {
                    name: value
                    for name, value in keywords.items()
                    if accepted is None or name in accepted
                }
            if positional is None:
                return method(*arguments, **passed)
            return method(**dict(zip(positional, arguments, strict=True)), **passed)

        return tell

    return make


def _recording(spec: EventSpec[...]) -> Make:
    """Return what passes ``on_event`` the whole event as one record."""

    def make(handler: Any) -> Tell:
        method = getattr(handler, ON_EVENT)

        def tell(run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            payload = {**dict(zip(spec.positional, arguments, strict=True)), **keywords}
            return method(EventRecord(spec.name, run, MappingProxyType(payload)))

        return tell

    return make


# The messages of a chat model as text.


def _as_text(make_told: Make) -> Make:
    def make(handler: Any) -> Tell:
        told = make_told(handler)

        def tell(run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            serialized, batches = arguments
            return told(run, (serialized, [_text(messages) for messages in batches]), keywords)

        return tell

    return make


def _or_as_text(make_told: Make, make_as_text: Make, *, is_async: bool) -> Make:
    """Return what falls back on text: foreign base classes ask for it by NotImplementedError."""

    def make(handler: Any) -> Tell:
        told, as_text = make_told(handler), make_as_text(handler)

        async def atell(
            run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
        ) -> None:
            try:
                await told(run, arguments, keywords)
            except NotImplementedError:
                result = as_text(run, arguments, keywords)
                if inspect.isawaitable(result):
                    await result

        def tell(run: RunFacts, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            try:
                return told(run, arguments, keywords)
            except NotImplementedError:
                return as_text(run, arguments, keywords)

        return atell if is_async else tell

    return make


_SPEAKERS: Final = {
    "human": "Human",
    "ai": "AI",
    "AIMessageChunk": "AI",
    "system": "System",
    "tool": "Tool",
}


def _text(messages: Any) -> str:
    return "\n".join(
        f"{_SPEAKERS.get(kind := getattr(m, 'type', ''), kind)}: {getattr(m, 'content', m)}"
        for m in messages
    )


# Handlers that were written for another framework, which get that framework's own types.

Told = tuple[Any, tuple[Any, ...], Mapping[str, Any]]

Conversion = Callable[[str, Any, tuple[Any, ...], Mapping[str, Any]], Told]
"""Takes an event's name, its run, its arguments and its keywords; returns the last three anew."""


class _Conversions:
    """The conversions of this process, by package; the resolver sets *find*, as plugins have them.

    What a conversion gives is made once an event, however many handlers of its package listen.
    """

    __slots__ = ("find", "known")

    def __init__(self) -> None:
        self.known: dict[str, Conversion | None] = {}
        self.find: Callable[[str], Conversion | None] | None = None

    def of(self, package: str) -> Conversion | None:
        """Return how events are put into the types of *package*; None if they are left alone."""
        if package not in self.known:
            if self.find is None:
                return None
            return self.known.setdefault(package, self.find(package))
        return self.known[package]


conversions: Final = _Conversions()


def _converting(make_told: Make, package: str, name: str) -> Make:
    def make(handler: Any) -> Tell:
        told = make_told(handler)
        conversion = conversions.of(package)
        if conversion is None:
            return told

        def tell(run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
            made: dict[str, tuple[Any, Conversion, Told]] = getattr(run, "converted", None) or {}
            known = made.get(name)
            # The tuple of an event's arguments is its own, and lives as long as it is delivered.
            if known is None or known[0] is not arguments or known[1] is not conversion:
                known = (arguments, conversion, conversion(name, run, arguments, keywords))
                with contextlib.suppress(AttributeError):  # A run that cannot keep it.
                    run.converted = {**made, name: known}
            return told(*known[2])

        return tell

    return make
