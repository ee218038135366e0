"""Credentials in texts, by what they stand under: in JSON, code, headers, URLs, command lines.

Few texts name one. So the keys of a text are looked at first, each different one once, and only
where one is hidden it is asked what stands after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from .arguments import spans_in_commands, spans_in_lists
from .carriers import LONGEST_NAME, is_name_of_secret, may_name, role_of
from .markup import spans_in_elements, spans_in_tags
from .places import Place, Span, name_at
from .records import spans_in_records
from .services import hint
from .values import Values

# What ends a key, or opens what is around it: quotes, an index, bold print.
_CLOSE: Final = r"[\\\"'\]*`]{0,6}+"
_KEY: Final = (
    rf"(?P<key>[\w-]{{1,100}}+)(?P<close>{_CLOSE})[ \t]{{0,8}}+"
    r"(?P<sign>[?!+]?:?={1,3}>?|\??:)"
)
# A key and what is before it, backwards: what ends a key is rarer than what begins one.
_YEK: Final = rf"{_CLOSE}([\w-]{{1,100}}+)(?![\w-])"
# The last words of credentials that are written as two.
_LAST_WORDS: Final = frozenset(
    {"code", "codes", "key", "keys", "pass", "phrase", "sessionid", "sid", "string", "url"}
)
# The letters that a line break, or a tab, has in the string of another text.
_ESCAPES: Final = ("n", "r", "t")
# What stands beside a token of a model.
_LOGPROB: Final = "logprob"
_FEW: Final = 8
"""So many keys are looked for one by one."""


class _Patterns:
    """The patterns, compiled when the first redacted view is made."""

    def __init__(self) -> None:
        self.before_colon = hint(":", rf"[ \t?]{{0,12}}+{_YEK}")
        self.before_equals = hint("=", rf"[ \t?!+:=]{{0,12}}+{_YEK}")
        self.key = re.compile(_KEY)
        self.quote = re.compile(r"\\{0,4}[\"'`]")
        self.inside = re.compile(r"[\w-]")
        self.word_before = re.compile(r"(?<![\w-])([A-Za-z]{1,30})[ \t.]\Z")


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


def mask_values(
    text: str, hides: Callable[[str], bool], hides_number: Callable[[str], bool]
) -> str:
    """Return *text* with the values masked that stand under what *hides* says."""
    kept: list[str] = []
    done = 0
    for span in sorted(_Finder(text, hides, hides_number).spans()):
        if span.start >= done:
            kept += (text[done : span.start], span.mask)
        # Of two that overlap no part of either is shown.
        done = max(done, span.end)
    return "".join((*kept, text[done:])) if kept else text[:]


def _sign(written: str) -> str:
    """Return what joins a key and its value: a colon, an equals sign, or "==" if it compares."""
    if written.endswith(":"):
        return ":"
    return "==" if written.startswith("!") or written.rstrip(">").count("=") > 1 else "="


class _Finder:
    """Finds what is to be masked in one text."""

    def __init__(
        self, text: str, hides: Callable[[str], bool], hides_number: Callable[[str], bool]
    ) -> None:
        self._text = text
        self._hides = hides
        self._values = Values(text, self._names_secret, hides_number)

    def _names_secret(self, name: str) -> bool:
        return len(name) <= LONGEST_NAME and self._hides(name)

    def spans(self) -> Iterator[Span]:
        """Yield each part of the text that is a credential; one may be inside of another one."""
        parts = self._text, self._names_secret, self._values
        attributes = self._keys_before(*_patterns().before_equals)
        keys = attributes | self._keys_before(*_patterns().before_colon)
        yield from self._assigned(self._places_of({key for key in keys if self._may_hide(key)}))
        yield from spans_in_commands(*parts)
        yield from spans_in_lists(*parts)
        yield from spans_in_elements(*parts)
        if "<" in self._text and self._has_named(attributes):
            yield from spans_in_tags(*parts)
        if any(role_of(key) == "value" for key in keys) and self._has_named(keys):
            yield from spans_in_records(*parts)

    def _has_named(self, keys: set[str]) -> bool:
        """Tell whether a credential is named under one of the *keys*."""
        places = self._places_of({key for key in keys if may_name(key)})
        return any(map(self._is_named, places))

    def _keys_before(self, mark: str, pattern: re.Pattern[str]) -> set[str]:
        """Return what stands before the *mark* in the text: few names, and often."""
        if mark not in self._text:
            return set()
        return {each[::-1] for each in set(pattern.findall(self._backwards))}

    @cached_property
    def _backwards(self) -> str:
        return self._text[::-1]

    def _places_of(self, keys: set[str]) -> Iterable[int]:
        """Return where *keys* stand, and may have a value, in their order."""
        starts: set[int] = set()
        if len(keys) <= _FEW:
            for key in keys:
                at = self._text.find(key)
                while at >= 0:
                    if not at or _patterns().inside.match(self._text, at - 1) is None:
                        starts.add(at)
                    at = self._text.find(key, at + len(key))
            return sorted(starts)
        backwards, length = {key[::-1] for key in keys}, len(self._text)
        for _, pattern in (_patterns().before_colon, _patterns().before_equals):
            found = pattern.finditer(self._backwards)
            starts.update(length - each.end() for each in found if each[1] in backwards)
        return sorted(starts)

    def _is_named(self, start: int) -> bool:
        found = _patterns().key.match(self._text, start)
        return found is not None and is_name_of_secret(
            found["key"], name_at(self._text, found.end()), self._names_secret
        )

    def _may_hide(self, key: str) -> bool:
        if self._hides(key):
            return True
        if key.lower() in _LAST_WORDS and (f" {key}" in self._text or f".{key}" in self._text):
            return True
        return key[0] in _ESCAPES and self._hides(key[1:]) and f"\\{key}" in self._text

    def _assigned(self, starts: Iterable[int]) -> Iterator[Span]:
        text, done = self._text, 0
        for start in starts:
            # In the string of another text its line break may be written before a key.
            is_after_break = text[start] in _ESCAPES and text[start - 1 : start] == "\\"
            found = _patterns().key.match(text, start + is_after_break)
            # A value is looked for only where its key is hidden: else it may hold another key.
            if found is None or start < done:
                continue
            key, sign = self._key_of(found), _sign(found["sign"])
            if not key or (sign == ":" and text[start - 1 : start] == ":"):
                continue
            if key == "token" and _LOGPROB in text[found.end() : found.end() + 300]:
                continue
            quote = _patterns().quote.match(found["close"])
            place = Place(key, found.start(), found.end(), sign, "" if quote is None else quote[0])
            for span in self._values.spans(place):
                yield span
                done = max(done, span.end)

    def _key_of(self, found: re.Match[str]) -> str:
        key = found["key"]
        if self._hides(key):
            return key
        before = self._text[max(0, found.start() - 32) : found.start()]
        word = _patterns().word_before.search(before)
        both = "" if word is None else f"{word[1]} {key}"
        return both if self._hides(both) else ""
