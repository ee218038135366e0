"""The base of the settings models that authors of handlers write.

A module of its own, because pydantic-settings takes a tenth of a second and more to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


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
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  The hook has these arguments.
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment only for a handler that is named, and never a ``.env`` file."""
        prefix = getattr(env_settings, "env_prefix", "")
        if not prefix:
            return (init_settings,)
        folder = getattr(file_secret_settings, "secrets_dir", None)
        files = _SecretFiles(settings_cls, secrets_dir=folder, env_prefix=prefix)
        return (env_settings, files, init_settings)


class _SecretFiles(SecretsSettingsSource):
    """The files of the secrets, each without the byte order mark that an editor put before it."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        if isinstance(value, str):
            value = value.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").strip()
        return value, key, is_complex
