"""What a class of handlers can be called with: one record, made once a class.

Nothing about a class is looked up a second time, and nothing is looked up while a run is going on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from ..errors import HandlerSignatureError
from ..events import EVENTS, EventSpec
from ..handler import BaseCallbackHandler, Content
from ..policies import CHOICES, UNSTATED, Manner, Policy, defaults_of
from ..sink import Tell

BASES: Final[Mapping[str, str | None]] = {
    "chain_callbacks.handler": None,
    "langchain_core.callbacks.base": "langchain_core",
}
"""The modules of base classes, whose methods do nothing, and the package that handlers which derive
from them were written for. They are known by name: nothing is imported."""

ON_EVENT: Final = "on_event"

FACTS: Final[Mapping[str, str]] = {
    "run_id": "id",
    "parent_run_id": "parent_id",
    "tags": "tags",
    "metadata": "metadata",
    "name": "name",
    "run_type": "run_type",
    "root_run_id": "root_id",
    "depth": "depth",
    "status": "status",
    "started": "started",
    "duration": "duration",
    "error_id": "error_id",
    "is_origin": "is_origin",
    "origin": "origin",
    "content": "content",
}
"""What a method is passed if its signature names it, beyond the payload of its event, and the
attribute of ``RunFacts`` that it comes from."""

_EVENTS: Final = (*EVENTS, ON_EVENT)
_FLAGS: Final = frozenset(flag for spec in EVENTS.values() for flag in spec.ignored_by)
_POLICIES: Final = frozenset({*CHOICES, "raise_error"})
_OVER_A_LIFE: Final = ("flush", "deliver", "close", "after_fork")
_ASKED: Final = frozenset(_EVENTS) | _FLAGS | _POLICIES
"""What is read of a handler; one that has such an attribute of its own has a record of its own."""


class Signature(NamedTuple):
    """How a method takes its event: positionally or by name, and which keywords it accepts."""

    is_positional: bool
    takes_any: bool
    named: tuple[str, ...]

    def facts_beyond(self, spec: EventSpec[...]) -> list[str]:
        """Return the facts that it names, beyond those that the event passes to everyone."""
        passed = {*spec.positional, *spec.keywords, *spec.facts}
        return [name for name in self.named if name in FACTS and name not in passed]


_TAKES_ANYTHING: Final = Signature(is_positional=True, takes_any=True, named=())


class Method(NamedTuple):
    """One method of a class of handlers."""

    signature: Signature
    is_async: bool


Way = tuple[Callable[[Any], Tell], bool]
"""Makes the call of a sink for a handler, and whether that is awaited."""


class HandlerClass:
    """What is known of a class of handlers, or of a handler with methods or settings of its own.

    Raises:
        HandlerSignatureError: A method cannot be called with what its event brings.
        InvalidPolicyError: The class states a policy with a value that there is not.

    Attributes:
        package: The package that the class was written for; None for one of ours.
        is_shared: Whether all handlers of the class are alike.
        methods: Its methods by the name of the event, ``on_event`` among them; without those of
            the base classes, which do nothing.
        flags: The ``ignore_*`` flags that it may set.
        overrides: Which of the methods of a handler's life do more than those of the base class.
        defaults: The policies that it states for itself.
        manners: How it is listened to if nothing else is stated, by the level of content.
        ways: How it is called, by event; ``adapters`` fills it.
    """

    __slots__ = (
        *("defaults", "flags", "is_shared", "manners", "methods", "name", "overrides", "package"),
        "ways",
    )

    def __init__(self, handler: object) -> None:
        cls = type(handler)
        self.name = cls.__qualname__
        self.package: str | None = None
        self.methods: dict[str, Method] = {}
        self.ways: dict[EventSpec[...], tuple[Way, ...]] = {}
        # A mock, or a proxy, answers for its attributes itself.
        is_dynamic = hasattr(cls, "__getattr__") or (
            cls.__getattribute__ is not object.__getattribute__
        )
        own = vars_of(handler)
        self.is_shared = not is_dynamic and _ASKED.isdisjoint(own)
        # The class that defines a name last in this loop is the one that Python finds first.
        defined: dict[str, str] = {}
        for each in reversed(cls.__mro__):
            module = each.__module__
            self.package = BASES.get(module) or self.package
            for name in _ASKED & each.__dict__.keys():
                defined[name] = module
                if name in _POLICIES and hasattr(each.__dict__[name], "__get__"):
                    self.is_shared = False  # A property, or a slot.
        stated = {name for name, module in defined.items() if module not in BASES}
        stated.update(_ASKED & own.keys())
        self.flags = _FLAGS & stated
        self.defaults = defaults_of(handler)
        self.manners: dict[Content, Manner] = {}
        self.overrides = frozenset[str]()
        if isinstance(handler, BaseCallbackHandler):
            self.overrides = frozenset(
                [
                    name
                    for name in _OVER_A_LIFE
                    if getattr(cls, name) is not getattr(BaseCallbackHandler, name)
                ]
            )
        for name in _EVENTS:
            if name in stated or (is_dynamic and name not in defined):
                method = getattr(handler, name, None)
                if callable(method):
                    is_async = inspect.iscoroutinefunction(method)
                    self.methods[name] = Method(_signature(cls, name, method), is_async)

    def manner(self, operator: Policy, code: Policy, content: Content) -> Manner:
        """Return how a handler is listened to, after its own defaults and both policies.

        Raises:
            InvalidPolicyError: They exclude each other.
        """
        if not UNSTATED == operator == code:
            return Manner.of(self.defaults, operator, code, content=content, name=self.name)
        found = self.manners.get(content)
        if found is None:
            found = Manner.of(self.defaults, operator, code, content=content, name=self.name)
            self.manners[content] = found
        return found

    def ignores(self, handler: object, spec: EventSpec[...]) -> bool:
        """Tell whether a flag of *handler*, which has this record, silences the event."""
        for flag in spec.ignored_by:
            # A stand-in (a mock) answers every attribute with something truthy that is no flag.
            if flag in self.flags and getattr(handler, flag) is True:
                return True
        return False


_known: Final[WeakKeyDictionary[type, HandlerClass]] = WeakKeyDictionary()


def class_of(handler: object) -> HandlerClass:
    """Return what is known of the class of *handler*.

    A fresh handler for every request is an ordinary pattern: its class is examined once. Only a
    handler that has methods, flags or policies of its own is examined by itself.

    Raises:
        HandlerSignatureError: A method cannot be called with what its event brings.
        InvalidPolicyError: The class states a policy with a value that there is not.
    """
    cls = type(handler)
    if not _ASKED.isdisjoint(vars_of(handler)):
        return HandlerClass(handler)
    found = _known.get(cls)
    if found is None:
        found = HandlerClass(handler)
        if found.is_shared:
            _known[cls] = found
    return found


def events_of(handler: object) -> tuple[str, ...]:
    """Return the names of the events that *handler* implements, in the table's order."""
    return tuple(class_of(handler).methods)


