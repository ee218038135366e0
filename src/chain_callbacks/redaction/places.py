"""Where in a text a value may be, what is masked there, and what names it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from .carriers import LONGEST_NAME, is_name_of_secret
from .placeholders import MASK

NamesSecret = Callable[[str], bool]
"""Tells whether a name is that of a credential."""

_NAME: Final = rf"\s*+\\{{0,3}}[\"']?([\w. -]{{1,{LONGEST_NAME}}})"


class Span(NamedTuple):
    """A part of a text, and what is put in its place."""

    start: int
    end: int
    mask: str = MASK


class Place(NamedTuple):
    """Where a value may be: its *key* begins at *start*, the value after *at*.

    *sign* is what joins them, and *quote* what the key ends with.
    """

    key: str
    start: int
    at: int
    sign: str
    quote: str = ""


@lru_cache(maxsize=1)
def _name() -> re.Pattern[str]:
    return re.compile(_NAME)


def name_at(text: str, at: int) -> str:
    """Return what may be a name at *at* of the text, quoted or not."""
    found = _name().match(text, at)
    return "" if found is None else found[1].strip()


def name_of(text: str, fields: Iterable[Place], names_secret: NamesSecret) -> str:
    """Return the name that one of the *fields* of a record gives to a credential; "" if none."""
    for field in fields:
        name = name_at(text, field.at)
        if is_name_of_secret(field.key, name, names_secret):
            return name
    return ""
