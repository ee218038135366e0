"""From a name to the one live handler of that name in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple

from ..context import suppressed
from ..delivery.lifecycle import lifecycle
from ..delivery.options import options
from ..delivery.threads import reserve
from ..dispatch.handler_class import class_of
from ..errors import (
    AmbiguousHandlerError,
    BrokenPluginError,
    ChainCallbacksError,
    NotAHandlerError,
    UnknownHandlerError,
    UnknownInstanceError,
)
from ..handler import BaseCallbackHandler
from ..policies import Policy
from ..text import shortened
from . import hooks, plugins
from .handler_settings import RawSettings, instances_of, prefix_of, state_of
from .index import UNKNOWN, Candidate, Provenance, forget, index
from .making import Failure, blaming, call
from .names import DEFAULT_INSTANCE, Ref, normalised, parse_plain_name
from .ownership import owner_of
from .retirement import close, retire
from .settings import forget as forget_settings
from .settings import settings

REGISTERED: Final = "(registered)"
FROM_FILE: Final = "(file)"


class Key(NamedTuple):
    """What makes a named handler the same one: two entries of one key are one listener."""

    distribution: str
    name: str
    instance: str

    def __str__(self) -> str:
        """Return the name of the handler in logs, counts and tables."""
        name = self.name if self.instance == DEFAULT_INSTANCE else f"{self.name}:{self.instance}"
        return shortened(name)


@dataclass(frozen=True, slots=True)
class Live:
    """A handler that was made, the operator's policy for it, and its origin."""

    handler: object = field(repr=False)  # What a traceback shows of it may be its settings.
    operator: Policy
    provenance: Provenance


class _Failed:
    """Why a handler cannot be made, until its variables change or all is made anew."""

    def __init__(self, error: BrokenPluginError, state: int) -> None:
        # Not the error that is raised: that holds the frames which it leaves.
        self._error = _copied(error)
        self.state = state

    def again(self, source: str) -> BrokenPluginError:
        return _copied(self._error, source=source)


def _copied(error: BrokenPluginError, **changes: Any) -> BrokenPluginError:
    copied = replace(error, **changes)
    for note in getattr(error, "__notes__", ()):
        copied.add_note(note)
    copied.__cause__ = error.__cause__
    return copied


_registered: dict[str, Callable[..., Any]] = {}
_live: dict[Key, Live] = {}
_failed: dict[Key, _Failed] = {}


def register(name: str, provider: Callable[..., Any]) -> None:
    """Offer a handler under *name* without any installed metadata.

    For tests, notebooks and frozen applications. *provider* is a handler class, or any callable
    that returns a handler; it is called when the name is first used. Registering a name again
    replaces it for runs that start afterwards; the handler that it made until then is
    sent what it has to hear, and closed.

    Raises:
        InvalidNameError: *name* is no handler name.
        NotAHandlerError: *provider* cannot be called.
    """
    plain = parse_plain_name(name, source="register()")
    if not callable(provider):
        raise NotAHandlerError(
            kind=f"an object of type {type(provider).__name__}",
            source=f"The provider of {name!r}",
            advice="Pass a handler class, or a callable that returns a handler.",
        )
    _registered[plain] = provider
    changes.count += 1
    _failed.clear()
    retire(_taken([key for key in _live if key.name == plain]))


class _Changes:
    """Counts what makes an earlier resolution out of date, besides the environment."""

    count = 0


changes: Final = _Changes()


def known_names() -> tuple[str, ...]:
    """Return the names that are installed or registered, sorted."""
    return tuple(sorted({*index().names, *_registered}))


def registered_names() -> tuple[str, ...]:
    """Return the names that were registered by hand, sorted."""
    return tuple(sorted(_registered))


def identify(ref: Ref, *, source: str) -> Key:
    """Return the key of what a name means, without importing anything.

    Raises:
        UnknownHandlerError: Nothing of that name is installed or registered, or nobody configured
            that instance.
        AmbiguousHandlerError: More than one distribution offers it.
    """
    if ref.distribution is None and _class_in_file(ref.name, ref.instance) is not None:
        distribution = FROM_FILE
    elif ref.distribution is None and ref.name in _registered:
        distribution = REGISTERED
    else:
        distribution = _candidate(ref, source).distribution
    instance = ref.instance or DEFAULT_INSTANCE
    if instance != DEFAULT_INSTANCE and instance not in instances_of(ref.name):
        raise UnknownInstanceError(
            name=str(ref), source=source, variable=prefix_of(ref.name, instance)
        )
    return Key(distribution, ref.name, instance)


def _class_in_file(name: str, instance: str | None) -> str | None:
    """Return the class that the operator's file names for a handler: of its own, or the plain's."""
    current = settings()
    for section in (current.section(name, instance), current.section(name, None)):
        if isinstance(section.get("class"), str):
            return str(section["class"])
    return None


