"""The resolver: from the environment, the scope, a constructor and a call to one manager.

Outside of a run the environment's handlers are merged first, inside one what the run hands down is
the base. ``enter`` is asked for every call and answers from caches where it can; ``explain``,
``resolve`` and ``check`` show what the same merge wrote down.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..context import SUPPRESSED, Attached, Scope, current, here, surroundings
from ..dispatch.manager import NOBODY, CallbackManager, Limits, controls, manager_around
from ..dispatch.routes import SILENCE, Listener, Routes
from ..dispatch.run import Run
from ..errors import (
    BrokenPluginError,
    ChainCallbacksError,
    ConfigurationErrors,
    InvalidPolicyError,
)
from ..forks import in_child
from ..policies import Local, WithPolicy
from . import (
    converting,  # noqa: F401  It tells dispatch where conversions are found.
    instances,
)
from .delivery_options import applied_settings
from .merge import Merged, Origin, Problem, merge
from .record import Row, describe, table
from .settings import Settings, are_unset, misspelt_variables, settings, values
from .sources import RUNTIME, Attachments, Item, Layered, item_of, key_of, refuse

log = logging.getLogger("chain_callbacks")

_MOST_MERGES: Final = 64
"""How many lists each base remembers; a fresh handler for every request fills it with garbage."""


# The environment.


class _Root:
    """What the environment named when it was last read."""

    __slots__ = ("changes", "is_disabled", "is_empty", "items", "manager", "seen")

    def __init__(self) -> None:
        self.seen: tuple[Any, ...] | None = None
        self.changes = 0
        self.manager = NOBODY
        self.items: tuple[Item, ...] = ()
        self.is_disabled = False
        self.is_empty = False


_root: Final = _Root()


def root_manager() -> CallbackManager:
    """Return the manager of a call outside of any run; read anew when the environment changed.

    Raises:
        ChainCallbacksError: The configuration is wrong in a way with which nothing may run.
    """
    if _root.is_empty and _root.changes == instances.changes.count and are_unset():
        return _root.manager
    seen = tuple(values())
    if _root.seen != seen or _root.changes != instances.changes.count:
        changes = instances.changes.count
        current = applied_settings()
        is_disabled = current.disabled
        items = () if is_disabled else configured_items()
        # A base of its own for each state of the environment: what is merged onto it dies with it.
        merged = merge((), items, known=Routes())
        _raise_or_warn((*_wrong_settings(current), *merged.problems))
        _root.manager = CallbackManager.of(merged.own, merged.inherited)
        _root.items, _root.is_disabled = items, is_disabled
        _root.seen, _root.changes = seen, changes
        _root.is_empty = not any(seen)
    return _root.manager


def configured_items() -> tuple[Item, ...]:
    """Return what the environment, or its file, names."""
    return tuple(
        item_of(text, source, position, is_configured=True)
        for text, source, position in settings().callbacks
    )


def _wrong_settings(current: Settings) -> Iterator[Problem]:
    """Yield the problems of settings that enforce nothing: a run goes on without them."""
    for error in (*current.problems, *misspelt_variables()):
        yield Problem(error, is_configured=True)


class _Warned:
    """The problems that were logged since something last changed: a name, and what is wrong."""

    def __init__(self) -> None:
        self.changes = 0
        self.problems: set[tuple[str, str]] = set()


_warned: Final = _Warned()


def _raise_or_warn(problems: Sequence[Problem]) -> None:
    """Raise what a call may not go on with; warn once of every other problem."""
    if problems and settings().strict:
        raise ConfigurationErrors([each.error for each in problems])
    for each in sorted(problems, key=lambda each: not each.is_fatal):
        is_asked_for = not (each.is_configured or isinstance(each.error, BrokenPluginError))
        if each.is_fatal or is_asked_for:
            raise each.error
    if _warned.changes != instances.changes.count:
        _warned.changes, _warned.problems = instances.changes.count, set()
    for error, *_ in problems:
        what = (
            getattr(error, "name", getattr(error, "setting", "")),
            getattr(error, "reason", str(error)),
        )
        if what not in _warned.problems:
            _warned.problems.add(what)
            log.warning("%s\nThe run goes on %s.", error, getattr(error, "instead", "without it"))


# A call.


def enter(own: Attachments | None, config: Mapping[str, Any] | None) -> CallbackManager | None:
    """Return the manager for one call; None where nobody listens and nothing is handed down.

    *own* is what the constructor attached, *config* the call's, already checked. A silent manager
    says that the context changes, for nested calls, though no run is made.

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
        # A call that adds nothing: nothing is made but what a run made once.
        if scope is None:
            manager = root_manager()
        elif isinstance(scope, Run):
            manager = scope.manager()
        elif isinstance(scope, CallbackManager):
            manager = scope
        else:
            return _enter(scope, None, None, config)
        return None if manager.is_silent else manager
    if is_plain and scope is None and runtime.__class__ is list:
        # A root call that names handlers: one look-up once the list was resolved.
        found = root_manager().down.folds.get(((), key_of(runtime)))
        if found is not None and found.manager is not None:
            known: CallbackManager = found.manager
            return known
    elif (
        is_plain
        and isinstance(runtime, CallbackManager)
        and runtime.parent is not None
        and not runtime.is_silent
    ):
        # A step of a sequence: the run around says it all.
        return None if scope is SUPPRESSED else runtime
    return _enter(scope, own, runtime, config)