def vars_of(handler: object) -> Mapping[str, Any]:
    """Return what *handler* has as attributes of its own, besides those of its class."""
    own: Mapping[str, Any] = getattr(handler, "__dict__", {})
    return own


def _signature(cls: type, name: str, method: Callable[..., Any]) -> Signature:
    """Return how *method* takes its event.

    Raises:
        HandlerSignatureError: It cannot.
    """
    spec = EVENTS.get(name)
    if spec is None:
        return _TAKES_ANYTHING
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):  # Written in C, or a stand-in: it takes what it is given.
        return _TAKES_ANYTHING
    in_order: list[inspect.Parameter] = []
    named: list[inspect.Parameter] = []
    takes_any = has_rest = False
    for each in parameters:
        if each.kind is each.VAR_KEYWORD:
            takes_any = True
        elif each.kind is each.VAR_POSITIONAL:
            has_rest = True
        else:
            (named if each.kind is each.KEYWORD_ONLY else in_order).append(each)
    is_positional = has_rest or len(in_order) >= len(spec.positional)
    reason = None
    if not (is_positional or takes_any):
        names = {each.name for each in (*in_order, *named)}
        if not names.issuperset(spec.positional):
            count = len(spec.positional)
            reason = f"it takes {len(in_order)} arguments and the event brings {count}"
    beyond = [*(in_order[len(spec.positional) :] if is_positional else in_order), *named]
    accepted, missing = _beyond(spec, beyond)
    if reason or missing:
        raise HandlerSignatureError(
            handler=cls.__qualname__, event=name, reason=reason or missing or ""
        )
    return Signature(is_positional, takes_any, accepted)


def _beyond(
    spec: EventSpec[...], parameters: Iterable[inspect.Parameter]
) -> tuple[tuple[str, ...], str | None]:
    """Return which keywords a method accepts, and what it requires that nobody passes."""
    accepted: list[str] = []
    missing = None
    for each in parameters:
        is_required = each.default is each.empty
        if each.kind is each.POSITIONAL_ONLY:
            if is_required:
                missing = f"its argument {each.name!r} takes no keyword"
            continue
        name = each.name
        accepted.append(name)
        if is_required and name not in FACTS and name not in (*spec.keywords, *spec.positional):
            missing = missing or f"its argument {name!r} is none of the event's"
    return tuple(sorted(accepted)), missing
