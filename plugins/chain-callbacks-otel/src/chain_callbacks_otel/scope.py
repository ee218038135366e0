"""The name by which our own spans and metrics are known as ours."""

from __future__ import annotations

from typing import Final

SCOPE: Final = "chain_callbacks_otel"