def enter_at(scope: Scope, callbacks: Any) -> CallbackManager | None:
    """Return the manager for what starts in *scope*, with *callbacks* added, as ``enter`` does.

    Raises:
        ChainCallbacksError: A name or an object cannot be used; nothing has run then.
    """
    if callbacks is None and (scope is None or isinstance(scope, Run)):
        manager = root_manager() if scope is None else scope.manager()
        return None if manager.is_silent else manager
    return _enter(scope, None, callbacks, None)


def _enter(
    scope: Any, own: Attachments | None, runtime: Any, config: Mapping[str, Any] | None
) -> CallbackManager | None:
    call = _Call.of(scope, own, runtime)
    if call is None:
        return None
    base = root_manager() if call.base is None else call.base
    if call.base is None and _root.is_disabled:
        return None
    manager = _merged(base, call) if call.layers or call.runtime is not None else base
    if config:
        manager = _configured(manager, config)
    if call.attached and manager is not base:
        manager.attached = call.attached
    # What was attached and taken out again must not come back in nested calls.
    is_unchanged = manager is base and not call.hides_scope
    return None if manager.is_silent and is_unchanged else manager


class _Call(NamedTuple):
    """What a call is resolved from.

    *base* is what its parent hands down, None where that is the environment. *attached* are those
    of the *layers* that the scope has. *hides_scope* says that the scope would hand something else
    down to nested calls.
    """

    base: CallbackManager | None
    attached: tuple[Attachments, ...]
    layers: tuple[Attachments, ...]
    runtime: Any
    hides_scope: bool

    @classmethod
    def of(cls, scope: Any, own: Attachments | None, runtime: Any) -> _Call | None:
        """Return it; None where a handler runs, whose runs nobody is told of."""
        bound: list[Attachments] = []
        while isinstance(runtime, Layered):
            bound.append(runtime.bound)
            runtime = runtime.runtime
        attached: list[Attachments] = []
        while isinstance(scope, Attached):
            attached.insert(0, scope.entries)
            scope = scope.around
        if scope is SUPPRESSED:
            return None
        base = around = None if scope is None else scope.manager()
        hides_scope = bool(attached)
        # A copy: the caller may go on changing its list.
        given = tuple(runtime) if isinstance(runtime, list | tuple) else (runtime,)
        if given and isinstance(given[0], CallbackManager) and given[0].parent is not None:
            # A run's manager is the base and the parent; scope and environment are not asked.
            base, attached = given[0], []
            hides_scope = hides_scope or base is not around
            runtime = given[1:] or None
        elif isinstance(runtime, list):
            runtime = given
        layers = (*attached, *bound) if own is None else (*attached, own, *bound)
        return cls(base, tuple(attached), layers, runtime, hides_scope)

    def merge(self, like: Routes, *, is_checked: bool = True) -> Merged:
        """Return everything merged: onto what the parent hands down, or from the environment on.

        *is_checked* raises at once for what is no handler and no name.
        """
        listeners = () if self.base is None else self.base.down.listeners
        if settings().disabled:
            return merge(listeners, (), known=like)
        runtime = Attachments(self.runtime, RUNTIME, is_checked=is_checked)
        items = [item for layer in (*self.layers, runtime) for item in layer.items]
        if self.base is None:
            items = [*configured_items(), *items]
        return merge(listeners, items, known=like)


