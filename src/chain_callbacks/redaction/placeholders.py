"""What stands in the place of a secret, or says something about one, and is shown."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MASK: Final = "[redacted]"

# Of a template, a shell, a format, a document; and what hid the secret before.
_PLACEHOLDER: Final = (
    r"\$\{[^{}\"']{1,80}\}|\{\{[^{}\"']{1,80}\}\}|%\(\w{1,40}\)[sdr]|%[A-Z_]{2,40}%|%[sdr]"
    r"|\$[A-Z_][A-Z0-9_]{0,60}|\$[0-9]{1,3}|\*{2,100}|•{2,100}|[xX]{4,100}|\.{3}|…"
    r"|\[(?i:redacted|hidden|masked|filtered|removed|withheld|secret)\]|\{\}|\?"
    r"|<[A-Za-z][\w .-]{0,40}>|#[0-9A-Fa-f]{3,8}"
    r"|(?i:your|insert)[_-][A-Za-z_-]{1,40}|[A-Za-z_-]{1,40}[_-](?i:here)"
)
_FIELD: Final = (
    r"[$#]?\{[A-Za-z_][A-Za-z_.]{0,60}(?:![rsa])?(?::[^{}]{0,10})?\}|(?<!\S):[a-z_]{1,40}"
)
_SCHEME: Final = r"(?i:bearer|basic|digest|token|apikey|negotiate|ntlm)"
_LONGEST: Final = 200
# Ordinary values of what only looks like a credential's key: a switch, a state, a type, a method.
_HARMLESS: Final = frozenset(
    """
    any anonymous bool boolean byte bytes char dict disabled empty enabled expired false float
    hidden include included int integer invalid json list masked missing nil no none null nullptr
    number object off omit on optional present redacted required same-origin
    set str string text true undefined unknown unset valid varchar void yes
    apikey bearer basic digest jwt mtls negotiate ntlm oauth oauth2 openid saml sso tls
    argument field flag header option parameter value variable
    """.split()  # noqa: SIM905  One word a line would be a page.
)


class _Patterns:
    def __init__(self) -> None:
        # One of these is in each of them.
        self.mark = re.compile(r"[$%{<*\u2022\u2026?\[:_.#-]|[xX]{4}")
        self.place = re.compile(rf"{_PLACEHOLDER}|{_FIELD}")
        self.field = re.compile(r"\$?\{[^{}]{0,100}\}")
        self.rest = re.compile(rf"(?:{_SCHEME}|[\s:,;/@.'\"-])*+")


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


def is_template(text: str, *, has_fields: bool = False) -> bool:
    """Tell whether *text* is nothing but places where a program, or a reader, puts the secret in.

    With *has_fields* whatever stands in braces is such a place, as in an f-string.
    """
    patterns = _patterns()
    if len(text) > _LONGEST or patterns.mark.search(text) is None:
        return False
    left = patterns.field.sub("", text) if has_fields else text
    left = patterns.place.sub("", left)
    return left != text and patterns.rest.fullmatch(left) is not None


def is_harmless(text: str) -> bool:
    """Tell whether *text* is a value that a credential does not have."""
    return len(text) <= _LONGEST and text.strip(" \t.;,!?&*").lower() in _HARMLESS
