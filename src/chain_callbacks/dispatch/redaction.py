"""What of a payload is a secret: by the key it stands under, and by what a text looks like.

Every pattern is linear in time: a repeat without a bound is possessive and nothing that can fail
comes after it, or it cannot begin inside of what it has read; all others are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Final, Protocol

MASK: Final = "[redacted]"

_LONGEST_KEY: Final = 200

_KEYS: Final = """
    password, passwords, passwd, pwd, passphrase, passcode, db pass, user pass, smtp pass
    secret, secrets, client secret, secret key, token, access token, access tokens
    auth token, auth tokens, bearer token, bearer tokens, refresh token, refresh tokens, id token
    api key, api keys, private key, private keys, access key, access keys, account key
    signing key, encryption key, master key, license key, bearer, jwt, otp, sig, signature
    auth, authorization, authentication, credential, credentials, cookie, cookies, session id
    webhook url, connection string
"""

# "token" beside one of these is a count or a limit: facts, which are never masked.
_COUNTING: Final = frozenset(
    [
        "budget",
        "cost",
        "count",
        "counts",
        "detail",
        "details",
        "length",
        "limit",
        "max",
        "min",
        "total",
        "type",
        "usage",
    ]
)
_FACTS: Final = frozenset(
    [
        "tokens",
        "inputtokens",
        "outputtokens",
        "totaltokens",
        "maxtokens",
        "prompttokens",
        "completiontokens",
        "reasoningtokens",
        "cachedtokens",
        "maxnewtokens",
        "maxoutputtokens",
        "maxcompletiontokens",
    ]
)

_WORD: Final = r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]++"

# Ordinary values of what only looks like a secret's key: a default, or the type in a signature.
_HARMLESS: Final = frozenset(
    ["none", "null", "true", "false", "str", "string", "int", "number", "bool", "bytes", "object"]
)

_SERVICES: Final = (
    r"(?:sk|csk|tvly|pplx|xai|glpat|gldt|glrt|pypi|GOCSPX|xapp|xox[a-z])-[\w-]{12,}+",
    r"(?:gsk|hf|r8|npm|gh[oprsu]|ntn|lin_api|dop_v1|shp(?:at|ca|pa|ss)|whsec)_[A-Za-z0-9]{16,}+",
    r"(?:github_pat|pcsk)_\w{16,}+",
    r"(?:sk|rk|pk)_(?:live|test)_\w{8,}+",
    r"lsv2_[a-z]{2}_\w{16,}+",
    r"(?:AKIA|ASIA)[A-Z0-9]{12,}+",
    r"AIza[\w-]{24,}+",
    r"ya29\.[\w-]{16,}+",
    r"SG\.[\w-]{12,}+[\w.-]*+",
    r"hvs\.[\w-]{16,}+",
    r"dapi[0-9a-f]{24,}+",
    r"[0-9]{8,10}:AA[\w-]{30,}+",
    r"eyJ[\w-]{8,1000}+\.[\w-]{4,}+[\w.-]*+",
    r"hooks\.slack\.com/[\w/+-]++",
    r"discord(?:app)?\.com/api/webhooks/[\w/-]++",
)

_BLOCK: Final = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
    r"[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z)"
)
_SCHEME: Final = (
    r"(?i:(?<![\w-])(bearer[ \t]{1,4}|basic[ \t]{1,4}(?=\S{0,80}?(?-i:[0-9=+/]|[a-z][A-Z]))))"
    r"[\w.~+/=-]{6,}+"
)
# The user's part of a URL; a password may hold what should have been quoted.
_USER: Final = (
    r"""(?<=://)(?:[^\s/?#"'<>]{1,256}|[^\s/?#"'<>:@]{0,64}:(?!\d{1,5}/)[^\s"'<>@]{1,128}+)@"""
)

