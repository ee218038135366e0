"""From an entry point to a provider: only what is named is imported, and no failure escapes.

pluggy's manager is the register of what has been loaded, and carries the framework's hooks.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal

from ..context import suppressed
from ..errors import BrokenPluginError, did_you_mean
from ..forks import in_child
from .index import Provenance
from .ownership import CONVERSIONS, HOSTS
from .requirements import admits, own_version, specifier_for

if TYPE_CHECKING:
    from pluggy import HookImpl, PluginManager

    from .index import Candidate

log = logging.getLogger("chain_callbacks")

Provider = Callable[..., Any]

refused: Final[dict[str, str]] = {}
"""Entry points that are not to be imported, each with why: what a diagnosis found to hang."""


class _Known:
    """The one register of the process, and the lock under which it is made and written to."""

    manager: PluginManager | None = None

    def __init__(self) -> None:
        self.lock = threading.Lock()


_known: Final = _Known()
in_child(_known.__init__)  # type: ignore[misc]


def plugin_manager() -> PluginManager:
    """Return the register of loaded plugins; it holds modules, never a handler."""
    from . import hookspecs

    # Two threads must not make two: what is registered in the second would be lost.
    with _known.lock:
        if _known.manager is None:
            manager = hookspecs.Register(hookspecs.PROJECT)
            manager.add_hookspecs(hookspecs)
            _known.manager = manager
        return _known.manager


def load(candidate: Candidate, *, source: str) -> Provider:
    """Return what makes the handler of an entry point, after importing it.

    No lock of ours is held meanwhile: together with the import system's own that is a deadlock.

    Raises:
        BrokenPluginError: It cannot be imported, or is no provider.
    """
    provider = _imported(candidate, source)
    if isinstance(provider, ModuleType):
        reason = f"{candidate.value!r} is a module with hooks: list it in CHAIN_CALLBACKS_PLUGINS"
        raise broken(candidate, source, reason)
    if not callable(provider):
        kind = type(provider).__name__
        raise broken(candidate, source, f"{candidate.value!r} is an object of type {kind}")
    _register(candidate, source)
    made: Provider = provider
    return made


def load_hooks(candidate: Candidate, *, source: str) -> ModuleType:
    """Return a module of hook implementations, imported and registered.

    Raises:
        BrokenPluginError: It cannot be imported, or does not implement what there is.
    """
    module = _imported(candidate, source)
    if not isinstance(module, ModuleType):
        raise broken(candidate, source, f"{candidate.value!r} is not a module of hooks")
    _register(candidate, source)
    problem = _missing_from(module, candidate.value)
    if problem is not None:
        _unregister(module)
        raise broken(candidate, source, problem)
    return module


def _missing_from(module: ModuleType, value: str) -> str | None:
    """Return which hook *module* seems to implement, and does not; None where it implements all."""
    callers = {caller.name: caller for caller in plugin_manager().get_hookcallers(module) or ()}
    names = _hook_names()
    for name, caller in callers.items():
        if not caller.has_spec():
            hint = did_you_mean(name, names)
            return f"{value!r} implements {name}, which is not a hook.{hint}".rstrip(".")
    for name in names:
        if name in vars(module) and name not in callers:
            return f"{value!r} defines {name} without the marker; write @hookimpl above it"
    return None if callers else f"{value!r} implements no hook"


def _hook_names() -> list[str]:
    from . import hookspecs

    return [name for name in vars(hookspecs) if name.startswith(f"{hookspecs.PROJECT}_")]


def _unusable_hook(module: ModuleType, value: str) -> str | None:
    """Return which hook of *module* would do nothing when it is called; None where none is."""
    from . import hookspecs

    for name in _hook_names():
        function = vars(module).get(name)
        if function is None:
            continue
        if not inspect.isroutine(function):
            # pluggy passes over it.
            kind = type(function).__name__
            return f"{value!r} sets {name} to an object of type {kind}; write a function"
        options = getattr(function, f"{hookspecs.PROJECT}_impl", None)
        if isinstance(options, dict) and (options["wrapper"] or options["hookwrapper"]):
            return f"{value!r} wraps {name}; each implementation is called for itself"
        for is_lazy, kind in _LAZY:
            if is_lazy(function):
                return f"{value!r} implements {name} as {kind}, {_NO_EFFECT}"
    return None


_LAZY: Final = (
    (inspect.iscoroutinefunction, "a coroutine function"),
    (inspect.isgeneratorfunction, "a generator function"),
    (inspect.isasyncgenfunction, "an asynchronous generator function"),
)
_NO_EFFECT: Final = "which would have no effect; write a plain function"


def _imported(candidate: Candidate, source: str) -> Any:
    unmet = refused.get(candidate.value) or unmet_requirement(candidate)
    if unmet is not None:
        raise broken(candidate, source, unmet)
    try:
        return candidate.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # A module may call sys.exit(), or raise what it likes.
        cause = error
    raise broken(candidate, source, describe(cause)) from cause


def unmet_requirement(candidate: Candidate) -> str | None:
    """Return why a plugin is for another version of this project; None where it is not.

    It is read from what the plugin's distribution requires, before anything is imported.
    """
    try:
        required = candidate.found.requires or []
    except Exception:  # Metadata that cannot be read says nothing.
        return None
    for requirement in required:
        specifier = specifier_for(requirement, "chain-callbacks")
        if specifier is not None and not admits(specifier, own_version()):
            return f"it needs chain-callbacks{specifier}, and this is {own_version()}"
    return None


def load_class(path: str, *, name: str, source: str) -> Provider:
    """Return the class that the operator's file names as ``module:Class``.

    Raises:
        BrokenPluginError: It cannot be imported.
    """
    from importlib import import_module

    module, _, attribute = path.partition(":")
    cause: BaseException | None = None
    provider: Any = None
    try:
        provider = import_module(module)
        for part in attribute.split("."):
            provider = getattr(provider, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        cause = error
    if cause is None and callable(provider):
        return provider  # type: ignore[no-any-return]
    reason = f"class = {path!r} cannot be called" if cause is None else describe(cause)
    raise BrokenPluginError(name=name, source=source, reason=reason) from cause


_KINDS: Final[Mapping[str, Literal["bridge", "conversion"]]] = {
    HOSTS: "bridge",
    CONVERSIONS: "conversion",
}


def broken(candidate: Candidate, source: str, reason: str) -> BrokenPluginError:
    """Return the error that says why a plugin cannot be used, with where it comes from."""
    return BrokenPluginError(
        kind=_KINDS.get(candidate.entry_point.group, "handler"),
        name=candidate.name,
        source=source,
        reason=reason,
        distribution=candidate.distribution,
        version=candidate.version,
        location=candidate.location,
    )


def describe(error: BaseException) -> str:
    """Return the class and the first line of what *error* says, if it can say anything."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _register(candidate: Candidate, source: str) -> None:
    # Once however many names the module serves; its hook implementations are checked here.
    module = sys.modules.get(candidate.entry_point.module)
    if module is None:
        return
    unusable = _unusable_hook(module, candidate.value)
    if unusable is not None:
        raise broken(candidate, source, unusable)
    manager = plugin_manager()
    name = f"{candidate.distribution}:{module.__name__}"
    problem: Exception | None = None
    with _known.lock:
        if manager.is_registered(module):
            return
        if manager.has_plugin(name):
            manager.unregister(name=name)  # The module was purged and imported anew.
        try:
            manager.register(module, name=name)
        except Exception as error:
            problem = error
    if problem is not None:
        _unregister(module)
        raise broken(candidate, source, describe(problem)) from problem


