"""A handler's settings: the model an author writes, and how it is filled without telling secrets.

pydantic-settings takes a tenth of a second and more to import, so nothing imports this module
before a named handler has settings to read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from ..errors import HandlerSettingsError
from .settings import settings

if TYPE_CHECKING:
    from .handler_settings import Given


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
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment for a handler that is named only, and no file lying about."""
        if not getattr(env_settings, "env_prefix", ""):
            return (init_settings,)
        return (env_settings, file_secret_settings, init_settings)


def _made(model: type[HandlerSettings], given: Given, values: Mapping[str, Any]) -> HandlerSettings:
    sources: dict[str, Any] = {
        "_env_prefix": given.prefix,
        "_secrets_dir": settings().secrets_dir,
    }
    return model(**sources, **values)


def read(model: type[HandlerSettings], given: Given, *, source: str) -> HandlerSettings:
    """Return the settings of a handler: environment, then secret files, then the operator's file.

    Raises:
        HandlerSettingsError: Some are missing or wrong. It names variables and shows no value; no
            exception that holds one is attached to it.
    """
    settings: HandlerSettings | None = None
    values = {field: v for field, v in given.section.items() if field in model.model_fields}
    try:
        settings = _made(model, given, values)
        problems: tuple[str, ...] = ()
    except ValidationError as error:
        problems = _problems(error, given)
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        where = given.prefix + (field[1].upper() if field else "")
        problems = (f"{where} is wrong: it is not the JSON that its type asks for",)
    except Exception as error:  # A validator of the author's may raise what it likes.
        problems = (f"reading them raised {type(error).__name__}",)
    problems += given.unknown(model.model_fields)
    if settings is not None and not problems:
        return settings
    # Outside of the `except`, so that the error has no context, whose input and frames hold values.
    problems += given.misspelt(model.model_fields)
    del values
    raise HandlerSettingsError(name=given.label, source=source, problems=problems)


def _problems(error: ValidationError, given: Given) -> tuple[str, ...]:
    found = []
    for detail in error.errors(include_context=False, include_url=False):
        # What stands further in may be a key that was given.
        where = "".join(str(part) for part in detail["loc"][:1]).upper()
        if detail["type"] == "missing":
            found.append(f"{given.prefix}{where} is not set")
            continue
        told = _told(detail, given)
        found.append(f"{given.prefix}{where} is wrong: {told}" if where else told)
    return tuple(found)


def _told(detail: Mapping[str, Any], given: Given) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    # A validator's own message may quote what it was given, and so do a few of pydantic's.
    if given.is_quoted_in(message, detail["input"]):
        return "the value is not accepted"
    return message[:1].lower() + message[1:]