_KEY: Final = (
    r"(?<![\w-])(?:(?P<key>[\w-]{1,100}+)[\\\"'\]]{0,4}+[ \t]{0,8}+(?::=|=>|==|[:=>])"
    r"|--(?P<option>[A-Za-z][\w-]{1,60}+)(?=[ \t]))[ \t]{0,8}+"
)
_VALUE: Final = (
    r"[bfruBFRU]{0,2}+(?:\"{3}[\s\S]*?(?:\"{3}|\Z)|'{3}[\s\S]*?(?:'{3}|\Z)"
    r"|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?)"
    r"|\\{1,4}+(?:\"[^\"]*+\"?|'[^']*+'?)"
    r"|(?i:(?:bearer|basic|digest|token|apikey)[ \t]{1,4})?"
    r"(?:[^\s\"'<,;&]++|,(?![\s\"'])|[;&](?![ \w.-]{1,60}=)|(?<=[(=])(?:\"[^\"]*+\"?|'[^']*+'?))++"
)
_BRACKET: Final = r"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?|[\[\]{}]"
_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_PREFIXED: Final = frozenset({"key", "keys", "id", "string", "pass"})


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


class Several:
    """Masks what any of its redactors does."""

    def __init__(self, *redactors: Redactor) -> None:
        self._redactors = redactors

    def hides(self, key: str, /) -> bool:
        """Tell whether one of them hides the key."""
        return any(redactor.hides(key) for redactor in self._redactors)

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

    @cached_property
    def _phrases(self) -> frozenset[tuple[str, ...]]:
        keys = (*_KEYS.replace("\n", ",").split(","), *self._extra_keys)
        return frozenset(filter(None, map(_words, keys)))

    @cached_property
    def _joined(self) -> frozenset[str]:
        return frozenset("".join(phrase) for phrase in self._phrases)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._phrases))

    def hides(self, key: str, /) -> bool:
        """Tell whether a word, or words in a row, of *key* are among the keys."""
        return self._answers(key[:_LONGEST_KEY])

    def _hides(self, key: str) -> bool:
        words = _words(key)
        if "".join(words) in _FACTS:
            return False
        if not _COUNTING.isdisjoint(words):
            words = tuple(word for word in words if word != "token")
        return not self._joined.isdisjoint(words) or any(
            words[start : start + length] in self._phrases
            for length in range(2, self._longest + 1)
            for start in range(len(words) - length + 1)
        )

    def redact(self, text: str, /) -> str:
        """Return *text* without private keys, services' tokens, and values of hidden keys."""
        patterns = _patterns()
        if "-----BEGIN" in text:
            text = patterns.block.sub(MASK, text)
        text = patterns.services.sub(MASK, text)
        text = patterns.scheme.sub(rf"\1{MASK}", text)
        if "://" in text and "@" in text:
            text = patterns.user.sub(f"{MASK}@", text)
        return self._without_values(text, patterns)

    def _without_values(self, text: str, patterns: _Patterns) -> str:
        kept: list[str] = []
        done = 0
        # A value is looked for only where its key is hidden: else it may hold another key.
        for found in patterns.key.finditer(text):
            if found.start() < done:
                continue
            key = found["key"] or found["option"]
            if not (self.hides(key) or self._hides_with_the_word_before(text, found, key)):
                continue
            end = _end_of_value(text, found, key.lower(), patterns)
            if text[found.end() : end].lower() not in _HARMLESS and end > found.end():
                kept += (text[done : found.end()], _mask(text, found, patterns))
                done = end
        return "".join((*kept, text[done:]))

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


@lru_cache(maxsize=2048)
def _words(key: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _patterns().word.findall(key))


class _Patterns:
    """The patterns, compiled when the first redacted view is made."""

    def __init__(self) -> None:
        self.word = re.compile(_WORD)
        self.block = re.compile(_BLOCK)
        self.services = re.compile(rf"(?<![A-Za-z0-9])(?:{_any(_SERVICES)})")
        self.scheme = re.compile(_SCHEME)
        self.user = re.compile(_USER)
        self.key = re.compile(_KEY)
        self.value = re.compile(_VALUE, re.DOTALL)
        self.quote = re.compile(r"\\{0,4}+[\"']")
        self.bracket = re.compile(_BRACKET, re.DOTALL)
        self.lines = {quote: re.compile(rf"[^\r\n{quote}]*+") for quote in ("", '"', "'")}


def _any(patterns: Sequence[str]) -> str:
    return "|".join(patterns)


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()
