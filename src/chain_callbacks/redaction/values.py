"""Where the value of a key in a text ends, and whether it can be a credential.

Source code, schemas and prose put other things after the name of a credential. What cannot be
told apart from one is masked.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable
from functools import cached_property, lru_cache
from json import loads
from typing import Any, Final

from .blocks import breaks_at, column_of, end_of_block, end_of_line
from .carriers import SCHEMA_VALUES, is_schema
from .expressions import (
    Expression,
    after_annotation,
    end_of_bracket,
    looks_like_a_program,
    secret_strings,
)
from .keys import words_of
from .placeholders import MASK, is_harmless, is_template
from .places import NamesSecret, Place, Span

# A string with its prefix. Where a text is cut it may have no end.
_LITERAL: Final = (
    r"[bfruBFRU]{0,2}+(?:\"{3}[\s\S]*?(?:\"{3}|\Z)|'{3}[\s\S]*?(?:'{3}|\Z)"
    r"|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?|`[^`]*+`?)"
)
# Between two of them that are one.
_JOINT: Final = r"[ \t]*+(?:[+.][ \t]*+(?:\\?\r?\n[ \t]*+)?|\\\r?\n[ \t]*+(?:[+.][ \t]*+)?)?"
_SCHEME: Final = r"(?i:bearer|basic|digest|token|apikey|negotiate|ntlm)"
# Up to what ends a value without quotes: in a list, a query, a call, markup, another string.
_BARE: Final = (
    rf"(?:{_SCHEME}[ \t]{{1,4}})?"
    r"(?:[^\s\"'<,;&`\\]++|,(?![\s\"'])|[;&](?![ \w.-]{1,60}=)|\\(?![nrt\"'\\]))++"
)
_WORD: Final = r"[ \t]([^\s\"'<,;&`\\=:]++)(?![=:])"
_NUMBER: Final = r"0x[0-9A-Fa-f]{1,8}|-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+"
# Before a value: bold print, a closing tag, a tag or an anchor of YAML.
_OPENING: Final = (
    r"(?:\*\*[ \t]++|</\w{1,10}>[ \t]*+|![\w!/.-]{0,40}[ \t]++|&\w{1,40}[ \t]++){0,3}+"
)
_BLOCK: Final = r"[|>][+-]?[1-9]?[+-]?[ \t]*+(?:#[^\n\\]*+)?"
_FILE: Final = r"(?:~|\.{1,2}|[A-Za-z]:)?[\\/][\w./\\ -]{0,200}\.[a-z]{2,5}"
# In YAML, of a schema: a type, or a reference; and the values that one gives.
_TYPED: Final = (
    r"(?:^|\\n)[ \t]*+(?:\$ref:"
    r"|type:[ \t]*+[\"'\[]?(?:string|number|integer|boolean|array|object|http|apiKey|oauth2)\b)"
)
_GIVEN: Final = rf"\b(?:{'|'.join(sorted(SCHEMA_VALUES))})[\"']?[ \t]*+:"

# What a value may begin with, by which it is known what it can be.
_OPENED_BY: Final = frozenset("*<!&")
_BREAKS: Final = frozenset("\r\n\\")
_INDICATORS: Final = frozenset("|>")
_QUOTED_BY: Final = frozenset("\"'`\\bfruBFRU")
_BRACKETS: Final = frozenset("{[(")
_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_PASSWORDS: Final = ("mnemonic", "pass", "phrase", "pwd")
_FUNCTION_WORDS: Final = frozenset(
    """
    a an and any are as at be been before both but by can could do does each either else enter
    every for from has have how if in into is it its least may must no not of on only or other
    please see shall should so such than that the their them then there these they this those to
    used user using via was we were what when where whether which who will with would you your
    """.split()  # noqa: SIM905  One word a line would be a page.
)
_LONGEST_LINE: Final = 200
_JUDGED: Final = 2_000
"""Characters of what stands in brackets, or is indented, that are looked at to tell what it is."""


class _Patterns:
    def __init__(self) -> None:
        self.literal = re.compile(_LITERAL, re.DOTALL)
        self.escaped = re.compile(r"\\{1,4}[\"']")
        self.joint = re.compile(_JOINT)
        self.bare = re.compile(_BARE)
        self.word = re.compile(_WORD)
        self.number = re.compile(_NUMBER)
        self.space = re.compile(r"[ \t]*+")
        self.any_space = re.compile(r"(?:\s|\\[nrt]){0,200}+")
        self.opening = re.compile(_OPENING)
        self.block = re.compile(_BLOCK)
        self.scheme = re.compile(rf"{_SCHEME}[ \t]++")
        self.file = re.compile(_FILE)
        self.typed = re.compile(_TYPED, re.MULTILINE)
        self.given = re.compile(_GIVEN)
        # A variable of the environment, or a header.
        self.name = re.compile(
            r"[A-Z][A-Z0-9]{0,40}(?:_[A-Z0-9]{1,40}){1,12}|[A-Z][A-Za-z]{0,40}(?:-[A-Z][A-Za-z]{0,40}){1,12}"
        )
        # Of a pattern, in a raw string.
        self.pattern = re.compile(r"[\\\[^(|]")
        self.comprehension = re.compile(r"\bfor\b[^\n]{1,200}\bin\b")
        # An apostrophe is none.
        self.quotes = {
            '"': re.compile(r"(?<!\\)\""),
            "'": re.compile(r"(?<![\\\w])'|(?<!\\)'(?!\w)"),
            "`": re.compile("`"),
        }
        self.lines = {
            quote: re.compile(rf"(?:[^\r\n\\{quote}]++|\\(?![nr\\{quote}]))*+")
            for quote in ("", '"', "'", "`")
        }


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


class Values:
    """Finds the credentials at places of one text; *names_secret* says what a name hides."""

    def __init__(
        self,
        text: str,
        names_secret: NamesSecret,
        hides_number: Callable[[str], bool],
    ) -> None:
        self._text = text
        self._names_secret = names_secret
        self._hides_number = hides_number

    def spans(self, place: Place) -> list[Span]:
        """Return what is to be masked of the value at *place*: nothing if it is no credential."""
        at = self._beginning(place)
        first = self._text[at : at + 1]
        if not first:
            return []
        if first in _BREAKS and breaks_at(self._text, at):
            return self._indented(place, at)
        if first in _INDICATORS:
            block = _patterns().block.match(self._text, at)
            if block is not None and breaks_at(self._text, block.end()):
                return self._block(place, block.end())
        literal = self.literal(at)
        if literal is not None:
            quote = literal.mask[-1]
            is_end = place.quote[-1:] != quote and self._is_in_string(place, quote)
            return [] if is_end else self._strings(place, literal)
        if first in _BRACKETS:
            return self._bracket(place, at)
        if place.key.lower() in _HEADERS:
            return self._header(place, at)
        return self._bare(place, at)

    def _beginning(self, place: Place) -> int:
        """Return where the value begins after what may stand before it."""
        patterns, text = _patterns(), self._text
        # A quoted key is one of JSON, which may go on in the next line.
        at = _after(patterns.any_space if place.quote else patterns.space, text, place.at)
        if place.sign == ":":
            if text.startswith("# ", at):
                return end_of_line(text, at, _JUDGED)
            at = after_annotation(text, at)
        return _after(patterns.opening, text, at) if text[at : at + 1] in _OPENED_BY else at

    def literal(self, at: int) -> Span | None:
        """Return the string that begins at *at*, with its mask in the same quotes."""
        text, patterns = self._text, _patterns()
        if text[at : at + 1] not in _QUOTED_BY:
            return None
        escaped = patterns.escaped.match(text, at)
        if escaped is not None:
            end = text.find(escaped[0], escaped.end())
            while end > 0 and text[end - 1] == "\\":
                end = text.find(escaped[0], end + 1)
            end = len(text) if end < 0 else end + len(escaped[0])
            return Span(at, end, f"{escaped[0]}{MASK}{escaped[0]}")
        found = patterns.literal.match(text, at)
        if found is None:
            return None
        quote = found[0].lstrip("bfruBFRU")[0]
        return Span(at, found.end(), f"{quote}{MASK}{quote}")

    def may_be_credential(self, content: str) -> bool:
        """Tell whether *content*, of an element of XML under a hidden name, is one."""
        content = content.strip()
        is_number = len(content) < 4 and content.isdigit()
        if not content or is_number or is_harmless(content) or is_template(content):
            return False
        return not (self._is_program and ("{" in content or "<" in content))

    def _strings(self, place: Place, first: Span) -> list[Span]:
        end = first.end
        # One string may be written as several; arguments of a command line are several.
        while place.sign != " ":
            more = self.literal(_after(_patterns().joint, self._text, end))
            if more is None or more.mask != first.mask:
                break
            end = more.end
        written = self._text[first.start : end]
        prefix = written[: len(written) - len(written.lstrip("bfruBFRU"))]
        content = written[len(prefix) :].strip("\\\"'`")
        has_fields = "f" in prefix.lower()
        has_digit = any(map(str.isdigit, content))
        is_text_of_program = not has_digit and (
            place.sign == "==" or (has_fields and "{" in content)
        )
        is_pattern = "r" in prefix.lower() and _patterns().pattern.search(content) is not None
        if (
            is_text_of_program
            or is_pattern
            or self._is_shown(place, content, has_fields=has_fields)
        ):
            return []
        return [Span(first.start, end, first.mask)]

    def _is_shown(self, place: Place, content: str, *, has_fields: bool) -> bool:
        """Tell whether the *content* of a string is no secret, but a place for one, or a name."""
        if is_harmless(content) or is_template(content, has_fields=has_fields):
            return True
        if not any(map(str.isalnum, content)) or (len(content) < 4 and content.isdigit()):
            return True
        is_name = _patterns().name.fullmatch(content) is not None and self._names_secret(content)
        return is_name or _says_its_key(content, place)

    def _bracket(self, place: Place, at: int) -> list[Span]:
        end = end_of_bracket(self._text, at, is_escaped=place.quote.startswith("\\"))
        content = self._text[at:end]
        if len(content) <= _JUDGED:
            if not content.strip("{}[]() ") or is_template(content):
                return []
            if content[0] == "{" and is_schema(_read(content)):
                return self._given(at, end)
            is_code = content[0] == "(" or _patterns().comprehension.search(content)
            if is_code or self._is_in_program(place):
                secrets = secret_strings(self._text, at, end, self._names_secret)
                return [Span(*each) for each in secrets]
        return [Span(at, end, f"{place.quote}{MASK}{place.quote}")]

    def _given(self, at: int, end: int) -> list[Span]:
        """Return the values that a schema gives, as an example or by default."""
        spans = []
        for found in _patterns().given.finditer(self._text, at, end):
            value = _after(_patterns().space, self._text, found.end())
            literal = self.literal(value)
            if literal is not None and literal.end - literal.start > 2:
                spans.append(literal)
            elif self._text[value : value + 1] in ("[", "{"):
                stop = end_of_bracket(self._text, value)
                if not is_template(self._text[value:stop]):
                    spans.append(Span(value, stop, f'"{MASK}"'))
            elif literal is None and (bare := _patterns().bare.match(self._text, value)):
                word = _without_frame(bare[0])
                if not is_harmless(word) and not _patterns().number.fullmatch(word):
                    spans.append(Span(value, value + len(word)))
        return spans

    def _header(self, place: Place, at: int) -> list[Span]:
        quote = self._text[place.start - 1 : place.start] if place.start else ""
        line = _patterns().lines.get(quote, _patterns().lines[""])
        end = _after(line, self._text, at)
        value = _after(_patterns().scheme, self._text, at)
        if end - at > _JUDGED:
            return [Span(at, end)]
        if value == at and self._is_no_credential(place, self._text[at:end].strip(), at):
            return []
        if is_template(self._text[value:end]):
            return []
        expression = self._expression(place, value)
        if expression.end > value and self._text[expression.end : expression.end + 1] != "=":
            return [Span(*each) for each in expression.secrets]
        return [Span(at, self._continued(place, end))]

    def _bare(self, place: Place, at: int) -> list[Span]:
        bare = _patterns().bare
        found = bare.match(self._text, at, at + _JUDGED)
        if found is not None and found.end() == at + _JUDGED:
            return [Span(at, _after(bare, self._text, at))]
        word = "" if found is None else _without_frame(found[0])
        if self._is_no_credential(place, word, at):
            return []
        expression = self._expression(place, at)
        if expression.end > at:
            return [Span(*each) for each in expression.secrets]
        return [Span(at, self._end_of_words(place, at, word))]

    def _expression(self, place: Place, at: int) -> Expression:
        return Expression(
            self._text,
            at,
            names_secret=self._names_secret,
            is_in_program=lambda: self._is_in_program(place),
            is_literal=place.key.isupper() and self._text[at - 1] == "=",
            is_typed=place.sign == ":",
        )

    def _is_no_credential(self, place: Place, word: str, at: int) -> bool:
        if not word or is_harmless(word) or is_template(word) or _says_its_key(word, place):
            return True
        if word == "\\" or word.startswith((":", "//", ")", "]", "}")):
            return True
        if _patterns().number.fullmatch(word):
            # In JSON it is a number; elsewhere a short one is.
            is_plain = place.quote or len(word) < 4 or "." in word
            return bool(is_plain) and not self._hides_number(place.key)
        if "://" in word and words_of(place.key)[-1] not in ("url", "uri", "string"):
            return True
        return _patterns().file.fullmatch(word) is not None or self._is_prose(place, at)

    def _is_prose(self, place: Place, at: int) -> bool:
        """Tell whether words of a sentence follow, and not those of a passphrase."""
        if place.sign == "=" and self._text[place.at - 2 : place.at - 1] != " ":
            return False
        line = self._text[at : end_of_line(self._text, at, _LONGEST_LINE)]
        words = [word.strip(".,;:!?()\"'*_`") for word in line.split()[:12]]
        if not words or line.split()[0].endswith(":"):
            return False
        if not words[0].replace("-", "").replace("'", "").isalpha():
            return False
        if words[0].lower() in _FUNCTION_WORDS:
            return True
        if any(word.lower() in _FUNCTION_WORDS for word in words[1:8]):
            return not _is_mnemonic(words)
        is_password = any(word.startswith(_PASSWORDS) for word in words_of(place.key))
        return not is_password and len(words) > 1 and words[1].isalpha()

    def _is_in_program(self, place: Place) -> bool:
        if self._is_program:
            return True
        before = self._text[max(0, place.start - 200) : place.start]
        line = before[before.rfind("\n") + 1 :]
        return any(line.count(opening) > line.count(closing) for opening, closing in ("()", "[]"))

    def _is_in_string(self, place: Place, quote: str) -> bool:
        """Tell whether the key stands in a string that *quote* ends."""
        before = self._text[max(0, place.start - 200) : place.start]
        line = before[before.rfind("\n") + 1 :]
        return len(_patterns().quotes.get(quote, _patterns().quotes["'"]).findall(line)) % 2 == 1

    @cached_property
    def _is_program(self) -> bool:
        return looks_like_a_program(self._text)

    def _end_of_words(self, place: Place, at: int, word: str) -> int:
        """Return where a value of several words ends: a passphrase, or a key in groups."""
        end = at + len(word)
        if place.sign != ":":
            return end
        while (following := _patterns().word.match(self._text, end)) is not None:
            is_alike = following[1].isalpha() if word.isalpha() else not following[1].isalpha()
            if not is_alike or following[1].startswith("-"):
                break
            end = following.end()
        return self._continued(place, end)

    def _continued(self, place: Place, end: int) -> int:
        """Return where the lines end in which a value of YAML, or of a header, goes on."""
        column = column_of(self._text, place.start)
        if place.sign != ":" or column is None or not breaks_at(self._text, end):
            return end
        stop = end_of_block(self._text, end, column)
        return end if self._is_program or ":" in self._text[end:stop] else stop

    def _indented(self, place: Place, at: int) -> list[Span]:
        """Return what is indented under a key of YAML."""
        column = column_of(self._text, place.start)
        if place.sign != ":" or column is None:
            return []
        end = end_of_block(self._text, at, column, has_items=True)
        start = _after(_patterns().any_space, self._text, at)
        if end == at:
            return []
        if end - at <= _JUDGED:
            if _patterns().typed.search(self._text, at, end):
                return self._given(at, end)
            if self._is_program or self._is_prose(place, start):
                return []
        return [Span(start, end)]

    def _block(self, place: Place, at: int) -> list[Span]:
        """Return the lines of a block of YAML, whose indicator ends at *at*."""
        end = end_of_block(self._text, at, column_of(self._text, place.start) or 0)
        start = _after(_patterns().any_space, self._text, at)
        return (
            [Span(start, max(end, end_of_line(self._text, start, len(self._text))))]
            if start < len(self._text)
            else []
        )


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _without_frame(word: str) -> str:
    """Return *word* without the brackets at its end that are opened before it."""
    while word and word[-1] in ")]};.":
        if word[-1] in ";.":
            word = word[:-1]
            continue
        opening = {")": "(", "]": "[", "}": "{"}[word[-1]]
        if word.count(opening) >= word.count(word[-1]):
            break
        word = word[:-1]
    return word


def _says_its_key(value: str, place: Place) -> bool:
    """Tell whether *value* is a name too, and has no words but the key's."""
    if len(value) > _LONGEST_LINE or not value.replace("_", "").replace("-", "").isalnum():
        return False
    words = words_of(value)
    is_same = not any(map(str.isdigit, value)) or value.lower() in place.key.lower()
    return is_same and bool(words) and set(words) <= set(words_of(place.key))


def _is_mnemonic(words: list[str]) -> bool:
    """Tell whether *words* are those of a wallet's seed: twelve or more, and no sentence."""
    return len(words) >= 12 and all(word.isalpha() and word.islower() for word in words)


def _read(content: str) -> Any:
    """Return what JSON, or a literal of Python, stands for; None if it is neither."""
    try:
        return loads(content.replace('\\"', '"'))
    except (ValueError, RecursionError):
        pass
    try:
        return literal_eval(content)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
