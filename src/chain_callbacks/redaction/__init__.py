"""Copies of payloads with the secrets masked; the ground floor, which knows nothing of events."""

from __future__ import annotations

from .copies import ITEMS, Copier
from .objects import emptied, fields_of, stand_in
from .redactor import MASK, DefaultRedactor, Redactor, Several

__all__ = [
    "ITEMS",
    "MASK",
    "Copier",
    "DefaultRedactor",
    "Redactor",
    "Several",
    "emptied",
    "fields_of",
    "stand_in",
]
