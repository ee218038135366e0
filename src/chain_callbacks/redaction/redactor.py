"""What of a payload is a secret: by the key it stands under, and by what a text looks like.

Every pattern is linear in time: a repeat without a bound is possessive and nothing that can fail
comes after it, or it cannot begin inside of what it has read; all others are bounded.

Most texts hold no secret, and to find that out should cost little. A pattern is tried at every
character, unless it begins with a known one, and then it costs a tenth; so none is run before its
hints, each of which begins with a character that all it looks for have in common and prose has
seldom, and is not run either where the text lacks that character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from ..attributes import once
from .keys import Phrase, Phrases, names_credential, names_usage, words_of

MASK: Final = "[redacted]"

_LONGEST_KEY: Final = 200

# Ordinary values of what only looks like a secret's key: a default, or the type in a signature.
_HARMLESS: Final = frozenset(
    ["none", "null", "true", "false", "str", "string", "int", "number", "bool", "bytes", "object"]
)

# What a service's keys may begin with, a joint, the least that comes after it, and the rest.
_SERVICES: Final = (
    ("sk csk tvly pplx xai glpat gldt glrt pypi GOCSPX", "-", r"[\w-]{12}", r"[\w-]*+"),
    ("xapp xox[a-z]", "-", r"[\w-]{12}", r"[\w-]*+"),
    ("gsk hf r8 npm gh[oprsu] ntn lin_api dop_v1", "_", "[A-Za-z0-9]{16}", "[A-Za-z0-9]*+"),
    ("shpat shpca shppa shpss whsec", "_", "[A-Za-z0-9]{16}", "[A-Za-z0-9]*+"),
    ("github_pat pcsk lsv2_[a-z]{2}", "_", r"\w{16}", r"\w*+"),
    ("[srp]k_live [srp]k_test", "_", r"\w{8}", r"\w*+"),
    ("", "A", "(?:KIA|SIA)[A-Z0-9]{12}", "[A-Z0-9]*+"),
    ("", "A", r"Iza[\w-]{24}", r"[\w-]*+"),
    ("ya29 hvs", ".", r"[\w-]{16}", r"[\w-]*+"),
    ("SG", ".", r"[\w-]{12}", r"[\w.-]*+"),
    ("hooks", ".", r"slack\.com/[\w/+-]", r"[\w/+-]*+"),
    ("discord discordapp", ".", r"com/api/webhooks/[\w/-]", r"[\w/-]*+"),
    ("ey", "J", r"[\w-]{8}", r"[\w-]{0,992}+\.[\w-]{4,}+[\w.-]*+"),
    ("", "dapi", "[0-9a-f]{24}", "[0-9a-f]*+"),
    ("[0-9]{8} [0-9]{9} [0-9]{10}", ":", r"AA[\w-]{30}", r"[\w-]*+"),
)
_ALONE: Final = "(?<![A-Za-z0-9])"
# No service's key, and nothing with the mark that ends a key, is a shorter name.
_SHORTEST: Final = 15

_BLOCK: Final = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
    r"[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z)"
)
# Without its first letter, a "b" in either case.
_SCHEME: Final = (
    r"(?<![\w-][bB])(?i:earer[ \t]{1,4}|asic[ \t]{1,4}(?=\S{0,80}?(?-i:[0-9=+/]|[a-z][A-Z])))"
)
_CREDENTIALS: Final = r"[\w.~+/=-]{6,}+"
# The user's part of a URL; a password may hold what should have been quoted.
_USER: Final = (
    r"""://(?:[^\s/?#"'<>]{1,256}|[^\s/?#"'<>:@]{0,64}:(?!\d{1,5}/)[^\s"'<>@]{1,128}+)@"""
)

_KEY: Final = (
    r"(?<![\w-])(?:(?P<key>[\w-]{1,100}+)[\\\"'\]]{0,4}+[ \t]{0,8}+(?::=|=>|==|[:=>])"
    r"|--(?P<option>[A-Za-z][\w-]{1,60}+)(?=[ \t]))[ \t]{0,8}+"
)
# A key and what is before it, backwards: what ends a key is rarer than what begins one.
_YEK: Final = r"[ \t]{0,8}+[\\\"'\]]{0,4}+([\w-]{1,100}+)(?![\w-])"
_OPTION: Final = r"-(?<![\w-]-)-(?P<option>[A-Za-z][\w-]{1,60}+)(?=[ \t])"
_VALUE: Final = (
    r"[bfruBFRU]{0,2}+(?:\"{3}[\s\S]*?(?:\"{3}|\Z)|'{3}[\s\S]*?(?:'{3}|\Z)"
    r"|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?)"
    r"|\\{1,4}+(?:\"[^\"]*+\"?|'[^']*+'?)"
    r"|(?i:(?:bearer|basic|digest|token|apikey)[ \t]{1,4})?"
    r"(?:[^\s\"'<,;&]++|,(?![\s\"'])|[;&](?![ \w.-]{1,60}=)|(?<=[(=])(?:\"[^\"]*+\"?|'[^']*+'?))++"
)
_BRACKET: Final = r"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?|[\[\]{}]"
_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_PREFIXED: Final = frozenset({"key", "keys", "string", "pass"})


