"""From a handler's method to a sink: its signature is read once, never while a run is going on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from ..errors import HandlerSignatureError
from ..events import (
    EVENTS,
    STANDARD,
    STANDARD_AT_START,
    EventSpec,
    on_chat_model_start,
    on_llm_new_token,
    on_llm_start,
)
from ..policies import vars_of
from .foreign import converting, package_of

if TYPE_CHECKING:
    from .runs import Run

Tell = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Any]
"""Tells a handler of an event of a run, or of a view of one."""

_NOT_OVERRIDDEN: Final = frozenset({"chain_callbacks.handler", "langchain_core.callbacks.base"})
"""Modules whose classes define every event as doing nothing; asked by name, nothing is imported."""

NO_KEYWORDS: Final[Mapping[str, Any]] = MappingProxyType({})

FACTS: Final[dict[str, Callable[[Run], Any]]] = {
    "run_id": lambda run: run.id,
    "parent_run_id": lambda run: run.parent_id,
    "tags": lambda run: [*run.tags],
    "metadata": lambda run: {**run.metadata},
    "name": lambda run: run.name,
    "run_type": lambda run: run.run_type,
    "root_run_id": lambda run: run.root_id,
    "depth": lambda run: run.depth,
    "status": lambda run: run.status,
    "started": lambda run: run.started,
    "duration": lambda run: None if run.status is None else run.duration,
    "error_id": lambda run: run.error_id,
    "is_origin": lambda run: run.is_origin,
    "origin": lambda run: run.origin,
    "content": lambda run: run.content,
}
"""What a handler gets for naming it in a signature, beyond the payload."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event as ``on_event`` receives it; *payload* has the arguments by name."""

    name: str
    run: Run
    payload: Mapping[str, Any]


def events_of(handler: object) -> tuple[str, ...]:
    """Return the names of the events that *handler* implements, in the table's order."""
    return tuple(name for name in _EVENT_NAMES if method_of(handler, name) is not None)


def hears_anything(handler: object) -> bool:
    """Tell whether *handler* implements an event."""
    return any(method_of(handler, name) is not None for name in _EVENT_NAMES)


def method_of(handler: object, name: str) -> Callable[..., Any] | None:
    """Return the handler's own method for an event; None where it would do nothing."""
    cls = type(handler)
    if name not in vars_of(handler) and name in _not_overridden(cls):
        return None
    method = getattr(handler, name, None)
    return method if callable(method) else None


_EVENT_NAMES: Final = (*EVENTS, "on_event")
_by_class: Final[WeakKeyDictionary[type, frozenset[str]]] = WeakKeyDictionary()


def _not_overridden(cls: type) -> frozenset[str]:
    """Return the events for which a class has nothing but what a base class says: nothing."""
    found = _by_class.get(cls)
    if found is None:
        found = _by_class[cls] = frozenset(
            name for name in _EVENT_NAMES if _is_base_class(_definer(cls, name))
        )
    return found


def _definer(cls: type, name: str) -> type | None:
    return next((each for each in cls.__mro__ if name in each.__dict__), None)


def _is_base_class(cls: type | None) -> bool:
    return cls is not None and cls.__module__ in _NOT_OVERRIDDEN


def is_ignored(handler: object, spec: EventSpec[...]) -> bool:
    """Tell whether one of the handler's ``ignore_*`` flags silences the event."""
    # A stand-in (a mock) answers every attribute with something truthy that is no flag.
    return any(getattr(handler, flag, False) is True for flag in spec.ignored_by)


def tells_of(handler: object, spec: EventSpec[...]) -> Iterable[tuple[Tell, bool, bool]]:
    """Return how *handler* is told of an event, by its method for it and by ``on_event``.

    Each with whether that is to be awaited, and whether the event is converted for it.

    Raises:
        HandlerSignatureError: The method cannot take what the event brings.
    """
    if _ASKED_OF_CLASSES.isdisjoint(vars_of(handler)):
        # A fresh object for every request is an ordinary pattern: its class is asked once.
        recipes = _recipes.get(type(handler))
        if recipes is None:
            recipes = _recipes[type(handler)] = {}
        recipe = recipes.get(spec)
        if recipe is None:
            recipe = recipes[spec] = _recipe(handler, spec)
        if not recipe.is_unusual:
            if recipe.make is None:
                return ()
            return ((recipe.make(getattr(handler, spec.name)), recipe.is_async, False),)
    is_converted = package_of(handler) is not None
    built = filter(None, (build(handler, spec), build_record_sink(handler, spec)))
    return [(tell, is_async, is_converted) for tell, is_async in built]


