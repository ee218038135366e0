"""The operator's word: what the environment and its file say besides the names of handlers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..dispatch.options import EXIT_TIMEOUT
from . import delivering
from . import environment as env
from .index import owner_of
from .names import DEFAULT_INSTANCE, Entry, Ref, normalised, parse_entry

if TYPE_CHECKING:
    from .core_settings import CoreSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator wants, whatever code says.

    Attributes:
        names: The entries for every run, as text, and where they stand.
        require: Always there; cannot be removed, filtered or loosened.
        allow: The only names that may be used; None where all may.
        deny: Names that may not be used.
        is_disabled: Nothing is resolved at all.
        is_strict: What is wrong is an error everywhere, all of it at once.
        plugins: Policy plugins, without which nothing is resolved.
        hosts: The bridges to set up besides this project's own, or not to, as text.
        handlers: The sections of the file, by handler or ``handler:instance``.
        secrets_dir: A folder with a file for each secret.
        is_inline: No handler is queued.
        exit_timeout: Seconds that all handlers together have at the end.
        is_flushed_on_sigterm: Whether SIGTERM sends what is queued first.
        redact_keys: Keys whose values are masked besides the usual ones.
        redactor: ``module:name`` of the organisation's own redactor.
    """

    names: tuple[tuple[str, str], ...] = ()
    require: tuple[Entry, ...] = ()
    allow: tuple[Ref, ...] | None = None
    deny: tuple[Ref, ...] = ()
    is_disabled: bool = False
    is_strict: bool = False
    plugins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    # No traceback that shows this object shall show them.
    handlers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    secrets_dir: str | None = None
    is_inline: bool = False
    exit_timeout: float = EXIT_TIMEOUT
    is_flushed_on_sigterm: bool = False
    redact_keys: tuple[str, ...] = ()
    redactor: str | None = None

    def rule_against(self, ref: Ref, distribution: str | None = None) -> str | None:
        """Return the variable that forbids a handler; None where it may be used.

        *distribution* is the one that offers what *ref* means, where that is known.
        """
        if any(_permits(required.ref, ref, distribution) for required in self.require):
            return None
        if any(_covers(denied, ref, distribution) for denied in self.deny):
            return f"{env.NAMES}_DENY"
        if self.allow is not None and not any(
            _permits(allowed, ref, distribution) for allowed in self.allow
        ):
            return f"{env.NAMES}_ALLOW"
        return None

    def section(self, name: str, instance: str | None) -> Mapping[str, Any]:
        """Return what the file says of a handler."""
        return self.handlers.get(name if instance is None else f"{name}:{instance}", {})

    def instances_of(self, name: str) -> tuple[str, ...]:
        """Return the named instances that the file configures."""
        return tuple(
            key.removeprefix(f"{name}:") for key in self.handlers if key.startswith(f"{name}:")
        )


def _covers(rule: Ref, ref: Ref, distribution: str | None) -> bool:
    offering = normalised(distribution or ref.distribution or rule.distribution or "")
    return (
        rule.name == ref.name
        and rule.instance in (None, ref.instance or DEFAULT_INSTANCE)
        and rule.distribution in (None, offering)
    )


def _permits(rule: Ref, ref: Ref, distribution: str | None) -> bool:
    # Who allows `slack` means the one that bears the name by right.
    owner = owner_of(ref.name)
    if ref.distribution not in (None, rule.distribution or owner) and (
        rule.distribution is not None or owner is not None
    ):
        return False
    return _covers(rule, ref, distribution)


class _Known:
    """The operator's word as it was last read, and what the environment was then."""

    fingerprint: tuple[Any, ...] | None = None
    settings = Settings()


_known: Final = _Known()


def settings() -> Settings:
    """Return the operator's word as the environment is now; the file is read once.

    Raises:
        SettingsError: A variable, or the file, is wrong.
    """
    fingerprint = tuple(env.values())
    if _known.fingerprint != fingerprint:
        word = _read()
        delivering.apply(word)
        _known.settings, _known.fingerprint = word, fingerprint
    return _known.settings


def stated_hosts() -> tuple[str, ...]:
    """Return what CHAIN_CALLBACKS_HOSTS, or the file, says now; no setting comes into force.

    Hosts are bridged before the program begins, when a redactor, say, cannot be imported yet.

    Raises:
        SettingsError: A variable, or the file, is wrong.
    """
    return _read().hosts


def forget() -> None:
    """Have the environment and the file read again."""
    _known.fingerprint = None


def _read() -> Settings:
    text = os.environ.get(env.NAMES)
    if not any(os.environ.get(name) for name in env.CORE[1:]):
        # The ordinary case: pydantic stays where it is.
        return Settings(names=_split(text or "", env.NAMES))
    from . import core_settings

    settings, sections = core_settings.read()
    return _from(settings, sections, text)


def _from(
    settings: CoreSettings, sections: Mapping[str, Mapping[str, Any]], text: str | None
) -> Settings:
    if text is not None:
        names = _split(text, env.NAMES)
    else:
        source = f"callbacks of {settings.config}"
        names = tuple(
            (name, f"{source}, entry {n}") for n, name in enumerate(settings.callbacks, 1)
        )
    return Settings(
        names=names,
        require=tuple(_entry(name, "REQUIRE") for name in settings.require),
        allow=(
            None
            if settings.allow is None
            else tuple(_entry(name, "ALLOW").ref for name in settings.allow)
        ),
        deny=tuple(_entry(name, "DENY").ref for name in settings.deny),
        is_disabled=settings.disabled,
        is_strict=settings.strict,
        plugins=settings.plugins,
        hosts=settings.hosts,
        handlers=sections,
        secrets_dir=None if settings.secrets_dir is None else str(settings.secrets_dir),
        is_inline=settings.delivery == "inline",
        exit_timeout=settings.exit_timeout,
        is_flushed_on_sigterm=settings.flush_on_sigterm,
        redact_keys=settings.redact_keys,
        redactor=settings.redactor,
    )


def _split(text: str, source: str) -> tuple[tuple[str, str], ...]:
    return tuple((part, source) for part in text.split(","))


def _entry(name: str, variable: str) -> Entry:
    return parse_entry(name, source=f"{env.NAMES}_{variable}")