class Redactor(Protocol):
    """Says what of a payload is a secret; an organisation's own has these two methods.

    Both are called from any thread, and often: they should be fast. What they are given has been
    cut to size. Whatever one of them raises withholds the payload.
    """

    def hides(self, key: str, /) -> bool:
        """Tell whether what stands under *key*, a mapping's or a field's name, is masked whole."""
        ...

    def redact(self, text: str, /) -> str:
        """Return *text* with the secrets in it masked."""
        ...


def hides_number(redactor: Redactor, key: str) -> bool:
    """Tell whether *redactor* masks a number under *key*, too.

    One that does not say so by a method of this name masks whatever stands under what it hides.
    """
    return bool(getattr(redactor, "hides_number", redactor.hides)(key))


class Several:
    """Masks what any of its redactors does."""

    def __init__(self, *redactors: Redactor) -> None:
        self._redactors = redactors

    def hides(self, key: str, /) -> bool:
        """Tell whether one of them hides the key."""
        return any(redactor.hides(key) for redactor in self._redactors)

    def hides_number(self, key: str, /) -> bool:
        """Tell whether one of them hides a number under the key."""
        return any(hides_number(redactor, key) for redactor in self._redactors)

    def redact(self, text: str, /) -> str:
        """Return *text* as it is once all have seen it, in their order."""
        for redactor in self._redactors:
            text = redactor.redact(text)
        return text


class DefaultRedactor:
    """Masks what stands under the usual keys, and keys and tokens of well-known services.

    A key is compared by its words, however they are joined: *extra_keys* ``("employee id",)``
    also hides ``employeeId`` and ``EMPLOYEE-ID``. Counts of tokens are never hidden.
    """

    def __init__(self, extra_keys: Iterable[str] = ()) -> None:
        self._extra_keys = tuple(extra_keys)
        self._answers = lru_cache(maxsize=2048)(self._hides)

    @once
    def _extra(self) -> Phrases:
        return Phrases(self._extra_keys)

    def hides(self, key: str, /) -> bool:
        """Tell whether *key* names a credential, or has one of the extra keys in it."""
        return self._answers(key[:_LONGEST_KEY])

    def hides_number(self, key: str, /) -> bool:
        """Tell whether *key* has one of the extra keys in it: a credential is a text."""
        return self._is_extra(words_of(key[:_LONGEST_KEY]))

    def _hides(self, key: str) -> bool:
        words = words_of(key)
        return names_credential(words) or self._is_extra(words)

    def _is_extra(self, words: Phrase) -> bool:
        return self._extra.is_in(words) and not names_usage(words)

    def redact(self, text: str, /) -> str:
        """Return *text* without private keys, services' tokens, and values of hidden keys."""
        # A name, as most keys of mappings are.
        if len(text) < _SHORTEST and text.isidentifier():
            return text[:]
        patterns = _patterns()
        for search in patterns.searches:
            for mark, hint in search.hints:
                if mark in text and hint.search(text):
                    text = search.pattern.sub(search.replacement, text)
                    break
        return self._without_values(text, patterns)

    def _without_values(self, text: str, patterns: _Patterns) -> str:
        kept: list[str] = []
        done = 0
        # A value is looked for only where its key is hidden: else it may hold another key.
        for start in self._suspects(text, patterns):
            found = patterns.key.match(text, start)
            if found is None or start < done:
                continue
            key = found["key"] or found["option"]
            if not (self.hides(key) or self._hides_with_the_word_before(text, found, key)):
                continue
            end = _end_of_value(text, found, key.lower(), patterns)
            value = text[found.end() : end]
            if value and not self._is_harmless(value, found, patterns):
                kept += (text[done : found.end()], _mask(text, found, patterns))
                done = end
        return "".join((*kept, text[done:]))

    def _is_harmless(self, value: str, found: re.Match[str], patterns: _Patterns) -> bool:
        key, value = found["key"], value.rstrip(")]}")
        # In JSON, and in what looks like it, a number has no quotes, and its key has some.
        if key and found[0][len(key)] in "\\\"'" and patterns.number.fullmatch(value):
            return not self.hides_number(key)
        return value.lower() in _HARMLESS

    def _suspects(self, text: str, patterns: _Patterns) -> Sequence[int]:
        """Return where the keys begin that are hidden, or might be, in their order."""
        starts: set[int] = set()
        backwards = ""
        for mark, pattern in patterns.keys_before:
            if mark in text:
                backwards = backwards or text[::-1]
                # A text names few keys, and often: each is looked at once.
                names = {
                    each for each in set(pattern.findall(backwards)) if self._may_hide(each[::-1])
                }
                if names:
                    found = pattern.finditer(backwards)
                    starts.update(len(text) - each.end() for each in found if each[1] in names)
        if "-" in text:
            options = patterns.option.finditer(text)
            starts.update(each.start() for each in options if self._may_hide(each["option"]))
        return sorted(starts)

    def _may_hide(self, key: str) -> bool:
        return self.hides(key) or key.lower() in _PREFIXED

    def _hides_with_the_word_before(self, text: str, found: re.Match[str], key: str) -> bool:
        if key.lower() not in _PREFIXED:
            return False
        before = text[max(0, found.start() - 30) : found.start()].split()
        return bool(before) and self.hides(f"{before[-1]} {key}")