def _candidate(ref: Ref, source: str) -> Candidate:
    candidates = index().find(ref) or index(fresh=True).find(ref)
    if not candidates:
        installed = known_names()
        suggested: str | None = None
        claiming: tuple[Candidate, ...] = ()
        if ref.distribution is None and ref.name not in installed:
            suggested = owner_of(ref.name)
            claiming = index().candidates.get(ref.name, ())
        raise UnknownHandlerError(
            name=str(ref),
            source=source,
            installed=installed,
            distribution=suggested,
            claimed_by=tuple(each.distribution for each in claiming),
        )
    if len(candidates) > 1:
        raise AmbiguousHandlerError(
            name=ref.name,
            source=source,
            distributions=tuple(each.distribution for each in candidates),
        )
    return next(iter(candidates))


def live(key: Key, *, source: str) -> Live:
    """Return the one live handler of *key*, made at the first call.

    Raises:
        BrokenPluginError: It cannot be imported or made, its settings are missing or wrong, or
            what it makes is no handler.
    """
    found = _live.get(key)
    if found is not None:
        return found
    state = state_of(key.name, _instance_of(key))
    failure = _failed.get(key)
    if failure is not None and failure.state == state:
        raise failure.again(source)
    candidate = _installed(key, source)
    provenance = UNKNOWN if candidate is None else candidate.provenance
    try:
        made = _make(key, candidate, provenance, source)
    except ChainCallbacksError as error:
        if isinstance(error, BrokenPluginError):
            _failed[key] = _Failed(error, state)
        hooks.notify(
            "chain_callbacks_plugin_failed", name=str(key), error=error, provenance=provenance
        )
        raise
    # Of two threads that made one at the same time, both go on with the first.
    found = _live.setdefault(key, made)
    if found is made:
        if _is_closed(made.handler) and not options.is_inline:
            reserve.fill()
        hooks.notify(
            "chain_callbacks_handler_created",
            name=str(key),
            handler=made.handler,
            provenance=provenance,
        )
    return found


def provider_of(key: Key, *, source: str) -> tuple[plugins.Provider, Provenance]:
    """Return what makes the handler of *key*, imported but not called, and where it comes from.

    Raises:
        BrokenPluginError: It cannot be imported.
    """
    candidate = _installed(key, source)
    return _provider(key, candidate, source), UNKNOWN if candidate is None else candidate.provenance


def _instance_of(key: Key) -> str | None:
    return None if key.instance == DEFAULT_INSTANCE else key.instance


def _installed(key: Key, source: str) -> Candidate | None:
    if key.distribution in (REGISTERED, FROM_FILE):
        return None
    return _candidate(Ref(key.name, None, normalised(key.distribution)), source)


def _provider(key: Key, candidate: Candidate | None, source: str) -> plugins.Provider:
    instance = _instance_of(key)
    if candidate is None and key.distribution == REGISTERED:
        return _registered[key.name]
    try:
        if candidate is not None:
            return plugins.load(candidate, source=source)
        path = _class_in_file(key.name, instance) or ""
        return plugins.load_class(path, name=str(key), source=source)
    except BrokenPluginError as error:
        broken = error
    given = RawSettings(key.name, instance)
    if broken.__cause__ is not None and given.has_values:
        reason = broken.reason
        if given.is_quoted_in(reason):
            reason = f"importing it raised {type(broken.__cause__).__name__}"
        broken = blaming(replace(broken, reason=reason), broken.__cause__, given)
    raise broken


def _make(key: Key, candidate: Candidate | None, provenance: Provenance, source: str) -> Live:
    given = RawSettings(key.name, _instance_of(key))
    provider = _provider(key, candidate, source)
    stated = given.parse_policy()
    with suppressed():  # A run that the constructor starts would be told to what it makes.
        called = call(provider, given, takes_keywords=key.distribution == FROM_FILE, source=source)
    if isinstance(called, Failure):
        broken = BrokenPluginError(
            name=str(key),
            source=source,
            reason=called.reason,
            distribution=provenance.distribution,
            version=provenance.version,
            location=provenance.location,
        )
        broken = blaming(broken, called.cause, given)
        del called
        raise broken
    return Live(called, stated, provenance)


def live_handlers() -> dict[str, object]:
    """Return the named handlers that were made in this process, by name."""
    return {str(key): found.handler for key, found in tuple(_live.items())}


def reset() -> None:
    """Close the live handlers and forget them, the index and the file: all is made anew.

    What is queued for them is told first, within the seconds that the end of the process has.
    """
    retired = _taken(_live)
    forget()
    forget_settings()
    changes.count += 1
    _failed.clear()
    retire(retired)


def closing() -> list[tuple[str, Callable[[], None]]]:
    """Forget the handlers that a name made; return how to close each that can be, by name.

    A name that the program's own exit functions use makes a new one.
    """
    changes.count += 1
    return [
        (name, partial(close, {name: handler}))
        for name, handler in _taken(_live).items()
        if _is_closed(handler)
    ]


def _taken(keys: Iterable[Key]) -> dict[str, object]:
    """Take handlers out of those that are live, in the order of their names."""
    found = {str(key): _live.pop(key, None) for key in sorted(keys)}
    return {name: each.handler for name, each in found.items() if each is not None}


def _is_closed(handler: object) -> bool:
    return "close" in class_of(handler).overrides or (
        not isinstance(handler, BaseCallbackHandler) and callable(getattr(handler, "close", None))
    )


lifecycle.closers.append(closing)