class _Recipe(NamedTuple):
    """How the handlers of one class are told of one event: *make* takes the bound method.

    Without *make* they are not; those of an unusual class are looked at one by one.
    """

    make: Callable[[Callable[..., Any]], Tell] | None
    is_async: bool
    is_unusual: bool = False


_recipes: Final[WeakKeyDictionary[type, dict[EventSpec[...], _Recipe]]] = WeakKeyDictionary()
_ASKED_OF_CLASSES: Final = frozenset(
    [*EVENTS, "on_event", *(flag for spec in EVENTS.values() for flag in spec.ignored_by)]
)


def _recipe(handler: object, spec: EventSpec[...]) -> _Recipe:
    if is_ignored(handler, spec):
        return _Recipe(None, is_async=False)
    method = method_of(handler, spec.name)
    if spec.name == on_chat_model_start.name or method_of(handler, "on_event") is not None:
        return _Recipe(None, is_async=False, is_unusual=True)
    if method is None:
        return _Recipe(None, is_async=False)
    shape = _shape_of(handler, method, spec)
    plain = None if getattr(method, "__self__", None) is not handler else shape.plain(spec)
    if plain is None or package_of(handler) is not None:
        return _Recipe(None, is_async=False, is_unusual=True)
    return _Recipe(plain, inspect.iscoroutinefunction(method))


def build(handler: object, spec: EventSpec[...]) -> tuple[Tell, bool] | None:
    """Return how *handler* is told of an event, and whether that is to be awaited.

    None where it does not listen. The messages of a chat model reach a handler that has
    ``on_llm_start`` alone as text.

    Raises:
        HandlerSignatureError: The method cannot take what the event brings.
    """
    if is_ignored(handler, spec):
        return None
    method = method_of(handler, spec.name)
    if method is not None:
        tell = converting(handler, spec, _tell(handler, method, spec))
        if spec.name == on_chat_model_start.name:
            # Base classes of foreign handlers raise NotImplementedError to ask for the fallback.
            tell = _or_as_text(
                tell, _told_as_text(handler), is_async=inspect.iscoroutinefunction(method)
            )
        return tell, inspect.iscoroutinefunction(method)
    if spec.name == on_chat_model_start.name:
        method = method_of(handler, on_llm_start.name)
        as_text = _told_as_text(handler)
        if method is not None and as_text is not None:
            return as_text, inspect.iscoroutinefunction(method)
    return None


