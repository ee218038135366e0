"""From an entry point to a provider: only what is named is imported, and no failure escapes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Literal

from ..errors import BrokenPluginError, PolicyPluginError
from . import hooks
from .index import Candidate, index
from .names import Ref, normalised
from .ownership import CONVERSIONS, HOSTS
from .proposal import Change, Proposal

Provider = Callable[..., Any]

OURS: Final = "chain-callbacks"

refused: Final[dict[str, str]] = {}
"""Entry points that must not be imported, each with why: what a diagnosis found to hang."""


def load(candidate: Candidate, *, source: str) -> Provider:
    """Return what makes the handler of an entry point, after importing it.

    No lock of ours is held meanwhile: together with the import system's own that is a deadlock.

    Raises:
        BrokenPluginError: It cannot be imported, or cannot be called.
    """
    provider = _imported(candidate, source)
    if isinstance(provider, ModuleType):
        reason = f"{candidate.value!r} is a module with hooks: list it in CHAIN_CALLBACKS_PLUGINS"
        raise broken(candidate, source, reason)
    if not callable(provider):
        kind = type(provider).__name__
        raise broken(candidate, source, f"{candidate.value!r} is an object of type {kind}")
    module = sys.modules.get(candidate.entry_point.module)
    if module is not None and hooks.has_any(module):
        _register(module, candidate, source)
    made: Provider = provider
    return made


def changes_to(proposal: Proposal, refs: Iterable[Ref]) -> list[Change]:
    """Return what the listed policy plugins want changed, each asked once.

    Raises:
        PolicyPluginError: One is missing or fails: without it nothing may run.
    """
    listed = [load_hooks(ref) for ref in refs]
    for each in hooks.implementations(hooks.RESOLVED):
        if each.plugin not in listed:
            continue  # It was loaded for a handler of its, or was listed once.
        proposal.plugin = each.plugin_name
        failure = hooks.call(each, resolution=proposal)
        if failure is not None:
            error = failure.error
            reason = failure.reason if error is None else f"raised {describe(error)}"
            raise PolicyPluginError(
                plugin=proposal.plugin, reason=f"{hooks.RESOLVED} {reason}"
            ) from error
    return proposal.changes


def load_hooks(ref: Ref) -> ModuleType:
    """Return the module of a policy plugin, imported and registered.

    Raises:
        PolicyPluginError: It is missing, cannot be imported, or does not implement what there is.
    """
    name = str(ref)
    candidates = index().find(ref) or index(fresh=True).find(ref)
    if not candidates:
        raise PolicyPluginError(plugin=name, reason="it is not installed")
    if len(candidates) > 1:
        offered = ", ".join(each.distribution for each in candidates)
        raise PolicyPluginError(plugin=name, reason=f"several distributions offer it: {offered}")
    candidate, source = next(iter(candidates)), "CHAIN_CALLBACKS_PLUGINS"
    try:
        module = _imported(candidate, source)
        if not isinstance(module, ModuleType):
            raise broken(candidate, source, f"{candidate.value!r} is not a module of hooks")
        _register(module, candidate, source)
        problem = hooks.missing_from(module, candidate.value)
        if problem is None:
            return module
        hooks.unregister(module)
        failure = broken(candidate, source, problem)
    except BrokenPluginError as error:
        failure = error
    raise PolicyPluginError(plugin=name, reason=failure.reason) from failure.__cause__


def _register(module: ModuleType, candidate: Candidate, source: str) -> None:
    problem = hooks.unusable_in(module, candidate.value)
    if problem is not None:
        raise broken(candidate, source, problem)
    try:
        hooks.register(module, f"{candidate.distribution}:{module.__name__}")
    except Exception as error:
        cause = error
    else:
        return
    raise broken(candidate, source, describe(cause)) from cause


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


@lru_cache(maxsize=1)
def own_version() -> str | None:
    """Return the version of this project that is installed; None if it has no metadata."""
    import importlib_metadata

    try:
        return importlib_metadata.version(OURS)
    except importlib_metadata.PackageNotFoundError:
        return None


def unmet_requirement(candidate: Candidate) -> str | None:
    """Return why a plugin is for another version of this project; None if it is not.

    It is read from what the plugin's distribution requires, before anything is imported. What
    cannot be read is taken for met.
    """
    try:
        required = [line for line in candidate.found.requires or () if _may_mean_us(line)]
    except Exception:  # Metadata that cannot be read says nothing.
        return None
    own = own_version() if required else None
    if own is None:
        return None
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    for line in required:
        try:
            requirement = Requirement(line)
            is_other = normalised(requirement.name) != OURS
            marker = requirement.marker
            if is_other or (marker is not None and not marker.evaluate({"extra": ""})):
                continue
            if not requirement.specifier.contains(own, prereleases=True):
                return f"it needs {OURS}{requirement.specifier}, and this is {own}"
        except (InvalidRequirement, InvalidVersion):
            continue
    return None


def _may_mean_us(line: str) -> bool:
    return normalised(line.lstrip()).startswith(OURS)


def load_class(path: str, *, name: str, source: str) -> Provider:
    """Return the class that the configuration file names as ``module:Class``.

    Raises:
        BrokenPluginError: It cannot be imported.
    """
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


_KINDS: Final[dict[str, Literal["bridge", "conversion"]]] = {
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
    """Return the class of *error* and the first line of its text, if it has one."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
