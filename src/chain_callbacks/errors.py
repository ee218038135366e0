"""The errors this library raises on purpose; each builds its message from its attributes.

Every message says what happened, why (with the value and where it came from) and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self


def quoted(values: Iterable[str]) -> str:
    """Return *values* in repr, joined by commas."""
    return ", ".join(map(repr, values))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a sentence that names the closest of *choices*, or nothing, ready to be appended."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def _sentence(parts: Iterable[str]) -> str:
    text = "; ".join(part.rstrip(".") for part in parts)
    return text if text.endswith("?") else f"{text}."


def _rebuild(kind: Callable[..., Any], attributes: dict[str, Any]) -> Any:
    return kind(**attributes)


class ChainCallbacksError(Exception):
    """The base of all errors of this library.

    The keyword arguments of each leaf are its attributes, so that a caller never parses a message.
    """

    def __init__(self, message: str, **attributes: Any) -> None:
        super().__init__(message)
        self.__dict__.update(attributes)
        self._attributes = attributes

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with the message alone.
        return _rebuild, (type(self), self._attributes)


class InvalidNameError(ChainCallbacksError, ValueError):
    """An entry is no handler name, or one that cannot stand where it does: *reason* says why."""

    entry: str
    position: int
    source: str
    reason: str | None

    def __init__(
        self, *, entry: str, position: int, source: str, reason: str | None = None
    ) -> None:
        message = (
            f"{entry!r} is no handler name; entry {position} of {source}. Write letters and "
            "digits, joined by '-' or '_', such as 'slack', 'slack:audit', '-slack' or 'none'."
        )
        if reason is not None:
            message = f"{entry!r} cannot stand in {source}: {reason}."
        super().__init__(message, entry=entry, position=position, source=source, reason=reason)


class UnknownHandlerError(ChainCallbacksError, LookupError):
    """A handler was asked for by a name that nothing installed or registered bears."""

    name: str
    source: str
    installed: tuple[str, ...]
    distribution: str | None

    def __init__(
        self,
        *,
        name: str,
        source: str,
        installed: Sequence[str] = (),
        distribution: str | None = None,
    ) -> None:
        message = f"No handler is called {name!r}; {source} asks for it."
        if distribution is not None:
            message += f" It is not installed:\npip install {distribution}"
        else:
            message += did_you_mean(name, installed)
            message += f"\nInstalled: {quoted(installed)}." if installed else "\nNone is installed."
        super().__init__(
            message,
            name=name,
            source=source,
            installed=tuple(installed),
            distribution=distribution,
        )


class UnknownInstanceError(UnknownHandlerError):
    """An instance of a handler was named (``slack:audit``) that nobody configured.

    *variable* is what the variables of its settings begin with.
    """

    variable: str

    def __init__(
        self,
        *,
        name: str,
        source: str,
        variable: str,
        installed: Sequence[str] = (),
        distribution: str | None = None,
    ) -> None:
        ChainCallbacksError.__init__(
            self,
            f"No handler is called {name!r}; {source} asks for it. Nobody configured that "
            f"instance: set one of its settings, {variable}<FIELD>, to make it exist.",
            name=name,
            source=source,
            variable=variable,
            installed=tuple(installed),
            distribution=distribution,
        )


class AmbiguousHandlerError(ChainCallbacksError, LookupError):
    """Two installed distributions offer one handler name."""

    name: str
    source: str
    distributions: tuple[str, ...]

    def __init__(self, *, name: str, source: str, distributions: Sequence[str]) -> None:
        super().__init__(
            f"{name!r} is offered by more than one distribution: {quoted(distributions)}; {source} "
            f"asks for it. Write {f'{distributions[0]}/{name}'!r} to say which.",
            name=name,
            source=source,
            distributions=tuple(distributions),
        )


class BrokenPluginError(ChainCallbacksError):
    """A handler that is installed cannot be used.

    *reason* is one line and holds no setting's value. *version* and *location* are of the
    distribution, None for a handler that was registered by hand.
    """

    name: str
    source: str
    reason: str
    distribution: str | None
    version: str | None
    location: str | None

    def __init__(
        self,
        *,
        name: str,
        source: str,
        reason: str,
        distribution: str | None = None,
        version: str | None = None,
        location: str | None = None,
    ) -> None:
        origin = "It was registered by hand"
        if distribution:
            origin = f"It comes from {distribution} {version or ''}".rstrip()
        super().__init__(
            f"The handler {name!r} cannot be used: {reason}. {origin}"
            + (f" ({location})" if location else "")
            + f"; {source} asks for it. Mend or uninstall it, or take the name out.",
            name=name,
            source=source,
            reason=reason,
            distribution=distribution,
            version=version,
            location=location,
        )


class HandlerSettingsError(BrokenPluginError):
    """A handler's settings are missing or wrong; *problems* has one sentence each, no values."""

    problems: tuple[str, ...]

    def __init__(self, *, name: str, source: str, problems: Sequence[str]) -> None:
        ChainCallbacksError.__init__(
            self,
            f"{name}: {_sentence(problems)} {source} asks for it. "
            "Set what is missing, or take the name out.",
            name=name,
            source=source,
            problems=tuple(problems),
        )
        self.reason = "; ".join(problems)
        self.distribution = self.version = self.location = None


