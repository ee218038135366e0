"""The settings and policies of one handler, from the environment and the file.

A handler whose settings are all unset does without pydantic, whose import takes a tenth of a second
and more: it is imported when a model has to be filled.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..errors import HandlerSettingsError, did_you_mean
from ..policies import POLICIES, UNSTATED, Policy, parse_policy
from .settings import NAMES, settings

if TYPE_CHECKING:
    from pydantic import ValidationError

    from .settings_model import HandlerSettings

log = logging.getLogger("chain_callbacks")

_OF_THE_FRAMEWORK: Final = frozenset({*POLICIES, "class"})


def prefix_of(name: str, instance: str | None = None) -> str:
    """Return what the variables of a handler begin with: ``CHAIN_CALLBACKS_SLACK__``.

    Two underscores, so that a handler whose name has a dash is never taken for a field.
    """
    words = (name,) if instance is None else (name, instance)
    return f"{NAMES}_" + "".join(word.replace("-", "_").upper() + "__" for word in words)


def variables_of(name: str, instance: str | None = None) -> dict[str, str]:
    """Return the settings that the environment has for a handler, by field in lower case.

    Those of its named instances are left out: ``SLACK__AUDIT__TOKEN`` is of ``slack:audit``.
    """
    prefix = prefix_of(name, instance)
    return {
        field.lower(): value
        for variable, value in os.environ.items()
        if variable.upper().startswith(prefix)
        and "__" not in (field := variable[len(prefix) :])
        and field
    }


def state_of(name: str, instance: str | None = None) -> int:
    """Return a number that differs once a setting of a handler has changed, and tells no value."""
    return hash(frozenset(variables_of(name, instance).items()))


def instances_of(name: str) -> tuple[str, ...]:
    """Return the named instances that the environment or the file configures, sorted."""
    prefix = prefix_of(name)
    found = {
        variable[len(prefix) :].split("__")[0].lower().replace("_", "-")
        for variable in os.environ
        if variable.upper().startswith(prefix) and "__" in variable[len(prefix) :]
    }
    return tuple(sorted({*found, *settings().instances_of(name)} - {""}))


class RawSettings:
    """The settings of one handler, not yet read; a variable takes precedence over the file.

    Attributes:
        prefix: What its variables begin with.
        variables: Those of the environment, by field; without policies.
        section: Those of the file, by field; without policies and class.
        policies: The policies that either states, with where each stands.
    """

    def __init__(self, name: str, instance: str | None) -> None:
        self.name, self.instance = name, instance
        self.prefix = prefix_of(name, instance)
        # An empty variable is as one that is not set: the file counts.
        variables = {k: v for k, v in variables_of(name, instance).items() if v.strip()}
        section = settings().section(name, instance)
        self.variables = {k: v for k, v in variables.items() if k not in _OF_THE_FRAMEWORK}
        self.section = {k: v for k, v in section.items() if k not in _OF_THE_FRAMEWORK}
        self.policies: dict[str, tuple[Any, str]] = {}
        for policy in POLICIES:
            if policy in variables:
                self.policies[policy] = variables[policy], self.prefix + policy.upper()
            elif policy in section:
                self.policies[policy] = section[policy], f"[handlers.{self.label}] {policy}"

    @property
    def label(self) -> str:
        """The name of the handler, with its instance."""
        return self.name if self.instance is None else f"{self.name}:{self.instance}"

    @property
    def has_values(self) -> bool:
        """Whether there is any value, which may be a secret."""
        return bool(self.variables or self.section or settings().secrets_dir)

    def parse_policy(self) -> Policy:
        """Return the policy that the settings state for the handler.

        Raises:
            InvalidPolicyError: A value is unknown; it names the variable.
        """
        stated = UNSTATED
        for name, (value, source) in self.policies.items():
            text = "+".join(map(str, value)) if isinstance(value, list) else value
            stated = stated.replaced(parse_policy({name: text}, source=source))
        return stated

    def for_provider(
        self, provider: object, *, takes_keywords: bool, source: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments to call *provider* with.

        A third-party class has no settings model: it takes keyword arguments.

        Raises:
            HandlerSettingsError: Some are missing or wrong.
        """
        if isinstance(getattr(provider, "settings_model", None), str) and not self.has_values:
            return (), {}  # All its fields have defaults.
        model = model_of(provider)
        if model is None and takes_keywords:
            return (), {**self.section, **self.variables}
        unknown = self.unknown_keys({}) if model is None else ()
        fields: Mapping[str, Any] = {} if model is None else model.model_fields
        for sentence in (*self.misspelt_variables(fields), *unknown):
            log.warning("%s: %s", self.label, sentence)
        return ((), {}) if model is None else ((self.read(model, source=source),), {})

    def read(self, model: type[HandlerSettings], *, source: str) -> HandlerSettings:
        """Return the settings: of the environment, then of secret files, then of the file.

        Raises:
            HandlerSettingsError: Some are missing or wrong. It names variables and shows no value;
                no exception that holds one is attached to it.
        """
        found: HandlerSettings | None = None
        problems = self.unknown_keys(model.model_fields)
        try:
            found = self._filled(model)
        except Exception as error:  # An author's validator may raise what it likes.
            problems = (*self._problems(error), *problems)
        if found is not None and not problems:
            return found
        found = None  # A traceback may show the locals of this frame. For the same reason the error
        # is raised outside of the `except`: its context would hold values.
        problems += self.misspelt_variables(model.model_fields)
        raise HandlerSettingsError(name=self.label, source=source, problems=problems)

    def _filled(self, model: type[HandlerSettings]) -> HandlerSettings:
        values = {field: v for field, v in self.section.items() if field in model.model_fields}
        sources: dict[str, Any] = {
            "_env_prefix": self.prefix,
            "_secrets_dir": settings().secrets_dir,
        }
        return model(**sources, **values)

    def _problems(self, error: Exception) -> tuple[str, ...]:
        from pydantic import ValidationError
        from pydantic_settings import SettingsError

        if isinstance(error, ValidationError):
            return self._invalid_fields(error)
        if isinstance(error, SettingsError):
            field = re.search(r'field "(\w+)"', str(error))
            variable = self.prefix + (field[1].upper() if field else "")
            return (f"{variable} is wrong: it is not the JSON that its type asks for",)
        return (f"reading them raised {type(error).__name__}",)

    def _invalid_fields(self, error: ValidationError) -> tuple[str, ...]:
        found = []
        for detail in error.errors(include_context=False, include_url=False):
            # Only the first part is the field's name: what is further in may be a key of a value.
            where = "".join(str(part) for part in detail["loc"][:1]).upper()
            if detail["type"] == "missing":
                found.append(f"{self.prefix}{where} is not set")
                continue
            reason = self._without_values(detail)
            found.append(f"{self.prefix}{where} is wrong: {reason}" if where else reason)
        return tuple(found)

    def _without_values(self, detail: Mapping[str, Any]) -> str:
        message = (
            str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        )
        # A validator's own message may quote its input, and so do a few of pydantic's.
        if self.is_quoted_in(message, detail["input"]):
            return "the value is not accepted"
        return message[:1].lower() + message[1:]

    def misspelt_variables(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a clause for each variable that is neither one of *fields* nor a policy."""
        known = [self.prefix + field.upper() for field in sorted({*fields, *POLICIES})]
        return tuple(
            f"{variable} is not a setting of it.{did_you_mean(variable, known)}"
            for variable in (self.prefix + field.upper() for field in self.variables)
            if variable not in known
        )

    def unknown_keys(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a clause for each key of the file's section that is none of *fields*."""
        known = sorted({*fields, *_OF_THE_FRAMEWORK})
        return tuple(
            f"{field!r} is not a key of [handlers.{self.label}].{did_you_mean(field, known)}"
            for field in self.section
            if field not in fields
        )

    def is_quoted_in(self, text: str, *more: Any) -> bool:
        """Return whether *text* has a value in it, or one of *more*, or a long piece of one."""
        values = _texts((*self.variables.values(), *self.section.values(), *more))
        return any(_quotes(text.casefold(), value.casefold()) for value in values)


_LEAST_SECRET: Final = 4
_MOST_SHARED: Final = 8
"""How many characters of a value a text may share by chance: those of a scheme, `https://`, do."""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _texts((*value.keys(), *value.values()))
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from _texts(each)
    else:
        yield str(value).strip()


def _quotes(message: str, value: str) -> bool:
    if len(value) <= _MOST_SHARED:
        return len(value) >= _LEAST_SECRET and value in message
    width = _MOST_SHARED + 1
    return any(value[at : at + width] in message for at in range(len(value) - width + 1))


def model_of(provider: object) -> Any:
    """Return the settings model of a provider, imported if it is named as text; None if none."""
    model = getattr(provider, "settings_model", None)
    if not isinstance(model, str):
        return model
    module, _, attribute = model.partition(":")
    return getattr(import_module(module), attribute)
