"""The settings of the built-in handlers; imported only where one of them is set."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field, field_validator

from ..resolution.settings import HandlerSettings

_PAYLOADS: Final = "Show inputs, outputs, the text of errors, and tags: they are the users' data."


class StructlogSettings(HandlerSettings):
    """How ``structlog`` shows its lines: ``CHAIN_CALLBACKS_STRUCTLOG__RENDERER=json``."""

    renderer: Literal["auto", "json", "console"] = Field(
        "auto",
        description="`console` for people, `json` for machines, `auto` by where stderr leads.",
    )
    payloads: bool = Field(default=False, description=_PAYLOADS)
    level: Literal["debug", "info", "warning", "error"] = Field(
        "debug", description="The least level shown: starts are debug, ends info, retries warning."
    )

    @field_validator("renderer", "level", mode="before")
    @classmethod
    def _in_lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class ConsoleSettings(HandlerSettings):
    """What ``console`` shows: ``CHAIN_CALLBACKS_CONSOLE__PAYLOADS=true``."""

    payloads: bool = Field(default=False, description=_PAYLOADS)
