"""What the operator gives one handler: its settings and policies, from environment and file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from ..errors import did_you_mean
from ..policies import POLICIES, UNSTATED, Policy, parse_policy
from . import environment as env
from .settings import settings

log = logging.getLogger("chain_callbacks")

_OF_THE_FRAMEWORK: Final = frozenset({*POLICIES, "class"})


class Given:
    """The settings of one handler, unread; the environment's beat the file's.

    Attributes:
        prefix: What its variables begin with.
        variables: The environment's, by field; without policies.
        section: The file's, by field; without policies and class.
        policies: What both state of policies, with where each stands.
    """

    def __init__(self, name: str, instance: str | None) -> None:
        self.name, self.instance = name, instance
        self.prefix = env.prefix_of(name, instance)
        # Empty, a variable is as one that is not set: the file's word stands.
        variables = {k: v for k, v in env.variables_of(name, instance).items() if v.strip()}
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
        """Whether anything is given that may be a secret."""
        return bool(self.variables or self.section or settings().secrets_dir)

    def for_provider(
        self, provider: object, *, takes_keywords: bool, source: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments to call *provider* with.

        A third-party class knows no settings: it takes them as keyword arguments.

        Raises:
            HandlerSettingsError: Some are missing or wrong.
        """
        if isinstance(getattr(provider, "settings_model", None), str) and not self.has_values:
            return (), {}  # All its fields have defaults: pydantic stays where it is.
        model = model_of(provider)
        if model is None:
            if takes_keywords:
                return (), {**self.section, **self.variables}
            for sentence in (*self.misspelt({}), *self.unknown({})):
                log.warning("%s: %s", self.label, sentence)
            return (), {}
        for sentence in self.misspelt(model.model_fields):
            log.warning("%s: %s", self.label, sentence)
        from .settings_model import read

        return (read(model, self, source=source),), {}

    def misspelt(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a sentence for each variable that is neither one of *fields* nor a policy."""
        known = [self.prefix + field.upper() for field in sorted({*fields, *POLICIES})]
        return tuple(
            f"{variable} is not a setting of it.{did_you_mean(variable, known)}"
            for variable in (self.prefix + field.upper() for field in self.variables)
            if variable not in known
        )

    def unknown(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a sentence for each key of the file's section that is none of *fields*."""
        known = sorted({*fields, *_OF_THE_FRAMEWORK})
        return tuple(
            f"{field!r} is not a key of [handlers.{self.label}].{did_you_mean(field, known)}"
            for field in self.section
            if field not in fields
        )

    def is_quoted_in(self, text: str, *more: Any) -> bool:
        """Tell whether *text* has one of the values in it, or of *more*, or a long piece of one."""
        values = _texts((*self.variables.values(), *self.section.values(), *more))
        return any(_quotes(text.casefold(), value.casefold()) for value in values)


_LEAST_SECRET: Final = 4
_MOST_SHARED: Final = 8
"""So many characters of a value may be in a text by chance: those of a scheme, `https://`, are."""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _texts((*value.keys(), *value.values()))
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from _texts(each)
    else:
        yield str(value).strip()


def _quotes(message: str, value: str) -> bool:
    """Tell whether *message* has *value* in it, or a long piece of it."""
    if len(value) <= _MOST_SHARED:
        return len(value) >= _LEAST_SECRET and value in message
    width = _MOST_SHARED + 1
    return any(value[at : at + width] in message for at in range(len(value) - width + 1))


def model_of(provider: object) -> Any:
    """Return the settings model of a provider, imported where it names it as text; None if none."""
    model = getattr(provider, "settings_model", None)
    if not isinstance(model, str):
        return model
    module, _, attribute = model.partition(":")
    return getattr(import_module(module), attribute)


def parse_policies(given: Given) -> Policy:
    """Return the operator's policy for a handler.

    Raises:
        InvalidPolicyError: A value is unknown; it names the variable.
    """
    stated = UNSTATED
    for name, (value, source) in given.policies.items():
        text = "+".join(map(str, value)) if isinstance(value, list) else value
        stated = stated.replaced(parse_policy({name: text}, source=source))
    return stated
