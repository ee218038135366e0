"""From a name to the one live handler of that name in this process."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..dispatch.sinks import check, events_of
from ..errors import (
    AmbiguousHandlerError,
    BrokenPluginError,
    ChainCallbacksError,
    NotAHandlerError,
    UnknownHandlerError,
    UnknownInstanceError,
)
from ..handler import BaseCallbackHandler
from ..policies import POLICIES, UNSTATED, Policy, parse_policy
from . import plugins
from .environment import instances_of, prefix_of, variables_of
from .index import FIRST_PARTY, Candidate, forget, index
from .names import DEFAULT_INSTANCE, Ref, normalised, parse_entry
from .provenance import Provenance

log = logging.getLogger("chain_callbacks")

REGISTERED = "(registered)"


class Key(NamedTuple):
    """What makes a named handler the same one: two entries of one key are one listener."""

    distribution: str
    name: str
    instance: str

    def __str__(self) -> str:
        return self.name if self.instance == DEFAULT_INSTANCE else f"{self.name}:{self.instance}"


@dataclass(frozen=True, slots=True)
class Live:
    """A handler that was made, the policy of the operator's settings, and where it comes from."""

    handler: object
    operator: Policy
    provenance: Provenance


_registered: dict[str, Callable[..., Any]] = {}
_live: dict[Key, Live] = {}


def register(name: str, provider: Callable[..., Any]) -> None:
    """Offer a handler under *name* without any installed metadata.

    For tests, notebooks and frozen applications. *provider* is a handler class, or any callable
    that returns a handler; it is called when the name is first used. Registering a name again
    replaces it for runs that start afterwards.

    Raises:
        InvalidNameError: *name* is no handler name.
        NotAHandlerError: *provider* cannot be called.
    """
    entry = parse_entry(name, source="register()")
    if entry.operation != "add" or entry.ref.instance or entry.ref.distribution:
        from ..errors import InvalidNameError

        raise InvalidNameError(entry=name, position=1, source="register()")
    if not callable(provider):
        raise NotAHandlerError(
            kind=f"of type {type(provider).__name__}",
            source=f"The provider of {name!r}",
            reason="pass a handler class, or a callable that returns a handler",
        )
    _registered[entry.ref.name] = provider
    for key in [key for key in _live if key.name == entry.ref.name]:
        del _live[key]
    _changes.count += 1


class _Changes:
    """Counts what makes an earlier resolution out of date, besides the environment."""

    count = 0


_changes = _Changes()


def changes() -> int:
    """Return a number that grows with each registration and each reset."""
    return _changes.count


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
    if ref.name in _registered and ref.distribution in (None, REGISTERED):
        distribution = REGISTERED
    else:
        distribution = _candidate(ref, source).distribution
    instance = ref.instance or DEFAULT_INSTANCE
    if instance != DEFAULT_INSTANCE and instance not in instances_of(ref.name):
        raise UnknownInstanceError(
            name=str(ref), source=source, variable=prefix_of(ref.name, instance)
        )
    return Key(distribution, ref.name, instance)


def _candidate(ref: Ref, source: str) -> Candidate:
    candidates = index().find(ref) or index(fresh=True).find(ref)
    if not candidates:
        installed = known_names()
        suggested = FIRST_PARTY.get(ref.name) if ref.name not in installed else None
        if ref.distribution is not None:
            suggested = None
        raise UnknownHandlerError(
            name=str(ref), source=source, installed=installed, distribution=suggested
        )
    if len(candidates) > 1:
        raise AmbiguousHandlerError(
            name=ref.name,
            source=source,
            distributions=[each.distribution for each in candidates],
        )
    return candidates[0]


def live(key: Key, *, source: str) -> Live:
    """Return the one live handler of *key*, made at the first call.

    Raises:
        BrokenPluginError: It cannot be imported or made, its settings are missing or wrong, or
            what it makes is no handler.
    """
    found = _live.get(key)
    if found is not None:
        return found
    candidate = None
    if key.distribution != REGISTERED:
        candidate = _candidate(Ref(key.name, None, normalised(key.distribution)), source)
    provenance = plugins.provenance_of(candidate)
    try:
        made = _make(key, candidate, provenance, source)
    except ChainCallbacksError as error:
        plugins.call_hook(
            "chain_callbacks_plugin_failed", name=str(key), error=error, provenance=provenance
        )
        raise
    # Of two threads that made one at the same time, both go on with the first.
    found = _live.setdefault(key, made)
    if found is made:
        plugins.call_hook(
            "chain_callbacks_handler_created",
            name=str(key),
            handler=made.handler,
            provenance=provenance,
        )
    return found


def _make(key: Key, candidate: Candidate | None, provenance: Provenance, source: str) -> Live:
    if candidate is None:
        provider = _registered[key.name]
    else:
        provider = plugins.load(candidate, source=source)
    instance = None if key.instance == DEFAULT_INSTANCE else key.instance
    variables = variables_of(key.name, instance)
    stated = {field: variables[field] for field in POLICIES if field in variables}
    prefix = prefix_of(key.name, instance)
    operator = UNSTATED
    if stated:
        operator = parse_policy(stated, source=f"{prefix}{next(iter(stated)).upper()}")
    own = {field: value for field, value in variables.items() if field not in POLICIES}
    arguments = _settings(provider, key.name, instance, own, source)
    reason: str | None = None
    cause: BaseException | None = None
    handler: object = None
    try:
        handler = provider(*arguments)
        reason = why_no_handler(handler)
        if reason is None:
            check(handler)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Its text may quote a setting, its frames hold them: the class is all that is passed on.
        reason = f"making it raised {type(error).__name__}"
        cause = error if not own else None
    if reason is not None:
        raise BrokenPluginError(
            name=str(key),
            source=source,
            reason=reason,
            distribution=provenance.distribution,
            version=provenance.version,
            location=provenance.location,
        ) from cause
    return Live(handler, operator, provenance)


def _settings(
    provider: object, name: str, instance: str | None, variables: dict[str, str], source: str
) -> tuple[Any, ...]:
    model = getattr(provider, "settings_model", None)
    if isinstance(model, str):
        if not variables:
            return ()  # All its fields have defaults: pydantic stays where it is.
        module, _, attribute = model.partition(":")
        from importlib import import_module

        model = getattr(import_module(module), attribute)
    if model is None and not variables:
        return ()
    from . import settings

    for sentence in settings.misspelt(model, prefix_of(name, instance), variables):
        log.warning("%s: %s", name, sentence)
    if model is None:
        return ()
    return (settings.read(model, name=name, instance=instance, variables=variables, source=source),)


def why_no_handler(value: object) -> str | None:
    """Return why *value* cannot be a handler; None where it can."""
    if isinstance(value, BaseCallbackHandler):
        return None
    if isinstance(value, type):
        return f"it is the class {value.__qualname__}; pass an instance, {value.__qualname__}()"
    if inspect.iscoroutine(value):
        value.close()
        return "it is a coroutine; a provider is called, not awaited"
    if not events_of(value):
        kind = type(value).__qualname__
        return f"its type {kind} has no method of the event table, such as on_chain_start"
    return None


def reset() -> None:
    """Forget instances and the index, so that both are made anew: for tests and reloading."""
    _live.clear()
    forget()
    _changes.count += 1