def _adds(config: Mapping[str, Any]) -> bool:
    """Tell whether a config hands anything down besides callbacks."""
    get = config.get
    return bool(get("tags") or get("metadata") or get("max_concurrency") or get("recursion_limit"))


def _over(base: CallbackManager, merged: Merged) -> CallbackManager:
    """Return *base* with the listeners of a merge, and everything else of its own."""
    if merged.own is base.here and merged.inherited is base.down:
        return base
    return base.replaced(here=merged.own, down=merged.inherited)


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
    """A merge that was made, and for a root call that somebody hears the manager that came of it.

    *kept* keeps alive the objects by whose identity it is cached.
    """

    merged: Merged
    manager: CallbackManager | None
    kept: Any


def _merged(base: CallbackManager, call: _Call) -> CallbackManager:
    """Return *base* with what a call adds, from the cache of the base."""
    runtime = call.runtime
    key = (tuple(map(id, call.layers)), None if runtime is None else key_of(runtime))
    known: _Known | None = base.down.folds.get(key)
    if known is None:
        merged = _appended(base.down, call)
        if merged is None:
            merged = call.merge(base.down)
            _raise_or_warn(merged.problems)
        manager = _over(base, merged)
        is_heard_root = base is _root.manager and not manager.is_silent
        if len(base.down.folds) >= _MOST_MERGES:
            base.down.folds.clear()
        if base.down is not SILENCE:  # It outlives the environment that this was resolved in.
            kept = (call.layers, runtime)
            base.down.folds[key] = _Known(merged, manager if is_heard_root else None, kept)
        return manager
    if known.manager is not None and base is _root.manager:
        return known.manager
    return _over(base, known.merged)


_NO_OBJECTS: Final = (str, CallbackManager, Local, WithPolicy)


def _appended(base: Routes, call: _Call) -> Merged | None:
    """Return *base* with the call's handler objects at its end; None where it takes a merge.

    A fresh handler for every request is an ordinary pattern, and this a tenth of a merge.
    """
    handlers = call.runtime
    current = settings()
    if call.layers or not isinstance(handlers, tuple):
        return None
    if current.disabled or current.require or current.plugins:
        return None
    known = {id(each.handler) for each in base.listeners}
    if len({*map(id, handlers)} - known) < len(handlers):
        return None
    listeners = list(base.listeners)
    for position, handler in enumerate(handlers):
        if isinstance(handler, _NO_OBJECTS):
            return None
        source = f"{RUNTIME}[{position}]"
        refuse(handler, source)
        origin = Origin(type(handler).__qualname__, source)
        try:
            listeners.append(Listener(id(handler), handler, source=origin))
        except InvalidPolicyError:
            return None  # A merge says why.
    routes = Routes(listeners)
    return Merged(routes, routes)


# A manager made by hand.


def _controlled(listeners: Iterable[Listener]) -> tuple[Routes, Routes]:
    """Return the routes of a manager made by hand: of its own runs, and those handed down."""
    current_settings = applied_settings()
    _raise_or_warn([Problem(each, is_configured=True) for each in current_settings.problems])
    routes = Routes(listeners)
    if current_settings.disabled:
        return SILENCE, SILENCE
    # While a handler runs, or is made, nothing is added: that would call or make it once more.
    if not (current_settings.require or current_settings.plugins) or current.get() is SUPPRESSED:
        return routes, routes
    merged = merge(routes.listeners, (), known=routes)
    _raise_or_warn(merged.problems)
    return merged.own, merged.inherited


controls.apply = _controlled


# Scopes.


def current_manager() -> CallbackManager:
    """Return the manager of the code that calls: for what is started by hand, and other threads.

    Inside a run its child manager, with what was attached since; outside of one, that of the
    environment. Pass it on as ``config={"callbacks": current_manager()}``.
    """
    return enter(None, None) or manager_around()


