"""The settings of the framework: one record, read from the environment and the file behind it.

The fields of ``Settings`` are the only list of the variables. Reading them has no side effect:
``delivery_options`` hands delivery what it needs.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_type_hints

from ..delivery.options import EXIT_TIMEOUT
from ..errors import (
    InvalidNameError,
    InvalidSettingError,
    SettingsError,
    did_you_mean,
    shown,
)
from ..text import shortened
from . import setting_kinds as kinds
from .names import DEFAULT_INSTANCE, Ref, normalised, parse_name
from .ownership import owner_of

NAMES: Final = "CHAIN_CALLBACKS"
"""The variable that names the handlers; those of all other settings begin with it."""


ENFORCED: Final = "enforced"
"""Marks a setting with whose value, where it is wrong, nothing may run."""

IF_WRONG: Final = {"disabled": True}
"""What the wrong value of a setting is taken for, where that is not its default."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the framework, which code cannot loosen.

    A field ``exit_timeout`` is the variable ``CHAIN_CALLBACKS_EXIT_TIMEOUT``, and the key of that
    name in the file; the variable takes precedence. That of *callbacks* is ``CHAIN_CALLBACKS``.
    Each is annotated with the function that reads its value, and a description for users.

    Attributes:
        handlers: The sections of the file, by handler or ``handler:instance``.
        problems: The errors of settings that are unknown, or wrong and enforce nothing.
    """

    callbacks: Annotated[tuple[kinds.Named, ...], kinds.named, "The handlers of every run."] = ()
    require: Annotated[
        tuple[Ref, ...],
        kinds.refs,
        ENFORCED,
        "Handlers that are always there; code cannot remove or filter them.",
    ] = ()
    allow: Annotated[
        tuple[Ref, ...] | None, kinds.refs, ENFORCED, "The only handlers that may be named."
    ] = None
    deny: Annotated[tuple[Ref, ...], kinds.refs, ENFORCED, "Handlers that may not be named."] = ()
    disabled: Annotated[bool, kinds.switch, "Attach nothing at all, handler objects included."] = (
        False
    )
    strict: Annotated[bool, kinds.switch, "Raise everything that is wrong, all at once."] = False
    plugins: Annotated[
        tuple[Ref, ...],
        kinds.refs,
        ENFORCED,
        "Policy plugins; no run starts if one is missing or fails.",
    ] = ()
    hosts: Annotated[
        tuple[str, ...],
        kinds.texts,
        "Bridges to set up besides our own; `-openai` takes one of ours out.",
    ] = ()
    config: Annotated[
        Path | None, kinds.absolute_path, ENFORCED, "A TOML file with these settings."
    ] = None
    secrets_dir: Annotated[
        Path | None,
        kinds.folder,
        "A folder with a file for each secret, named as its variable.",
    ] = None
    delivery: Annotated[
        Literal["inline"] | None,
        kinds.inline,
        "`inline` queues nothing: for serverless functions, and for debugging.",
    ] = None
    exit_timeout: Annotated[
        float, kinds.seconds, "Seconds that all handlers together have at the end of the process."
    ] = EXIT_TIMEOUT
    flush_on_sigterm: Annotated[
        bool, kinds.switch, "Send what is queued before SIGTERM ends the process."
    ] = False
    redact_keys: Annotated[
        tuple[str, ...],
        kinds.texts,
        ENFORCED,
        "Keys whose values are masked, besides the usual ones.",
    ] = ()
    redactor: Annotated[
        str | None,
        kinds.attribute,
        ENFORCED,
        "A redactor of your own, `module:name`, besides the one that is there.",
    ] = None
    # No traceback that shows this object may show the values.
    handlers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    problems: tuple[InvalidSettingError, ...] = ()

    def rule_against(self, ref: Ref, distribution: str | None = None) -> str | None:
        """Return the variable that forbids a handler; None if it may be used.

        *distribution* is the one that offers the handler, if that is known.
        """
        if any(_permits(required, ref, distribution) for required in self.require):
            return None
        if any(_covers(denied, ref, distribution) for denied in self.deny):
            return f"{NAMES}_DENY"
        if self.allow is not None and not any(
            _permits(allowed, ref, distribution) for allowed in self.allow
        ):
            return f"{NAMES}_ALLOW"
        return None

    def section(self, name: str, instance: str | None) -> Mapping[str, Any]:
        """Return the section of the file for a handler."""
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
    # A rule `slack` permits the handler of the distribution that owns the name.
    owner = owner_of(ref.name)
    if ref.distribution not in (None, rule.distribution or owner) and (
        rule.distribution is not None or owner is not None
    ):
        return False
    return _covers(rule, ref, distribution)


class Kind(NamedTuple):
    """What is stated about a setting beside its type and its default."""

    parse: Callable[[Any, str], Any]
    is_enforcing: bool
    description: str


KINDS: Final = {
    name: Kind(each.__metadata__[0], ENFORCED in each.__metadata__, each.__metadata__[-1])
    for name, each in get_type_hints(Settings, include_extras=True).items()
    if hasattr(each, "__metadata__")
}
"""The settings that the environment and the file may have, by name."""


VARIABLES: Final = {
    name: NAMES if name == "callbacks" else f"{NAMES}_{name.upper()}" for name in KINDS
}
"""The variable of each setting; the next root run sees a change of one."""

# Every root call asks these two. Looking a missing name up in `os.environ` raises and encodes, for
# over a microsecond each; the mapping behind it does neither, and this way none of it is Python.
_raw: Final[Mapping[Any, Any]] = getattr(os.environ, "_data", os.environ)
_keys: Final = tuple(map(getattr(os.environ, "encodekey", str), VARIABLES.values()))

values: Final = partial(map, _raw.get, _keys)
"""Returns the variables as they are now: ``tuple(values())`` tells of a change."""

are_unset: Final = partial(_raw.keys().isdisjoint, _keys)
"""Returns whether none of them is set."""


_DEFAULT: Final = Settings()


class _Known:
    """The settings that were last read, and what the variables were then."""

    variables: tuple[Any, ...] | None = None
    settings = _DEFAULT


_known: Final = _Known()


def settings() -> Settings:
    """Return the settings as the environment has them now, and the file when it was last read.

    Raises:
        SettingsError: One that enforces something is wrong, or the file cannot be read.
    """
    variables = tuple(values())
    if _known.variables != variables:
        _known.settings = _DEFAULT if are_unset() else read()
        _known.variables = variables
    return _known.settings


def forget() -> None:
    """Have the environment and the file read again."""
    _known.variables = None


def read() -> Settings:
    """Return the settings that the environment and the file have now.

    Raises:
        SettingsError: As ``settings`` says.
    """
    reading = _Reading()
    reading.read_all()
    if reading.is_fatal:
        raise SettingsError(problems=tuple(reading.sentences))
    return Settings(**reading.found, problems=tuple(reading.problems))


def misspelt_variables() -> tuple[InvalidSettingError, ...]:
    """Return the errors of variables that look like the framework's.

    Those of handlers have two underscores in them, which is how a misspelt one is told apart.
    """
    begins = f"{NAMES}_"
    return tuple(
        InvalidSettingError(
            setting=variable,
            reason="chain-callbacks has no such setting."
            + did_you_mean(variable, VARIABLES.values()),
        )
        for variable in sorted(os.environ)
        if variable.startswith(begins)
        and variable not in VARIABLES.values()
        and "__" not in variable[len(begins) :].strip("_")
    )


class _Reading:
    """One reading; an object, so that no frame of a traceback shows a value of the file."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.problems: list[InvalidSettingError] = []
        self.sentences: list[str] = []
        self.wrong: set[str] = set()
        self.is_fatal = False

    def read_all(self) -> None:
        """Read the environment, then what it leaves open from the file."""
        for name, variable in VARIABLES.items():
            text = os.environ.get(variable)
            # An empty variable is as one that is not set; but for the names, which are none then.
            if text is not None and (text.strip() or name == "callbacks"):
                self._read(name, text, variable)
        if "config" in self.found:
            self._read_file(self.found["config"])
        if "disabled" in self.wrong and self.found.get("require"):
            self.is_fatal = True  # Whether the required handlers are to be there is not known.

    def _read(self, name: str, raw: Any, setting: str, file: Path | None = None) -> None:
        source = setting if file is None else f"{setting} of {file}"
        try:
            self.found[name] = KINDS[name].parse(raw, source)
        except InvalidNameError as error:
            reason = f"entry {error.position}, {shown(error.entry)}: {error.statement.cause}"
        except ValueError as error:
            reason = str(error)
        else:
            return
        self.wrong.add(name)
        if KINDS[name].is_enforcing:
            self._stop(f"{source}: {reason}")
            return
        used = self.found[name] = IF_WRONG.get(name, getattr(_DEFAULT, name))
        instead = f"with the default, {used}" if used else "without it"
        self._ignore(setting, reason, file, "as if it were 1" if name in IF_WRONG else instead)

    def _stop(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self.is_fatal = True

    def _ignore(
        self, setting: str, reason: str, file: Path | None, instead: str = "without it"
    ) -> None:
        error = InvalidSettingError(
            setting=setting, reason=reason, file=str(file) if file else None, instead=instead
        )
        self.problems.append(error)
        self.sentences.extend(error.problems)

    def _read_file(self, file: Path) -> None:
        known = [name for name in KINDS if name != "config"]
        for key, value in self._load(file).items():
            if key == "handlers":
                self._read_sections(value, file)
            elif key not in known:
                hint = did_you_mean(key, [*known, "handlers"])
                self._ignore(key, f"chain-callbacks has no such setting.{hint}", file)
            elif key not in self.found and key not in self.wrong:
                self._read(key, value, key, file)

    def _load(self, file: Path) -> dict[str, Any]:
        try:
            # A byte order mark is no part of the text.
            return tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except OSError as error:
            reason = f"it cannot be read ({error.strerror})"
        except UnicodeDecodeError:
            reason = "it is not UTF-8"
        except tomllib.TOMLDecodeError as error:
            reason = f"it is not TOML: {shortened(str(error))}"  # It says where, without a value.
        except (RecursionError, ValueError) as error:  # Too many brackets, or digits.
            reason = f"it cannot be read ({type(error).__name__})"
        self._stop(f"{file}: {reason}")
        return {}

    def _read_sections(self, sections: Any, file: Path) -> None:
        found = self.found["handlers"] = {}
        if not isinstance(sections, dict):
            self._ignore("handlers", "it must be a table for each handler", file)
            return
        for key, section in sections.items():
            setting = f"[handlers.{shown(key)}]"
            try:
                ref = parse_name(key, source=setting)
            except InvalidNameError:
                ref = None
            if ref is None or ref.distribution is not None:
                self._ignore(setting, "it must be a handler's name, or name:instance", file)
            elif not isinstance(section, dict):
                self._ignore(setting, "it must be a table", file)
            else:
                found[str(ref).removesuffix(f":{DEFAULT_INSTANCE}")] = section
