"""Secrets that are known by their form: keys of services, private keys, schemes, users in URLs.

Every pattern is linear in time: a repeat without a bound is possessive and nothing that can fail
comes after it, or it cannot begin inside of what it has read; all others are bounded.

Most texts hold no secret, and to find that out should cost little. A pattern is tried at every
character, unless it begins with a known one, and then it costs a tenth; so none is run before its
hints, each of which begins with a character that all it looks for have in common and prose has
seldom, and is not run either where the text lacks that character.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from .placeholders import MASK, is_template

# What a service's keys may begin with, a joint, the least that comes after it, and the rest.
_SERVICES: Final = (
    ("sk csk tvly pplx xai nvapi pypi GOCSPX PMAK NRAK CFPAT", "-", r"[\w-]{12}", r"[\w-]*+"),
    ("glpat gldt glrt glptt glft glcbt glsoat", "-", r"[\w-]{12}", r"[\w-]*+"),
    ("xapp xox[a-z] AGE-SECRET-KEY sq0[a-z]{3}", "-", r"[\w-]{12}", r"[\w-]*+"),
    ("gsk hf r8 npm gh[oprsu] ntn lin_api do[opr]_v1", "_", "[A-Za-z0-9]{16}", "[A-Za-z0-9]*+"),
    ("shpat shpca shppa shpss whsec jina sbp e2b", "_", "[A-Za-z0-9]{16}", "[A-Za-z0-9]*+"),
    ("github_pat pcsk lsv2_[a-z]{2} glsa glc figd", "_", r"[\w-]{16}", r"[\w-]*+"),
    ("dckr_pat sb_secret tgp_v1 sntry[su] rubygems", "_", r"[\w-]{16}", r"[\w-]*+"),
    ("[srp]k_live [srp]k_test", "_", r"\w{8}", r"\w*+"),
    ("", "A", "(?:KIA|SIA)[A-Z0-9]{12}", "[A-Z0-9]*+"),
    ("", "A", r"Iza[\w-]{24}", r"[\w-]*+"),
    ("ya29 hvs hvb", ".", r"[\w-]{16}", r"[\w-]*+"),
    ("SG", ".", r"[\w-]{12}", r"[\w.-]*+"),
    ("hooks", ".", r"slack\.com/[\w/+-]", r"[\w/+-]*+"),
    ("discord discordapp", ".", r"com/api/webhooks/[\w/-]", r"[\w/-]*+"),
    ("ey", "J", r"[\w-]{8}", r"[\w-]{0,992}+\.[\w-]{4,}+[\w.-]*+"),
    ("", "dapi", "[0-9a-f]{24}", "[0-9a-f]*+"),
    ("[0-9]{8} [0-9]{9} [0-9]{10}", ":AA", r"[\w-]{30}", r"[\w-]*+"),
)
_ALONE: Final = "(?<![A-Za-z0-9])"
# Words that are joined by hyphens are names, unless there is more than small letters in them.
_NO_NAME: Final = r"(?=[\w-]{0,100}?[A-Z0-9])"
SHORTEST: Final = 15
"""No service's key, and nothing with the mark that ends a key, is a shorter name."""

_BLOCK: Final = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
    r"[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z)"
)
# Without its first letter, a "b" in either case. Words may follow: not in small letters alone.
_SCHEME: Final = r"(?<![\w-][bB])(?i:earer|asic)[ \t]{1,4}(?=[^\sA-Z0-9=+_]{0,80}+[A-Z0-9=+_])"
_CREDENTIALS: Final = r"[\w.~+/=-]{6,}+"
# The user's part of a URL; a password may hold what should have been quoted.
_USER: Final = r"""://([^\s/?#"'<>]{1,256}|[^\s/?#"'<>:@]{0,64}:(?!\d{1,5}/)[^\s"'<>@]{1,128}+)@"""
_NOBODY: Final = frozenset(
    {"anonymous", "git", "hg", "name", "pass", "passwd", "password", "pwd", "root", "secret"}
    | {"svn", "token", "user", "username"}
)


def mask_known_forms(text: str) -> str:
    """Return *text* with everything masked that looks like a secret of a well-known kind."""
    for search in _searches():
        for mark, hint in search.hints:
            if mark in text and hint.search(text):
                text = search.pattern.sub(search.replacement, text)
                break
    return text


def _scheme(found: re.Match[str]) -> str:
    """Mask what may be a token, or is a user with a password; other words may are there."""
    scheme, value = found[1], found[2]
    if scheme[1] in "eE":
        letters = value.replace("_", "").replace("-", "")
        is_word = (letters.isalpha() and letters[1:].islower()) or value.startswith("RFC")
        return found[0] if is_word else f"{scheme}{MASK}"
    encoded = value.rstrip("=")
    if not encoded.isascii() or not encoded.replace("+", "").replace("/", "").isalnum():
        return found[0]
    decoded = b64decode(encoded[: len(encoded) // 4 * 4]).decode("latin-1")
    is_pair = ":" in decoded and decoded.isprintable()
    is_word = len(encoded) < 16 or encoded.isalpha() or encoded.islower()
    return f"{scheme}{MASK}" if is_pair or not is_word else found[0]


def _user(found: re.Match[str]) -> str:
    is_nobody = _NOBODY.issuperset(found[1].lower().split(":"))
    is_harmless = is_nobody or is_template(found[1], has_fields=True)
    return found[0] if is_harmless else f"://{MASK}@"


Hint = tuple[str, re.Pattern[str]]
"""A pattern that finds something wherever another one does, and a mark that this begins with."""


class _Search(NamedTuple):
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]
    hints: tuple[Hint, ...]


@lru_cache(maxsize=1)
def _searches() -> tuple[_Search, ...]:
    """Return the searches, compiled when the first redacted view is made."""
    return (
        _Search(re.compile(_BLOCK), MASK, (hint("-", "(?<=-----)BEGIN"),)),
        _Search(re.compile(_service()), MASK, tuple(_service_hints())),
        _Search(
            re.compile(f"([bB]{_SCHEME})({_CREDENTIALS})"),
            _scheme,
            tuple(hint(letter, _SCHEME + _CREDENTIALS) for letter in "bB"),
        ),
        _Search(re.compile(_USER), _user, (("@", re.compile("://")),)),
    )


def hint(mark: str, rest: str) -> Hint:
    """Return a hint whose pattern is the *mark*, as it is, and what comes after it."""
    return mark, re.compile(re.escape(mark) + rest)


def _service() -> str:
    keys = (
        f"(?:{'|'.join(heads.split())}){re.escape(joint)}{_NO_NAME * (joint == '-')}{least}{rest}"
        for heads, joint, least, rest in _SERVICES
    )
    return f"{_ALONE}(?:{'|'.join(keys)})"


def _service_hints() -> Iterator[Hint]:
    by_joint: dict[str, list[str]] = {}
    for heads, joint, least, _ in _SERVICES:
        mark = re.escape(joint)
        begun = "|".join(f"(?<={_ALONE}{head}{mark})" for head in heads.split() or [""])
        # Rules and tables have a joint in a row, and no head.
        joined = f"(?<=[A-Za-z0-9]{mark})" if heads else ""
        by_joint.setdefault(joint, []).append(f"{joined}(?={least})(?:{begun})")
    for joint, keys in by_joint.items():
        yield hint(joint, f"(?:{'|'.join(keys)})")
