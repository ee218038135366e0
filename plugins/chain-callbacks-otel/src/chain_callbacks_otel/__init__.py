"""Runs as OpenTelemetry spans and metrics, and foreign GenAI spans as runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .handler import OtelHandler

if TYPE_CHECKING:
    from .settings import OtelSettings

__all__ = ["OtelHandler", "OtelSettings"]


def __getattr__(name: str) -> Any:
    if name != "OtelSettings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # pydantic-settings is a tenth of a second, which nobody pays who sets nothing.
    from .settings import OtelSettings

    return OtelSettings
