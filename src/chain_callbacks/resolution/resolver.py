"""The one boundary that resolves: from the context, a constructor and a call to one manager."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..dispatch.around import manager_of
from ..dispatch.context import Attached, Quiet, Scope, current, here, surroundings
from ..dispatch.manager import CallbackManager, Limits
from ..dispatch.routes import Listener, Routes
from ..dispatch.runs import Run
from ..errors import BrokenPluginError, ConfigurationErrors, InvalidPolicyError
from ..policies import Local, WithPolicy
from . import converting  # noqa: F401  It tells dispatch where conversions are found.
from .fold import Folded, fold
from .root import root, root_manager, warn
from .settings import settings
from .slots import Origin
from .sources import RUNTIME, Attachments, Layered, items_of, key_of, refuse

_MOST_FOLDS: Final = 64
"""How many lists are remembered for each base; a fresh handler a request fills it with garbage."""


def enter(own: Attachments | None, config: Mapping[str, Any] | None) -> CallbackManager | None:
    """Return the manager for one call; None where nobody listens and nothing is to be handed down.

    *own* is what the constructor attached, *config* the call's, already checked. A manager that is
    silent says that the context changes, for nested calls, though no run is made.

    Raises:
        ChainCallbacksError: A name or an object cannot be used; nothing has run then.
    """
    # Without a host that has a context of its own, the variable says it all.
    scope = here() if surroundings.finders else current.get()
    runtime = None
    is_plain = own is None
    if config:
        runtime = config.get("callbacks")
        is_alone = len(config) == 1 and runtime is not None
        is_plain = is_plain and (is_alone or not _adds(config))
    if is_plain and runtime is None:
        # The way of a call that adds nothing: nothing is made but what a run was asked for once.
        if scope is None:
            manager = root_manager()
        elif isinstance(scope, Run):
            manager = scope.child
        elif isinstance(scope, CallbackManager):
            manager = scope
        else:
            return _enter(scope, None, None, config)
        return None if manager.is_silent else manager
    if is_plain and scope is None and runtime.__class__ is list:
        # The way of a root call that names handlers: one look-up once the list was resolved.
        found = root_manager().down.folds.get(((), key_of(runtime)))
        if found is not None and found.manager is not None:
            known: CallbackManager = found.manager
            return None if known.is_silent else known
    elif is_plain and isinstance(runtime, CallbackManager) and runtime.parent is not None:
        # The way of a step of a sequence: the run around says it all.
        return None if scope.__class__ is Quiet or runtime.is_silent else runtime
    return _enter(scope, own, runtime, config)


def enter_at(scope: Scope, callbacks: Any) -> CallbackManager | None:
    """Return the manager for what starts in *scope*, with *callbacks* added, as ``enter`` does.

    Raises:
        ChainCallbacksError: A name or an object cannot be used; nothing has run then.
    """
    if callbacks is None and (scope is None or isinstance(scope, Run)):
        manager = root_manager() if scope is None else scope.child
        return None if manager.is_silent else manager
    return _enter(scope, None, callbacks, None)


def _enter(
    scope: Any, own: Attachments | None, runtime: Any, config: Mapping[str, Any] | None
) -> CallbackManager | None:
    scope, attached, runtime, bound = unwrapped(scope, runtime)
    if isinstance(scope, Quiet):
        return None
    manager, runtime = given_manager(runtime)
    if manager is not None:
        # A run's manager is the base and the parent; neither scope nor environment are asked.
        attached = []
    elif scope is None:
        manager = root_manager()
        if root.is_disabled:
            return None
    else:
        manager = manager_of(scope) or root_manager()
    base = manager
    layers = [each for each in (*attached, own, *bound) if each is not None]
    if layers or runtime is not None:
        manager = _folded(base, layers, runtime)
    if config:
        manager = _configured(manager, config)
    return None if manager.is_silent and manager is base else manager


def unwrapped(scope: Any, runtime: Any) -> tuple[Any, list[Attachments], Any, list[Attachments]]:
    """Return the scope and what was attached in it, the call's callbacks and what is bound."""
    bound: list[Attachments] = []
    while isinstance(runtime, Layered):
        bound.append(runtime.bound)
        runtime = runtime.runtime
    attached: list[Attachments] = []
    while isinstance(scope, Attached):
        attached.insert(0, scope.entries)
        scope = scope.around
    return scope, attached, runtime, bound


