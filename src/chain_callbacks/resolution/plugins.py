"""From an entry point to a provider: only what is named is imported, and no failure escapes.

pluggy's manager is the register of what has been loaded, and carries the framework's hooks.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ..errors import BrokenPluginError
from .provenance import Provenance
from .requirements import admits, own_version, specifier_for

if TYPE_CHECKING:
    from pluggy import PluginManager

    from .index import Candidate

log = logging.getLogger("chain_callbacks")

Provider = Callable[..., Any]

_registering = threading.Lock()

refused: Final[dict[str, str]] = {}
"""Entry points that are not to be imported, each with why: what a diagnosis found to hang."""


@lru_cache(maxsize=1)
def plugin_manager() -> PluginManager:
    """Return the register of loaded plugins; it holds modules, never a handler."""
    from pluggy import PluginManager

    from . import hookspecs

    manager = PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


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
        raise broken(candidate, source, f"{candidate.value!r} is no provider but of type {kind}")
    _register(candidate, source)
    made: Provider = provider
    return made


def load_hooks(candidate: Candidate, *, source: str) -> None:
    """Import a module of hook implementations, and register it.

    Raises:
        BrokenPluginError: It cannot be imported, or implements nothing.
    """
    module = _imported(candidate, source)
    if not isinstance(module, ModuleType):
        raise broken(candidate, source, f"{candidate.value!r} is no module of hooks")
    _register(candidate, source)
    if not plugin_manager().get_hookcallers(module):
        raise broken(candidate, source, f"{candidate.value!r} implements no hook")


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
            return f"it is made for chain-callbacks{specifier}, and this is {own_version()}"
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
    reason = f"class = {path!r} is no class" if cause is None else describe(cause)
    raise BrokenPluginError(name=name, source=source, reason=reason) from cause


def broken(candidate: Candidate, source: str, reason: str) -> BrokenPluginError:
    """Return the error that says why a plugin cannot be used, with where it comes from."""
    return BrokenPluginError(
        name=candidate.name,
        source=source,
        reason=reason,
        distribution=candidate.distribution,
        version=candidate.version,
        location=candidate.location,
    )


def describe(error: BaseException) -> str:
    """Return the class and the first line of what *error* says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _register(candidate: Candidate, source: str) -> None:
    # Once however many names the module serves; its hook implementations are checked here.
    module = sys.modules.get(candidate.entry_point.module)
    if module is None:
        return
    manager = plugin_manager()
    with _registering:
        if manager.is_registered(module):
            return
        try:
            manager.register(module, name=f"{candidate.distribution}:{module.__name__}")
            problem = None
        except Exception as error:
            problem = error
            manager.unregister(module)
    if problem is not None:
        raise broken(candidate, source, describe(problem)) from problem


def call_hook(hook_name: str, /, **arguments: Any) -> None:
    """Call each implementation of a hook, the last registered first, each in isolation."""
    hook = getattr(plugin_manager().hook, hook_name)
    for implementation in reversed(hook.get_hookimpls()):
        try:
            implementation.function(*(arguments[argument] for argument in implementation.argnames))
        except Exception as error:
            log.warning(
                "The plugin %s failed in %s.", implementation.plugin_name, hook_name, exc_info=error
            )


def provenance_of(candidate: Candidate | None) -> Provenance:
    """Return where a handler comes from; all None for one registered by hand."""
    if candidate is None:
        return Provenance()
    return Provenance(
        candidate.distribution, candidate.version, candidate.location, candidate.value
    )
