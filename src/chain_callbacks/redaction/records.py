"""Records in texts, one field of which names a credential and another one has it.

In JSON and in code a record stands in brackets; in YAML and TOML it is lines below each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from .carriers import role_of
from .places import NamesSecret, Place, Span, name_of
from .values import Values

_QUOTE: Final = r"\\{0,3}[\"']"
_FIELD: Final = (
    rf"(?P<quote>(?:{_QUOTE})?)(?P<key>[A-Za-z_][\w-]{{0,40}}+)(?P=quote)\s*+(?:=>|[:=](?!=))"
)
_TOKEN: Final = rf"{_FIELD}|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?|[{{}}()]"
_LINE: Final = (
    r"(?:^|(?<=\\n))(?P<lead>[ \t]*+)(?P<item>(?:-[ \t]++)?)(?P<quote>[\"']?)"
    r"(?P<key>[A-Za-z_][\w-]{0,40}+)(?P=quote)[ \t]*+[:=](?=[ \t])"
)


class _Patterns:
    def __init__(self) -> None:
        self.token = re.compile(_TOKEN, re.DOTALL)
        self.line = re.compile(_LINE, re.MULTILINE)
        self.apart = re.compile(r"\n[ \t]{0,40}(?:\n|\[|---)")


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


def spans_in_records(text: str, names_secret: NamesSecret, values: Values) -> Iterator[Span]:
    """Yield the values of records that name a credential."""
    records = [fields for fields in (*_in_brackets(text), *_in_lines(text)) if fields]
    done = 0
    for fields in sorted(records, key=lambda fields: fields[0].start):
        name = name_of(text, fields, names_secret)
        for field in fields if name else ():
            if role_of(field.key) == "value" and field.start >= done:
                for span in values.spans(field._replace(key=name)):
                    yield span
                    done = max(done, span.end)


def _in_brackets(text: str) -> Iterator[Sequence[Place]]:
    """Yield the fields of each pair of brackets, and of what is in none."""
    around: list[list[Place]] = []
    fields: list[Place] = []
    for found in _patterns().token.finditer(text):
        key = found["key"]
        if key is not None:
            sign = ":" if text[found.end() - 1] == ":" else "="
            fields.append(Place(key, found.start(), found.end(), sign, found["quote"]))
        elif found[0] in ("{", "("):
            around.append(fields)
            fields = []
        elif found[0] in ("}", ")") and around:
            yield fields
            fields = around.pop()
    yield from (*around[1:], fields) if around else ()  # The text was cut in them.


def _in_lines(text: str) -> Iterator[Sequence[Place]]:
    """Yield the fields that stand in lines below each other, and equally far to the right."""
    fields: list[Place] = []
    column = end = 0
    for found in _patterns().line.finditer(text):
        here = len(found["lead"]) + len(found["item"])
        if here > column and not found["item"] and fields:
            continue
        if found["item"] or here < column or _patterns().apart.search(text, end, found.start() + 1):
            yield fields
            fields = []
        sign = text[found.end() - 1]
        start = found.start("key") - len(found["quote"])
        fields.append(Place(found["key"], start, found.end(), sign, found["quote"]))
        column, end = here, found.end()
    yield fields