def given_manager(runtime: Any) -> tuple[CallbackManager | None, Any]:
    """Return the manager of a run that *runtime* is or begins with, and what is left of it."""
    is_list = isinstance(runtime, list | tuple)
    first = runtime[0] if is_list and runtime else runtime
    if isinstance(first, CallbackManager) and first.parent is not None:
        rest = tuple(runtime[1:]) if is_list else None
        return first, rest or None
    return None, runtime


def _adds(config: Mapping[str, Any]) -> bool:
    """Tell whether a config hands anything down besides callbacks."""
    get = config.get
    return bool(get("tags") or get("metadata") or get("max_concurrency") or get("recursion_limit"))


def over(base: CallbackManager, folded: Folded) -> CallbackManager:
    """Return *base* with who listens by a fold, and all else of its own."""
    if folded.here is base.here and folded.down is base.down:
        return base
    return base.replaced(here=folded.here, down=folded.down)


def _configured(base: CallbackManager, config: Mapping[str, Any]) -> CallbackManager:
    """Return *base* with the tags, metadata and limits of a call added."""
    if not _adds(config):
        return base
    limits: Limits = {**base.limits}
    if config.get("max_concurrency") is not None:
        limits["max_concurrency"] = config["max_concurrency"]
    if config.get("recursion_limit") is not None:
        limits["recursion_limit"] = config["recursion_limit"]
    return base.replaced(
        tags=tuple(dict.fromkeys((*base.tags, *(config.get("tags") or ())))),
        metadata={**base.metadata, **(config.get("metadata") or {})},
        limits=limits,
    )


class _Known(NamedTuple):
    """A fold that was made, and for a root the manager that came of it.

    *kept* keeps alive the objects by whose identity it is cached.
    """

    folded: Folded
    manager: CallbackManager | None
    kept: Any


def _folded(manager: CallbackManager, layers: list[Attachments], runtime: Any) -> CallbackManager:
    """Return *manager* with the layers and the call's own folded in, from the base's cache."""
    base = manager.down
    kept = tuple(runtime) if isinstance(runtime, list) else runtime
    key = (tuple(map(id, layers)), None if kept is None else key_of(kept))
    known: _Known | None = base.folds.get(key)
    if known is None:
        folded = _fold(base, layers, kept)
        is_root = manager is root.manager
        known = _Known(folded, over(manager, folded) if is_root else None, (layers, kept))
        if len(base.folds) >= _MOST_FOLDS:
            base.folds.clear()
        base.folds[key] = known
    if known.manager is not None and manager is root.manager:
        return known.manager
    return over(manager, known.folded)


def _appended(base: Routes, handlers: Sequence[object]) -> Folded | None:
    """Return *base* with handler objects at its end; None where it takes a fold to know.

    A fresh handler for every request is an ordinary pattern, and this a tenth of what a fold takes.
    """
    word = settings()
    known = {id(each.handler) for each in base.listeners}
    if word.require or word.plugins or len({*map(id, handlers)} - known) < len(handlers):
        return None
    listeners = list(base.listeners)
    for position, handler in enumerate(handlers):
        if isinstance(handler, _NO_OBJECTS):
            return None
        source = f"{RUNTIME}[{position}]"
        refuse(handler, source)
        origin = Origin(type(handler).__qualname__, source)
        listeners.append(Listener(id(handler), handler, source=origin))
    routes = Routes(listeners)
    return Folded(routes, routes, (), ())


_NO_OBJECTS: Final = (str, CallbackManager, Local, WithPolicy)


def _fold(base: Routes, layers: list[Attachments], kept: Any) -> Folded:
    if kept and not layers and isinstance(kept, tuple):
        with contextlib.suppress(InvalidPolicyError):  # The fold says it in its own way.
            appended = _appended(base, kept)
            if appended is not None:
                return appended
    items = [item for layer in layers for item in layer.items]
    items.extend(items_of(kept, RUNTIME))
    folded = fold(base, items)
    if folded.problems and settings().is_strict:
        raise ConfigurationErrors(folded.problems)
    if folded.fatal is not None:
        raise folded.fatal
    for problem in folded.problems:
        if not isinstance(problem, BrokenPluginError):
            raise problem
    for problem in folded.problems:
        warn(problem)
    return folded