@in_child
def _leave_runs() -> None:
    """Have a forked child begin outside of all runs, with what was attached outside of them.

    The runs end in the parent. A pool that is forked inside of one works for others, too.
    """
    scope = outermost = current.get()
    while isinstance(scope, Attached):
        scope = scope.around
    run = scope if isinstance(scope, Run) else getattr(scope, "parent", None)
    if run is not None:
        outermost = None
        for entries in getattr((run.started_by.root or run).started_by, "attached", ()):
            outermost = Attached(outermost, entries, outermost)
        current.set(outermost)


class attached:  # noqa: N801  It is used as a function.
    """Attach handlers, by name or object, to all runs that start in a ``with`` block.

    They come after those of the environment, or after what is inherited inside a run. Names and
    objects are checked on entering.

    Raises:
        ChainCallbacksError: One of them cannot be used.
    """

    def __init__(self, *callbacks: Any) -> None:
        self._attachments = Attachments(callbacks, "attached()")

    def __enter__(self) -> None:
        scope = Attached(here(), self._attachments, current.get())
        token = current.set(scope)
        try:
            enter(None, None)
        except BaseException:
            current.reset(token)
            raise

    def __exit__(self, *_: object) -> None:
        # No token is kept: one object may be entered by many threads and tasks at once.
        scope = current.get()
        if isinstance(scope, Attached) and scope.entries is self._attachments:
            current.set(scope.before)


# The record.


@dataclass(frozen=True, eq=False)
class Resolution:
    """Who listens, and how that came about; print it.

    Attributes:
        manager: Starts runs that these handlers are told of.
        rows: One for each entry that was kept, dropped, removed or wrong.
        problems: The errors that were met, as values.
    """

    manager: CallbackManager
    rows: tuple[Row, ...] = ()
    problems: tuple[ChainCallbacksError, ...] = ()

    def as_data(self) -> list[dict[str, Any]]:
        """Return the rows as plain data, ready for JSON."""
        return describe(self.rows)

    def __str__(self) -> str:
        return table(self.rows)


def recorded(own: Attachments | None, runtime: Any) -> tuple[CallbackManager, Merged]:
    """Return the base of a call that starts here, and the merge that it would make."""
    applied_settings()  # A run of the manager that this leads to is delivered as they say.
    call = _Call.of(here(), own, runtime)
    if call is None:
        return NOBODY, Merged()
    base = call.base or NOBODY
    return base, call.merge(base.down, is_checked=False)


def as_resolution(base: CallbackManager, merged: Merged) -> Resolution:
    """Return what a merge wrote down, with a manager that has its listeners."""
    errors = tuple(each.error for each in merged.problems)
    return Resolution(_over(base, merged), merged.rows, errors)


def resolve(callbacks: Any = None, *, constructor: Any = None) -> Resolution:
    """Return who a run that starts here with *callbacks* tells, and a manager to start it.

    Its ``problems`` are those that a call goes on without: of the environment, and what is broken.

    Args:
        callbacks: A name, a handler, a manager, or a list of them; as ``config["callbacks"]``.
        constructor: The same, as a component's constructor takes it.

    Raises:
        ChainCallbacksError: One of them cannot be used, or the configuration is wrong.
    """
    own = None if constructor is None else Attachments(constructor, "constructor")
    base, merged = recorded(own, callbacks)
    _raise_or_warn((*_wrong_settings(settings()), *merged.problems))
    return as_resolution(base, merged)


def check() -> None:
    """Raise everything that is wrong with the configuration, all at once; for a service's start.

    The names of the environment and of the file are resolved, and their handlers made.

    Raises:
        ConfigurationErrors: A group with one error for each thing that is wrong.
        SettingsError: The framework's own settings cannot be read.
    """
    current = applied_settings()
    problems = [each.error for each in _wrong_settings(current)]
    if not current.disabled:
        problems += [each.error for each in merge((), configured_items()).problems]
    if problems:
        raise ConfigurationErrors(problems)


def reload() -> None:
    """Close the named handlers and read everything anew: environment, file, what is installed.

    Runs that go on keep the handlers they have, which are closed now; runs that start get new ones.
    """
    instances.reset()