class HandlerDeniedError(ChainCallbacksError, PermissionError):
    """A handler was asked for that may not be used; *rule* says who forbids it."""

    name: str
    source: str
    rule: str

    def __init__(self, *, name: str, source: str, rule: str) -> None:
        super().__init__(
            f"The handler {name!r} may not be used; {source} asks for it and {rule} forbids it. "
            "Take the name out, or have the rule changed.",
            name=name,
            source=source,
            rule=rule,
        )

    def __str__(self) -> str:
        # OSError formats its arguments in its own way.
        return str(self.args[0])


class NotAHandlerError(ChainCallbacksError, TypeError):
    """Something was passed as a handler that is none."""

    kind: str
    source: str
    reason: str

    def __init__(self, *, kind: str, source: str, reason: str) -> None:
        super().__init__(
            f"{source} is no handler but {kind}: {reason}.", kind=kind, source=source, reason=reason
        )


class HandlerSignatureError(ChainCallbacksError, TypeError):
    """A handler's method cannot take what its event brings."""

    handler: str
    event: str
    reason: str

    def __init__(self, *, handler: str, event: str, reason: str) -> None:
        super().__init__(
            f"{handler}.{event} cannot be called: {reason}. "
            "Give it the event's arguments and end its signature with **kwargs.",
            handler=handler,
            event=event,
            reason=reason,
        )


class InvalidPolicyError(ChainCallbacksError, ValueError):
    """A policy has an unknown name or value, or one that another rules out: *reason* says why."""

    policy: str
    value: str
    source: str
    valid: tuple[str, ...]
    reason: str | None

    def __init__(
        self,
        *,
        policy: str,
        value: str,
        source: str,
        valid: Sequence[str],
        reason: str | None = None,
    ) -> None:
        what = f"{value!r} is no value of the policy {policy!r}"
        if reason is not None:
            what = f"{policy}={value} cannot be had: {reason}"
        super().__init__(
            f"{what}; {source} states it.{did_you_mean(value, valid)} Valid: {quoted(valid)}.",
            policy=policy,
            value=value,
            source=source,
            valid=tuple(valid),
            reason=reason,
        )


class UnknownPolicyError(InvalidPolicyError):
    """A policy was stated that there is not."""

    def __init__(self, *, policy: str, value: str, source: str, valid: Sequence[str]) -> None:
        ChainCallbacksError.__init__(
            self,
            f"There is no policy {policy!r}; {source} states it.{did_you_mean(policy, valid)} "
            f"Valid: {quoted(valid)}.",
            policy=policy,
            value=value,
            source=source,
            valid=tuple(valid),
        )
        self.reason = None


class InvalidConfigError(ChainCallbacksError, ValueError):
    """The ``config`` of a call has an unknown key or a value of a wrong type."""

    key: str
    reason: str

    def __init__(self, *, key: str, reason: str) -> None:
        super().__init__(f"config[{key!r}] {reason}", key=key, reason=reason)


class RecursionLimitError(ChainCallbacksError, RecursionError):
    """A run went deeper, or took more turns, than ``config["recursion_limit"]`` allows."""

    name: str
    limit: int

    def __init__(self, *, name: str, limit: int) -> None:
        super().__init__(
            f"{name} stopped after {limit} steps without an answer. "
            'Raise config["recursion_limit"] if it needs more.',
            name=name,
            limit=limit,
        )


class SettingsError(ChainCallbacksError, ValueError):
    """A setting of the framework itself is wrong: a variable, or the file that one points to.

    *problems* has one sentence each.
    """

    problems: tuple[str, ...]

    def __init__(self, *, problems: Sequence[str]) -> None:
        super().__init__(
            f"The configuration is wrong: {_sentence(problems)}", problems=tuple(problems)
        )


class PolicyPluginError(ChainCallbacksError):
    """A plugin that enforces something cannot do so; nothing is resolved without it."""

    plugin: str
    reason: str

    def __init__(self, *, plugin: str, reason: str) -> None:
        super().__init__(
            f"The policy plugin {plugin!r} cannot be used: {reason}. CHAIN_CALLBACKS_PLUGINS asks "
            "for it, and nothing is resolved without it. Mend it, or take the name out.",
            plugin=plugin,
            reason=reason,
        )


class ConfigurationErrors(ExceptionGroup[ChainCallbacksError], ChainCallbacksError):  # noqa: N818
    """All that is wrong with a configuration at once; ``exceptions`` has one error each."""

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
        return ConfigurationErrors, (self.exceptions,)
