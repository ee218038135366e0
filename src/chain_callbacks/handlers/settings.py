"""The settings of the built-in handlers; imported only where one of them is set."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ..resolution.settings_model import HandlerSettings


class StructlogSettings(HandlerSettings):
    """How ``structlog`` shows its lines: ``CHAIN_CALLBACKS_STRUCTLOG__RENDERER=json``."""

    renderer: Literal["auto", "json", "console"] = Field(
        "auto",
        description="`console` for people, `json` for machines, `auto` by where stderr leads.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "debug", description="The least level shown: starts are debug, ends info, retries warning."
    )

    @field_validator("renderer", "level", mode="before")
    @classmethod
    def _in_lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value
