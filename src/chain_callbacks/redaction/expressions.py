"""What a program puts after the name of a credential: a variable, a type, a call.

None of these is a secret. A string in one may be: `getenv("TOKEN") or "hunter2"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_NAME: Final = r"[A-Za-z_$][\w$]{0,80}+"
_PATH: Final = rf"[&*]{{0,2}}(?P<path>{_NAME}(?:(?:\.|::|->|\?\.){_NAME}){{0,20}}+)"
_KEYWORD: Final = r"(?:await|new|not|lambda|async|yield|typeof|func|function|fn|return)\b[ \t]*+"
_OPERATOR: Final = r"[ \t]*+(?:\b(?:or|and|if|else)\b|\|\||\?\?|&&|[+|?:])[ \t]++"
# `name: type = value`: what is before the value.
_ANNOTATION: Final = (
    r"&?(?:'\w{1,20} )?(?:mut )?[A-Za-z_][\w.]{0,60}+(?:\[[^\]\n]{0,80}\]|<[^>\n]{0,80}>)?+[?!]?"
    r"(?:[ \t]*+\|[ \t]*+[A-Za-z_][\w.]{0,60}+(?:\[[^\]\n]{0,80}\])?+){0,4}+[ \t]++=(?!=)[ \t]*+"
)
_PROGRAM: Final = (
    r"^[ \t]{0,40}+(?:(?:async )?def \w|class \w|import [\w{*\"]|from [\w.]{1,80} import|return\b"
    r"|(?:if|for|while|with|elif) [^\n]{1,200}:$|(?:if|for|while) ?\(|(?:const|let|var) \w"
    r"|(?:export )?(?:async )?function\b|(?:public|private|protected|static) \w|func |fn "
    r"|package \w|#include|using \w|@\w{1,40}\(|\}? ?else\b|(?:try|finally|do) ?[:{]$|except\b)"
    r"|;[ \t]{0,20}$|=> ?\{|\)[ \t]{0,20}\{$"
)
_STRING: Final = r"\"([^\"\\\n]*+(?:\\.[^\"\\\n]*+)*+)\"|'([^'\\\n]*+(?:\\.[^'\\\n]*+)*+)'"
_OPAQUE: Final = r"(?=[^\d\n]{0,200}?\d)(?=[^A-Za-z\n]{0,200}?[A-Za-z])[^\s/]{6,}+"
# What has letters and digits, too: a codec, an algorithm, a variable of the environment.
_KNOWN: Final = (
    r"(?i:utf|latin|iso|ascii|sha|md|aes|base|hs|rs|es|ps|rsa|ed|cp|oauth|v|ansi|x)[-_]?\d[\w-]*+"
    r"|[A-Z][A-Z0-9_]*+|%.*+"
)
_TYPE: Final = r"[A-Z][a-z]{1,40}(?:[A-Z][a-z]{0,40}){1,12}"
_ROOTS: Final = frozenset(
    """
    app args auth cfg client config context conf creds credentials crypto ctx data env environ event
    headers import kwargs match options opts os params process props req request res response
    result row secrets self session settings state sys this user values
    """.split()  # noqa: SIM905  One word a line would be a page.
)
_LONGEST_CALL: Final = 500


class _Patterns:
    def __init__(self) -> None:
        self.path = re.compile(_PATH)
        self.parts = re.compile(r"\.|::|->|\?\.")
        self.keyword = re.compile(_KEYWORD)
        self.operator = re.compile(_OPERATOR)
        self.annotation = re.compile(_ANNOTATION)
        self.program = re.compile(_PROGRAM, re.MULTILINE)
        self.string = re.compile(_STRING, re.DOTALL)
        self.opaque = re.compile(_OPAQUE)
        self.known = re.compile(_KNOWN)
        self.type = re.compile(_TYPE)
        self.escaped_token = re.compile(r"\\++[\"'][^\"']*+[\"']?|[\[\](){}]")
        self.token = re.compile(
            r"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?|[\[\](){}]", re.DOTALL
        )


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


def end_of_bracket(
    text: str, at: int, *, longest: int | None = None, is_escaped: bool = False
) -> int:
    """Return where the bracket is closed that is opened at *at*; the end of the text if nowhere.

    Brackets in strings do not count; *is_escaped* says that their quotes are. No more than the
    next *longest* characters are looked at.
    """
    opening, depth = text[at], 0
    limit = len(text) if longest is None else min(len(text), at + longest)
    closing = _CLOSING[opening]
    tokens = _patterns().escaped_token if is_escaped else _patterns().token
    for found in tokens.finditer(text, at, limit):
        if found[0] == opening:
            depth += 1
        elif found[0] == closing:
            depth -= 1
            if not depth:
                return found.end()
    return limit


def looks_like_a_program(text: str) -> bool:
    """Tell whether *text* has lines of source code in it."""
    return _patterns().program.search(text) is not None


def after_annotation(text: str, at: int) -> int:
    """Return where the value begins after a type and an equals sign; without these it is *at*."""
    found = _patterns().annotation.match(text, at)
    return at if found is None else found.end()


def secret_strings(
    text: str,
    at: int,
    end: int,
    names_secret: Callable[[str], bool],
    *,
    is_secret: bool = False,
) -> list[tuple[int, int]]:
    """Return where the strings of an expression stand that are secrets.

    A short one, an address, and the name of a credential are none; of the others, those that are
    opaque are, or all of them if *is_secret* says so.
    """
    patterns = _patterns()
    found = []
    for string in patterns.string.finditer(text, at, end):
        group = 1 if string[1] is not None else 2
        content = string[group]
        has_digit = any(map(str.isdigit, content))
        is_name = names_secret(content) and not has_digit
        is_known = "://" in content or patterns.known.fullmatch(content) is not None
        if len(content) < 3 or is_name or is_known:
            continue
        if is_secret or patterns.opaque.fullmatch(content):
            found.append(string.span(group))
    return found


class Expression:
    """What a program has at *at* of a text; *end* is *at* if that is no expression.

    *names_secret* tells whether a name is that of a credential, *is_in_program* whether a plain
    name is a variable there, *is_literal* that it is none, as in a shell, and *is_typed* whether a
    type may are there.
    """

    def __init__(
        self,
        text: str,
        at: int,
        *,
        names_secret: Callable[[str], bool],
        is_in_program: Callable[[], bool],
        is_literal: bool,
        is_typed: bool,
    ) -> None:
        self._text = text
        self._names_secret = names_secret
        self._is_in_program = is_in_program
        self._is_literal = is_literal
        self._is_typed = is_typed
        self.secrets: list[tuple[int, int]] = []
        self.end = self._read(at)

    def _read(self, at: int) -> int:
        end = self._operand(at)
        if end == at:
            return at
        for _ in range(5):
            operator = _patterns().operator.match(self._text, end)
            if operator is None:
                break
            following = self._operand(operator.end(), is_after_operator=True)
            if following == operator.end():
                break
            end = following
        return end

    def _operand(self, at: int, *, is_after_operator: bool = False) -> int:
        patterns, text = _patterns(), self._text
        keyword = patterns.keyword.match(text, at)
        if keyword is not None:
            return max(keyword.end(), self._operand(keyword.end(), is_after_operator=True))
        if is_after_operator and (string := patterns.string.match(text, at)):
            self.secrets += secret_strings(text, at, string.end(), self._names_secret)
            return string.end()
        found = patterns.path.match(text, at)
        if found is None:
            return at
        path, end = found["path"], found.end()
        following = text[end : end + 1]
        if following in ("(", "["):
            return self._calls(path, end)
        if following == "<" and path[0].isupper():
            return end
        # The end of a condition, not of a value that goes on.
        is_over = following == ":" and text[end + 1 : end + 2] in ("", " ", "\n")
        if following and following in "-+/%@#^~=$:\\?!" and not is_over:
            return at
        return end if is_after_operator or self._is_variable(path, end) else at

    def _calls(self, path: str, at: int) -> int:
        text = self._text
        makes_secret = any(each in path.lower() for each in ("secret", "password"))
        while text[at : at + 1] in ("(", "["):
            end = end_of_bracket(text, at, longest=_LONGEST_CALL)
            self.secrets += secret_strings(
                text, at, end, self._names_secret, is_secret=makes_secret
            )
            if text[end - 1] != _CLOSING[text[at]]:
                return end  # It is longer than what is looked at.
            at = end
            more = _patterns().path.match(text, at + 1) if text[at : at + 1] == "." else None
            at = at if more is None else more.end()
        return at

    def _is_variable(self, path: str, end: int) -> bool:
        parts = _patterns().parts.split(path)
        has_digit = any(map(str.isdigit, parts[-1]))
        if len(parts) > 1 and parts[0].lower() in _ROOTS:
            return True
        if has_digit or self._is_literal:
            return False
        if self._names_secret(parts[-1]) or self._is_in_program():
            return True
        if self._is_typed and _patterns().type.fullmatch(path):
            return True
        return _patterns().operator.match(self._text, end) is not None and len(parts) == 1
