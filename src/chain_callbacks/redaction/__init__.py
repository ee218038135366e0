"""Copies of payloads with the secrets masked; the ground floor, which knows nothing of events."""

from __future__ import annotations

from .copies import ITEMS, Copier
from .keeping import Keeper
from .objects import emptied, stand_in
from .placeholders import MASK
from .redactor import DefaultRedactor, Redactor, Several

__all__ = [
    "ITEMS",
    "MASK",
    "Copier",
    "DefaultRedactor",
    "Keeper",
    "Redactor",
    "Several",
    "emptied",
    "stand_in",
]
