"""The errors that this library raises on purpose.

The fields of each class are its keyword arguments, so that a caller never has to parse a message.
Its ``_state`` says what happened, why, and what to do; the base class puts that together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self, TypeVar, dataclass_transform

from .text import shortened

E = TypeVar("E", bound="ChainCallbacksError")


def shown(value: str) -> str:
    """Return *value* in repr, shortened."""
    return repr(shortened(value))


def quoted(values: Iterable[str]) -> str:
    """Return *values* in repr, joined by commas."""
    return ", ".join(map(shown, values))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a question that names the closest of *choices*, or nothing, ready to be appended."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" Did you mean {shown(close[0])}?" if close else ""


def _ended(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


class Statement(NamedTuple):
    """What an error states.

    *why* is a clause that can follow a colon, *asked_by* one that says who asked for the thing,
    *remedy* a sentence or more, which may end in a command on a line of its own. *brief* is the
    cause for a table that has the name and the source in other columns.
    """

    what: str
    why: str = ""
    remedy: str = ""
    asked_by: str = ""
    brief: str = ""

    @property
    def cause(self) -> str:
        """The cause without the name and the source."""
        return self.brief or self.why or self.what

    def __str__(self) -> str:
        happened = f"{self.what}: {self.why}" if self.why else self.what
        if self.asked_by:
            happened = f"{happened}{' ' if happened.endswith(('.', '?')) else '; '}{self.asked_by}"
        return f"{_ended(happened)} {self.remedy}".rstrip()


@dataclass_transform(kw_only_default=True, eq_default=False)
def leaf(kind: type[E]) -> type[E]:
    """Make the annotations of a class of errors its keyword arguments, and its attributes."""
    return dataclass(eq=False, kw_only=True, repr=False)(kind)


def _rebuild(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind(**values)


class ChainCallbacksError(Exception):
    """The base of all errors of this library."""

    def __post_init__(self) -> None:
        self.args = (str(self),)  # Copies of errors, and other libraries, read it.

    def _state(self) -> Statement:
        return Statement(super().__str__())

    @property
    def statement(self) -> Statement:
        """What happened, why, and what to do, apart from each other."""
        return self._state()

    def __str__(self) -> str:
        return str(self._state()) if hasattr(self, "__dataclass_fields__") else super().__str__()

    def __reduce__(self) -> Any:
        found = getattr(self, "__dataclass_fields__", None)
        if found is None:
            return super().__reduce__()
        values = {each.name: getattr(self, each.name) for each in found.values() if each.init}
        return _rebuild, (type(self), values), self.__dict__


def _asks(source: str) -> str:
    return f"{shortened(source)} asks for it" if source else ""


@leaf
class InvalidNameError(ChainCallbacksError, ValueError):
    """An entry is not a handler name, or, with a *reason*, one that is not allowed in its place.

    *position*, from 1, is that of the entry in its list.
    """

    entry: str
    position: int
    source: str
    reason: str | None = None

    def _state(self) -> Statement:
        entry, source = shown(self.entry), shortened(self.source)
        if self.reason is not None:
            return Statement(f"{entry} is not allowed in {source}", self.reason)
        return Statement(
            f"{entry} is not a handler name",
            brief="not a handler name",
            remedy=f"Write entry {self.position} of {source} in letters and digits, joined by '-' "
            "or '_', such as 'slack', 'slack:audit', '-slack' or 'none'.",
        )


@leaf
class UnknownHandlerError(ChainCallbacksError, LookupError):
    """No handler with that name is installed or registered; *installed* has those that are.

    *distribution* is the one of this project to install; None if it has no such handler. Others
    that offer the name, which belongs to that distribution, are in *claimed_by*.
    """

    name: str
    source: str
    installed: tuple[str, ...] = ()
    distribution: str | None = None
    claimed_by: tuple[str, ...] = ()

    def _state(self) -> Statement:
        why = ""
        if self.distribution is not None:
            brief, remedy = "not installed", f"Install it:\npip install {self.distribution}"
            if self.claimed_by:
                others = quoted(f"{other}/{self.name}" for other in self.claimed_by)
                brief = why = f"the name belongs to {self.distribution}; others have {others}"
        else:
            brief = "no handler with that name"
            remedy = f"Installed: {quoted(self.installed) or 'none'}."
            hint = did_you_mean(shortened(self.name), self.installed).strip()
            remedy = f"{hint}\n{remedy}" if hint else remedy
        what = f"No handler is called {shown(self.name)}"
        return Statement(what, why, remedy, _asks(self.source), brief)


@leaf
class UnknownInstanceError(UnknownHandlerError):
    """A handler was named with an instance (``slack:audit``) that is not configured.

    *variable* is what the variables of the instance's settings begin with.
    """

    variable: str

    def _state(self) -> Statement:
        return Statement(
            f"No handler is called {shown(self.name)}",
            "the instance is not configured",
            f"Set one of its settings, {shortened(self.variable)}<FIELD>.",
            _asks(self.source),
        )


@leaf
class AmbiguousHandlerError(ChainCallbacksError, LookupError):
    """Several installed distributions offer one handler name."""

    name: str
    source: str
    distributions: tuple[str, ...]

    def _state(self) -> Statement:
        first = shown(f"{self.distributions[0]}/{self.name}")
        return Statement(
            f"{shown(self.name)} is ambiguous",
            f"offered by {' and '.join(map(shortened, self.distributions))}",
            f"Write {first}, or uninstall one of them.",
            _asks(self.source),
        )


@leaf
class BrokenPluginError(ChainCallbacksError):
    """A handler that is installed cannot be used, or a plugin that is loaded without being named.

    *reason* is one line without the value of any setting. *source* is empty if nobody named it.
    *distribution*, *version* and *location* are None for a handler that was registered by hand.
    """

    name: str
    source: str
    reason: str
    distribution: str | None = None
    version: str | None = None
    location: str | None = None
    kind: Literal["handler", "bridge", "conversion"] = "handler"

    def _state(self) -> Statement:
        origin, fix = "", "Fix it"
        if self.distribution:
            origin = f" of {shortened(self.distribution)} {self.version or ''}".rstrip()
            fix = "Fix or uninstall the plugin"
        place = f" ({self.location})" if self.location else ""
        name = f", or remove the name from {shortened(self.source)}" if self.source else ""
        return Statement(
            f"The {self.kind} {shown(self.name)}{origin}{place} cannot be used",
            self.reason,
            f"{fix}{name}.",
            _asks(self.source),
        )


@leaf
class HandlerSettingsError(BrokenPluginError):
    """Settings of a handler are missing or wrong; *problems* has a clause for each, no value."""

    problems: tuple[str, ...]
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        self.reason = "; ".join(self.problems)
        super().__post_init__()

    def _state(self) -> Statement:
        return Statement(
            shortened(self.name),
            _ended(self.reason),
            f"Correct the settings, or remove the name from {shortened(self.source)}.",
            _asks(self.source),
            self.reason,
        )


@leaf
class HandlerDeniedError(ChainCallbacksError, PermissionError):
    """A handler was asked for that may not be used; *rule* is what forbids it."""

    name: str
    source: str
    rule: str

    def _state(self) -> Statement:
        return Statement(
            f"The handler {shown(self.name)} may not be used",
            f"{shortened(self.rule)} forbids it",
            "Remove the name, or change the rule.",
            _asks(self.source),
        )


@leaf
class NotAHandlerError(ChainCallbacksError, TypeError):
    """Something was passed as a handler that is not one.

    *kind* says what it is, with an article, and *advice* what to pass instead.
    """

    kind: str
    source: str
    advice: str

    def _state(self) -> Statement:
        what = f"{shortened(self.source)} is {self.kind}, not a handler"
        return Statement(what, remedy=self.advice)


@leaf
class HandlerSignatureError(ChainCallbacksError, TypeError):
    """A method of a handler cannot take the arguments of its event."""

    handler: str
    event: str
    reason: str

    def _state(self) -> Statement:
        return Statement(
            f"{self.handler}.{self.event} cannot be called",
            self.reason,
            "Give it the event's arguments and end its signature with **kwargs.",
        )


@leaf
class InvalidPolicyError(ChainCallbacksError, ValueError):
    """A policy has an unknown value, or, with a *reason*, one that another policy rules out.

    *valid* has the values that it may have, or examples of them.
    """

    policy: str
    value: str
    source: str
    valid: tuple[str, ...]
    reason: str | None = None

    def _state(self) -> Statement:
        what, why = f"{shown(self.value)} is not a value of the policy {self.policy!r}", ""
        if self.reason is not None:
            what, why = f"{self.policy}={shortened(self.value)} is not possible", self.reason
        return self._with_valid(what, self.value, why)

    def _with_valid(self, what: str, word: str, why: str = "") -> Statement:
        remedy = f"{did_you_mean(word, self.valid)} Valid: {quoted(self.valid)}.".strip()
        return Statement(what, why, remedy, f"{shortened(self.source)} states it")


@leaf
class UnknownPolicyError(InvalidPolicyError):
    """There is no policy with that name; *valid* has the names that there are."""

    def _state(self) -> Statement:
        return self._with_valid(f"There is no policy {shown(self.policy)}", self.policy)


@leaf
class InvalidConfigError(ChainCallbacksError, ValueError):
    """The ``config`` of a call has an unknown key, or a value of a wrong type.

    *key* is None if it is not a mapping; *reason* is the rest of the sentence, and *advice* says
    what to write instead.
    """

    key: str | None
    reason: str
    advice: str = ""

    def _state(self) -> Statement:
        key = "" if self.key is None else f"[{shown(self.key)}]"
        return Statement(f"config{key} {self.reason}", remedy=self.advice)


@leaf
class RecursionLimitError(ChainCallbacksError, RecursionError):
    """A run went deeper, or took more turns, than ``config["recursion_limit"]`` allows."""

    name: str
    limit: int

    def _state(self) -> Statement:
        return Statement(
            f"{shortened(self.name)} stopped after {self.limit} steps without an answer",
            remedy='Raise config["recursion_limit"] if it needs more.',
        )


@leaf
class SettingsError(ChainCallbacksError, ValueError):
    """A setting of the framework that enforces something is wrong, or its file cannot be read.

    *problems* has a clause for each, which begins with the variable, or the file and its key.
    """

    problems: tuple[str, ...]

    def _state(self) -> Statement:
        return Statement(
            "The configuration is wrong",
            "; ".join(self.problems),
            "No run starts until it is corrected.",
        )


@leaf
class InvalidSettingError(SettingsError):
    """A setting of the framework is unknown, or has a wrong value and enforces nothing.

    *setting* is the variable, or the key in *file*; *instead* says how a run goes on.
    """

    setting: str
    reason: str
    file: str | None = None
    instead: str = "without it"
    problems: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.problems = (f"{self._where()}: {self.reason}",)
        super().__post_init__()

    def _where(self) -> str:
        return f"{shortened(self.setting)}{f' of {self.file}' if self.file else ''}"

    def _state(self) -> Statement:
        return Statement(self._where(), self.reason, "Correct or unset it.")


@leaf
class PolicyPluginError(ChainCallbacksError):
    """A policy plugin, which enforces something, cannot be used."""

    plugin: str
    reason: str

    def _state(self) -> Statement:
        return Statement(
            f"The policy plugin {shown(self.plugin)} cannot be used",
            self.reason,
            "Fix it, or remove the name: no run starts until then.",
            "CHAIN_CALLBACKS_PLUGINS asks for it",
        )


class ConfigurationErrors(ExceptionGroup[ChainCallbacksError], ChainCallbacksError):  # noqa: N818
    """Everything that is wrong with a configuration; *exceptions* has one error for each thing."""

    def __new__(cls, problems: Sequence[ChainCallbacksError]) -> Self:
        count = len(problems)
        message = f"{count} thing{'s are' if count > 1 else ' is'} wrong with the handlers"
        return super().__new__(cls, message, problems)

    def __init__(self, problems: Sequence[ChainCallbacksError]) -> None:
        Exception.__init__(self, problems)

    def derive(self, excs: Sequence[Any], /) -> Any:
        """Return a group of some of these errors: what ``except*`` and ``split`` make."""
        return ConfigurationErrors(excs)

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigurationErrors, (self.exceptions,), self.__dict__
