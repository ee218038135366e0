"""The register of modules with hooks, which is pluggy's, and the calls of hooks.

pluggy matches implementations with specifications once, checks their signatures and orders them.
Two things differ from its common use. Each implementation is called apart: in pluggy's own call one
that raises stops the others and leaves no name, and its ``subset_hook_caller`` asks modules for
attributes that they may load lazily. And ``DENY`` is no ``set_blocked``: it names handlers, and a
module may have a denied and an allowed one.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..context import suppressed
from ..errors import did_you_mean
from ..forks import in_child

if TYPE_CHECKING:
    from pluggy import HookImpl, PluginManager

log = logging.getLogger("chain_callbacks")

PROJECT: Final = "chain_callbacks"
RESOLVED: Final = f"{PROJECT}_resolved"
_MARK: Final = f"{PROJECT}_impl"


class _Known:
    """The one register of the process, and the lock under which it is made and written to."""

    manager: PluginManager | None = None

    def __init__(self) -> None:
        self.lock = threading.Lock()


_known: Final = _Known()
in_child(_known.__init__)  # type: ignore[misc]


def plugin_manager() -> PluginManager:
    """Return the register; it holds modules, never a handler."""
    from . import hookspecs

    # Two threads must not make two: what is registered in the second would be lost.
    with _known.lock:
        if _known.manager is None:
            manager = hookspecs.Register(hookspecs.PROJECT)
            manager.add_hookspecs(hookspecs)
            _known.manager = manager
        return _known.manager


def has_any(module: ModuleType) -> bool:
    """Return whether a module implements hooks, or seems to; without importing pluggy."""
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and _MARK in vars(value):
            return True
        if name.startswith(f"{PROJECT}_") and not isinstance(value, ModuleType):
            return True
    return False


def register(module: ModuleType, name: str) -> None:
    """Register a module with its hooks, once however many names it serves.

    Raises:
        PluginValidationError: An implementation has a wrong signature; nothing is registered then.
    """
    manager = plugin_manager()
    with _known.lock:
        if manager.is_registered(module):
            return
        if manager.has_plugin(name):
            manager.unregister(name=name)  # The module was purged and imported anew.
        try:
            manager.register(module, name=name)
        except BaseException:
            # Older versions of pluggy leave a module half registered.
            if manager.is_registered(module):
                manager.unregister(module)
            raise


def unregister(module: ModuleType) -> None:
    """Remove a module from the register."""
    manager = _known.manager
    if manager is not None:
        with _known.lock:
            if manager.is_registered(module):
                manager.unregister(module)


def _names() -> list[str]:
    from . import hookspecs

    return [name for name in vars(hookspecs) if name.startswith(f"{PROJECT}_")]


def missing_from(module: ModuleType, value: str) -> str | None:
    """Return which hook *module* seems to implement, and does not; None if it implements all."""
    callers = {caller.name: caller for caller in plugin_manager().get_hookcallers(module) or ()}
    names = _names()
    for name, caller in callers.items():
        if not caller.has_spec():
            hint = did_you_mean(name, names)
            return f"{value!r} implements {name}, which is not a hook.{hint}".rstrip(".")
    for name in names:
        if name in vars(module) and name not in callers:
            return f"{value!r} defines {name} without the marker; write @hookimpl above it"
    return None if callers else f"{value!r} implements no hook"


_LAZY: Final = (
    (inspect.iscoroutinefunction, "a coroutine function"),
    (inspect.isgeneratorfunction, "a generator function"),
    (inspect.isasyncgenfunction, "an asynchronous generator function"),
)
_NO_EFFECT: Final = "which would have no effect; write a plain function"


def unusable_in(module: ModuleType, value: str) -> str | None:
    """Return which hook of *module* would do nothing when it is called; None if all do."""
    for name in _names():
        function = vars(module).get(name)
        if function is None:
            continue
        if not inspect.isroutine(function):
            # pluggy passes over it.
            kind = type(function).__name__
            return f"{value!r} sets {name} to an object of type {kind}; write a function"
        options = getattr(function, _MARK, None)
        if isinstance(options, dict) and (options["wrapper"] or options["hookwrapper"]):
            return f"{value!r} wraps {name}; each implementation is called for itself"
        for is_lazy, kind in _LAZY:
            if is_lazy(function):
                return f"{value!r} implements {name} as {kind}, {_NO_EFFECT}"
    return None


def implementations(name: str) -> list[HookImpl]:
    """Return the implementations of a hook that are registered, in the order of their calls."""
    manager = _known.manager
    return [] if manager is None else [*reversed(getattr(manager.hook, name).get_hookimpls())]


class Failure(NamedTuple):
    """What went wrong in an implementation, and what it raised."""

    reason: str
    error: BaseException | None = None


def call(implementation: HookImpl, /, **arguments: Any) -> Failure | None:
    """Call one implementation with those of *arguments* that it asks for; return what went wrong.

    Runs that it starts are told to nobody, as those of a handler.
    """
    try:
        with suppressed():
            result = implementation.function(*(arguments[each] for each in implementation.argnames))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit included.
        return Failure(f"raised {type(error).__name__}", error)
    if not (inspect.isawaitable(result) or isinstance(result, Iterator | AsyncIterator)):
        return None
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()  # Or Python warns that nobody awaited it.
    return Failure(f"returned an object of type {type(result).__name__}, {_NO_EFFECT}")


def notify(hook: str, /, **arguments: Any) -> None:
    """Call each implementation of a hook that only watches; its failures are logged."""
    for each in implementations(hook):
        failure = call(each, **arguments)
        if failure is not None:
            plugin, reason = each.plugin_name, failure.reason
            log.warning(
                "The plugin %s failed: %s %s.", plugin, hook, reason, exc_info=failure.error
            )
