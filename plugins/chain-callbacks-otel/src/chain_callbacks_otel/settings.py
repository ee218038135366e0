"""The settings of the handler; where spans go is said by the standard ``OTEL_*`` variables."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from chain_callbacks import HandlerSettings

Convention = Literal["genai", "openinference"]


class OtelSettings(HandlerSettings):
    """How ``otel`` writes its spans: ``CHAIN_CALLBACKS_OTEL__CONVENTIONS=genai,openinference``."""

    conventions: Annotated[tuple[Convention, ...], NoDecode] = Field(
        ("genai",),
        description="Whose attributes a span has: `genai`, and `openinference` beside it.",
    )

    @field_validator("conventions", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(each.strip().lower() for each in value.split(",") if each.strip())

    @field_validator("conventions")
    @classmethod
    def _has_genai(cls, value: tuple[Convention, ...]) -> tuple[Convention, ...]:
        if "genai" not in value:
            raise ValueError("genai is missing: every span has it")
        return value