def build_record_sink(handler: object, spec: EventSpec[...]) -> tuple[Tell, bool] | None:
    """Return how *handler* gets the event as a record, or None where it has no ``on_event``."""
    method = method_of(handler, "on_event")
    if method is None or is_ignored(handler, spec):
        return None

    def tell(run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        payload = {**dict(zip(spec.positional, arguments, strict=True)), **keywords}
        return method(EventRecord(spec.name, run, MappingProxyType(payload)))

    return tell, inspect.iscoroutinefunction(method)


_checked: WeakSet[type] = WeakSet()


def check(handler: object) -> None:
    """Refuse a handler one of whose methods cannot take its event; once a class.

    Raises:
        HandlerSignatureError: As it says.
    """
    cls = type(handler)
    own = vars_of(handler)
    if cls in _checked and not any(callable(own[name]) for name in EVENTS.keys() & own):
        return  # A fresh object for every request is an ordinary pattern.
    for spec in EVENTS.values():
        build(handler, spec)
    _checked.add(cls)


def _told_as_text(handler: object) -> Tell | None:
    method = method_of(handler, on_llm_start.name)
    if method is None:
        return None
    told = converting(handler, on_llm_start, _tell(handler, method, on_llm_start))

    def tell(run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        serialized, batches = arguments
        return told(run, (serialized, [_text(messages) for messages in batches]), keywords)

    return tell


def _or_as_text(tell: Tell, as_text: Tell | None, *, is_async: bool) -> Tell:
    if as_text is None:
        return tell

    async def atell_or_convert(
        run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        try:
            await tell(run, arguments, keywords)
        except NotImplementedError:
            result = as_text(run, arguments, keywords)
            if inspect.isawaitable(result):
                await result

    def tell_or_convert(run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        try:
            return tell(run, arguments, keywords)
        except NotImplementedError:
            return as_text(run, arguments, keywords)

    return atell_or_convert if is_async else tell_or_convert


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


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a method takes an event: positionally or by name, and which keywords it accepts."""

    is_positional: bool
    takes_any: bool
    named: tuple[str, ...]

    def extras(self, spec: EventSpec[...]) -> list[str]:
        """Return the facts that it asks for by their names, beyond what the event brings."""
        brought = {*spec.positional, *spec.keywords, *spec.facts}
        return [name for name in self.named if name in FACTS and name not in brought]

    def plain(self, spec: EventSpec[...]) -> Callable[[Callable[..., Any]], Tell] | None:
        """Return what makes the ordinary handler's sink; None for a method that asks for more."""
        if not (self.is_positional and self.takes_any) or self.extras(spec):
            return None
        return _plain_token if spec.name == on_llm_new_token.name else _PLAIN.get(spec.facts)


def _shape_of(handler: object, method: Callable[..., Any], spec: EventSpec[...]) -> _Shape:
    function = getattr(method, "__func__", method)
    try:
        shape = _shape(function, spec, is_bound=function is not method)
    except TypeError:  # An unhashable callable: no cache, the same answer.
        shape = _shape.__wrapped__(function, spec, is_bound=function is not method)
    if isinstance(shape, str):
        name = type(handler).__qualname__
        raise HandlerSignatureError(handler=name, event=spec.name, reason=shape)
    return shape


def _tell(handler: object, method: Callable[..., Any], spec: EventSpec[...]) -> Tell:
    shape = _shape_of(handler, method, spec)
    plain = shape.plain(spec)
    if plain is not None:
        return plain(method)
    payload = {*spec.positional, *spec.keywords}
    wanted = [n for n in spec.facts if shape.takes_any or n in shape.named]
    wanted += shape.extras(spec)
    facts = tuple((name, FACTS[name]) for name in wanted if name not in payload)
    accepted = None if shape.takes_any else frozenset(shape.named)
    positional = None if shape.is_positional else spec.positional

    def tell(run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        passed = {name: fact(run) for name, fact in facts}
        passed |= {
            name: value for name, value in keywords.items() if accepted is None or name in accepted
        }
        if positional is None:
            return method(*arguments, **passed)
        return method(**dict(zip(positional, arguments, strict=True)), **passed)

    return tell


def _plain_start(method: Callable[..., Any]) -> Tell:
    # The ordinary handler: literal keywords, a fresh list and a fresh dict, nothing looked up. A
    # call with `*` or `**` in it builds a tuple and a dict first and takes twice the time.
    def tell(run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
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


def _plain_token(method: Callable[..., Any]) -> Tell:
    def tell(run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        (token,) = arguments
        return method(
            token,
            chunk=keywords.get("chunk"),
            run_id=run.id,
            parent_run_id=run.parent_id,
            tags=[*run.tags],
        )

    return tell


def _plain(method: Callable[..., Any]) -> Tell:
    def tell(run: Run, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
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


_PLAIN: Final = {STANDARD: _plain, STANDARD_AT_START: _plain_start}


@lru_cache(maxsize=4096)
def _shape(function: Callable[..., Any], spec: EventSpec[...], *, is_bound: bool) -> _Shape | str:
    """Return how *function* takes the event; a sentence where it cannot."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # Written in C, or a stand-in: it takes what it is given.
        return _Shape(is_positional=True, takes_any=True, named=())
    if is_bound:
        parameters = (
            parameters[1:]
            if parameters and parameters[0].kind is not (inspect.Parameter.VAR_POSITIONAL)
            else parameters
        )
    by_kind = {kind: [p for p in parameters if p.kind is kind] for kind in _KINDS}
    takes_any = bool(by_kind[inspect.Parameter.VAR_KEYWORD])
    in_order = by_kind[inspect.Parameter.POSITIONAL_ONLY] + by_kind[_EITHER]
    expected = len(spec.positional)
    named = {p.name for p in by_kind[_EITHER][max(0, expected - len(by_kind[_POSITIONAL])) :]}
    named |= {p.name for p in by_kind[inspect.Parameter.KEYWORD_ONLY]}
    has_room = len(in_order) >= expected or bool(by_kind[inspect.Parameter.VAR_POSITIONAL])
    by_name = not has_room and (
        takes_any or {*spec.positional} <= named | {p.name for p in in_order}
    )
    if not has_room and not by_name:
        return f"it takes {len(in_order)} arguments and the event brings {expected}"
    given = {*FACTS, *spec.keywords, *spec.positional}
    required = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind in (_EITHER, inspect.Parameter.KEYWORD_ONLY)
        and p not in in_order[:expected]
        and p.name not in given
    ]
    if required:
        return f"its argument {required[0]!r} is none of the event's"
    return _Shape(is_positional=not by_name, takes_any=takes_any, named=tuple(sorted(named)))


_EITHER: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
_POSITIONAL: Final = inspect.Parameter.POSITIONAL_ONLY
_KINDS: Final = tuple(inspect._ParameterKind)
