"""Where a handler comes from, as data that can be shown to anyone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Provenance:
    """The distribution that offers a handler; all None for one registered by hand."""

    distribution: str | None = None
    version: str | None = None
    location: str | None = None
    value: str | None = None


UNKNOWN: Final = Provenance()
"""The provenance of a handler that no distribution offers."""