def _mask(text: str, found: re.Match[str], patterns: _Patterns) -> str:
    # In its quotes, or in its key's, so that what was JSON still is.
    end_of_key = found.end("key" if found["key"] else "option")
    quote = patterns.quote.match(text, found.end()) or patterns.quote.match(text, end_of_key)
    return MASK if quote is None else f"{quote[0]}{MASK}{quote[0]}"


def _end_of_value(text: str, found: re.Match[str], key: str, patterns: _Patterns) -> int:
    start = found.end()
    first = text[start : start + 1]
    if key in _HEADERS and first not in ('"', "'", "\\"):
        quote = text[max(0, found.start() - 1) : found.start()]
        line = patterns.lines.get(quote, patterns.lines[""]).match(text, start)
        return start if line is None else line.end()
    if first in ("{", "["):
        depth = 0
        for bracket in patterns.bracket.finditer(text, start):
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(bracket[0], 0)
            if depth == 0:
                return bracket.end()
        return len(text)
    value = patterns.value.match(text, start)
    return start if value is None else value.end()


_Hint = tuple[str, re.Pattern[str]]
"""A pattern that finds something wherever another one does, and a mark that this begins with."""


class _Search(NamedTuple):
    pattern: re.Pattern[str]
    replacement: str
    hints: tuple[_Hint, ...]


class _Patterns:
    """The patterns, compiled when the first redacted view is made."""

    def __init__(self) -> None:
        self.searches: tuple[_Search, ...] = (
            _Search(re.compile(_BLOCK), MASK, (_hint("-", "(?<=-----)BEGIN"),)),
            _Search(re.compile(_service()), MASK, tuple(_service_hints())),
            _Search(
                re.compile(f"([bB]{_SCHEME}){_CREDENTIALS}"),
                rf"\1{MASK}",
                tuple(_hint(letter, _SCHEME + _CREDENTIALS) for letter in "bB"),
            ),
            _Search(re.compile(_USER), f"://{MASK}@", (("@", re.compile("://")),)),
        )
        self.keys_before = tuple(_hint(mark, _YEK) for mark in ":=>")
        self.option = re.compile(_OPTION)
        self.key = re.compile(_KEY)
        self.value = re.compile(_VALUE, re.DOTALL)
        self.number = re.compile(r"-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+")
        self.quote = re.compile(r"\\{0,4}+[\"']")
        self.bracket = re.compile(_BRACKET, re.DOTALL)
        self.lines = {quote: re.compile(rf"[^\r\n{quote}]*+") for quote in ("", '"', "'")}


def _hint(mark: str, rest: str) -> _Hint:
    return mark, re.compile(re.escape(mark) + rest)


def _service() -> str:
    keys = (
        f"(?:{'|'.join(heads.split())}){re.escape(joint)}{least}{rest}"
        for heads, joint, least, rest in _SERVICES
    )
    return f"{_ALONE}(?:{'|'.join(keys)})"


def _service_hints() -> Iterator[_Hint]:
    by_joint: dict[str, list[str]] = {}
    for heads, joint, least, _ in _SERVICES:
        mark = re.escape(joint)
        begun = "|".join(f"(?<={_ALONE}{head}{mark})" for head in heads.split() or [""])
        # Rules and tables have a joint in a row, and no head.
        joined = f"(?<=[A-Za-z0-9]{mark})" if heads else ""
        by_joint.setdefault(joint, []).append(f"{joined}(?={least})(?:{begun})")
    for joint, keys in by_joint.items():
        yield _hint(joint, f"(?:{'|'.join(keys)})")


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()
