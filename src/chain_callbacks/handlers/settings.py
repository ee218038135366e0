"""The settings of the built-in handlers; imported only where one of them is set."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from ..resolution.settings import HandlerSettings


class StructlogSettings(HandlerSettings):
    """How ``structlog`` shows its lines: ``CHAIN_CALLBACKS_STRUCTLOG__RENDERER=json``.

    Attributes:
        renderer: ``console`` for people, ``json`` for machines, ``auto`` by where stderr leads.
        payloads: Show inputs, outputs, the text of errors, and tags: they are the users' data.
        level: The least level shown. Starts are ``debug``, ends ``info``, retries ``warning``.
    """

    renderer: Literal["auto", "json", "console"] = "auto"
    payloads: bool = False
    level: Literal["debug", "info", "warning", "error"] = "debug"

    @field_validator("renderer", "level", mode="before")
    @classmethod
    def _in_lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class ConsoleSettings(HandlerSettings):
    """What ``console`` shows: ``CHAIN_CALLBACKS_CONSOLE__PAYLOADS=true``.

    Attributes:
        payloads: Show inputs, outputs, the text of errors, and tags: they are the users' data.
    """

    payloads: bool = False