def _unregister(module: ModuleType) -> None:
    manager = plugin_manager()
    with _known.lock:
        if manager.is_registered(module):
            manager.unregister(module)


def call(implementation: HookImpl, arguments: Mapping[str, Any]) -> str | None:
    """Call one implementation of a hook with those of *arguments* that it asks for.

    Return what is wrong with the value that it returned; None where nothing is.
    """
    with suppressed():
        result = implementation.function(*(arguments[name] for name in implementation.argnames))
    if not (inspect.isawaitable(result) or isinstance(result, Iterator | AsyncIterator)):
        return None
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()  # Or Python warns that nobody awaited it.
    return f"returned an object of type {type(result).__name__}, {_NO_EFFECT}"


def call_hook(hook_name: str, /, **arguments: Any) -> None:
    """Call each implementation of a hook, the last registered first, each in isolation."""
    hook = getattr(plugin_manager().hook, hook_name)
    for implementation in reversed(hook.get_hookimpls()):
        plugin = implementation.plugin_name
        try:
            problem = call(implementation, arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit included: the hook only watches.
            log.warning("The plugin %s failed in %s.", plugin, hook_name, exc_info=error)
        else:
            if problem is not None:
                log.warning("The plugin %s failed: %s %s.", plugin, hook_name, problem)


def provenance_of(candidate: Candidate | None) -> Provenance:
    """Return where a handler comes from; all None for one registered by hand."""
    if candidate is None:
        return Provenance()
    return Provenance(
        candidate.distribution, candidate.version, candidate.location, candidate.value
    )
