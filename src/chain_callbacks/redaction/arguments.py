"""Credentials in lists of strings and on command lines: after an option, or after their name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import starmap
from typing import Final

from .carriers import keys_of_items
from .expressions import secret_strings
from .placeholders import is_template
from .places import NamesSecret, Place, Span
from .services import hint
from .values import Values

# An option, with its value in the same line, as the next of a list, or in the next line of one.
_OPTION: Final = (
    r"(?<![\w-]-)-?(?P<option>[A-Za-z][\w-]{1,60}+)"
    r"(?:[ \t]++|[ \t]*+,[ \t]*+|[ \t]*+\r?\n[ \t]*+-[ \t]++)(?=[^\s-])"
)
# What is given a user's name and password as one; what is written as words.
_CURL: Final = (
    r"(?<!\S)(?:-u|--user|--proxy-user)[ =]{0,4}[\"']?[^\s:\"']{1,64}:(?P<value>[^\s\"']++)"
)
_NETRC: Final = (
    r"(?<!\S)machine\s{1,20}\S{1,64}\s{1,20}login\s{1,20}\S{1,64}\s{1,20}password\s{1,20}"
    r"(?P<value>\S++)"
)
_STRING: Final = (
    r"b?(?:\"[^\"\\\n]{0,2000}+(?:\\.[^\"\\\n]{0,2000}+){0,99}+\""
    r"|'[^'\\\n]{0,2000}+(?:\\.[^'\\\n]{0,2000}+){0,99}+'"
    r"|\\{1,3}\"[^\"\\\n]{0,2000}+\\{1,3}\")"
)
# A list, or a call, of nothing but strings.
_STRINGS: Final = rf"\s*+{_STRING}(?:\s*+,\s*+{_STRING}){{1,199}}+\s*+,?+\s*+[\])]"
_REQUIRED: Final = r"required\\{0,3}[\"']?\s{0,8}[:=]\s{0,8}\Z"


class _Patterns:
    def __init__(self) -> None:
        self.option = hint("-", _OPTION)[1]
        self.logins = (("curl", re.compile(_CURL)), ("machine ", re.compile(_NETRC)))
        self.lists = tuple(hint(mark, _STRINGS) for mark in "[(")
        self.string = re.compile(_STRING)
        self.required = re.compile(_REQUIRED)


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


def spans_in_commands(text: str, names_secret: NamesSecret, values: Values) -> Iterator[Span]:
    """Yield the values of options whose names are those of credentials."""
    for found in _patterns().option.finditer(text) if "-" in text else ():
        if names_secret(found["option"]):
            yield from values.spans(Place(found["option"], found.start(), found.end(), " "))
    for mark, pattern in _patterns().logins:
        for found in pattern.finditer(text) if mark in text else ():
            if not is_template(found["value"]):
                yield Span(*found.span("value"))


def spans_in_lists(text: str, names_secret: NamesSecret, values: Values) -> Iterator[Span]:
    """Yield the values in pairs, headers and arguments that are lists of strings."""
    for mark, pattern in _patterns().lists:
        if mark not in text:
            continue
        known: dict[str, Mapping[int, str]] = {}
        for found in pattern.finditer(text):
            start, written = found.start(), found[0]
            if written not in known:
                # Lists recur, as those of tags do.
                known[written] = _keys_in(written, names_secret)
            keys = known[written]
            if not keys or _patterns().required.search(text, max(0, start - 40), start):
                continue
            strings = [*_patterns().string.finditer(text, start + 1, found.end())]
            if mark == "(" and text[start - 1 : start].isalnum():
                # Those of a call may be anything.
                at, end = strings[min(keys)].start(), strings[max(keys)].end()
                yield from starmap(Span, secret_strings(text, at, end, names_secret))
                continue
            for place, key in keys.items():
                yield from values.spans(Place(key, start, strings[place].start(), " "))


def _keys_in(written: str, names_secret: NamesSecret) -> Mapping[int, str]:
    strings = _patterns().string.findall(written, 1)
    items = [each.lstrip("b\\").strip("\\\"'") for each in strings]
    return keys_of_items(items, len(items), names_secret)
