"""A handler's settings: the model an author writes, and how it is filled without telling secrets.

pydantic-settings takes a tenth of a second and more to import, so nothing imports this module
before a named handler has settings to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ..errors import HandlerSettingsError, did_you_mean
from ..policies import POLICIES
from .environment import prefix_of


class HandlerSettings(BaseSettings):
    """The settings of one handler: a flat model, each field a variable of the environment.

    A field ``webhook_url`` of the handler ``slack`` is ``CHAIN_CALLBACKS_SLACK__WEBHOOK_URL``, and
    of its instance ``slack:audit`` ``CHAIN_CALLBACKS_SLACK__AUDIT__WEBHOOK_URL``. Give every
    credential the type ``SecretStr``. Made in code, it reads nothing but its arguments.
    """

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  The hook has these arguments.
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment for a handler that is named only, and no file lying about."""
        if not getattr(env_settings, "env_prefix", ""):
            return (init_settings,)
        return (init_settings, env_settings)


def read(
    model: type[HandlerSettings],
    *,
    name: str,
    instance: str | None,
    variables: Mapping[str, str],
    source: str,
) -> HandlerSettings:
    """Return the settings of a handler, from the environment.

    Raises:
        HandlerSettingsError: Some are missing or wrong. It names variables and shows no value; no
            exception that holds one is attached to it.
    """
    prefix = prefix_of(name, instance)
    try:
        return model(_env_prefix=prefix)  # type: ignore[call-arg]  # an author may write __init__
    except ValidationError as error:
        problems = _problems(error, prefix, variables)
    # Outside of the `except`, so that the error has no context, whose input and frames hold values.
    label = name if instance is None else f"{name}:{instance}"
    raise HandlerSettingsError(name=label, source=source, problems=problems)


def misspelt(
    model: type[HandlerSettings] | None, prefix: str, variables: Mapping[str, str]
) -> tuple[str, ...]:
    """Return a sentence for each variable that is no setting of the handler."""
    known = {*POLICIES, *(model.model_fields if model is not None else ())}
    return tuple(
        f"{prefix}{field.upper()} is no setting of it."
        + did_you_mean(prefix + field.upper(), [prefix + each.upper() for each in sorted(known)])
        for field in variables
        if field not in known
    )


def _problems(error: ValidationError, prefix: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    found = []
    for detail in error.errors(include_input=False, include_context=False, include_url=False):
        where = "__".join(str(part) for part in detail["loc"]).upper()
        if detail["type"] == "missing":
            found.append(f"{prefix}{where} is not set")
            continue
        told = _told(detail, variables)
        found.append(f"{prefix}{where} is wrong: {told}" if where else told)
    return tuple(found)


def _told(detail: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    # A validator's own message may quote what it was given.
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if any(value.strip() and value.strip() in message for value in variables.values()):
        return "the value is not accepted"
    return message[:1].lower() + message[1:]
