"""Lines of a text: where one begins, and how far what is indented under a key goes.

A text may be a string of another one, as in JSON: then its line breaks are two characters.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_BREAK: Final = r"\r\n|[\r\n]|\\r\\n|\\n"
# What may stand before a key on its line: marks of a list, a quotation, a comment; an assignment.
_LEAD: Final = (
    r"[ \t]*+(?:(?:[-*+?>#]|//|export|set|setx|env|ENV|ARG|let|const|var|val|final|static|public"
    r"|private|local|declare|readonly)[ \t]{1,40}){0,4}+"
)
_FURTHEST: Final = 200


class _Patterns:
    def __init__(self) -> None:
        self.line_break = re.compile(_BREAK)
        self.lead = re.compile(_LEAD)
        self.quote = re.compile(r"(?<!\\)[\"']")


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


def column_of(text: str, start: int) -> int | None:
    """Return the column of the key that begins at *start*; None if it is not the first on its line.

    A quote before it, which may be the string that the line is in, is no part of the line.
    """
    earliest = max(0, start - _FURTHEST)
    begin = max(text.rfind("\n", earliest, start) + 1, text.rfind("\\n", earliest, start) + 2)
    if begin == 1 and earliest:
        return None
    lead = text[max(begin if begin > 1 else 0, earliest) : start]
    lead = lead.rstrip("\"'`*_")
    inside = max(lead.rfind('"'), lead.rfind("'"))
    lead = lead[inside + 1 :]
    return len(lead) if _patterns().lead.fullmatch(lead) else None


def breaks_at(text: str, at: int) -> bool:
    """Tell whether a line ends at *at*."""
    return at == len(text) or _patterns().line_break.match(text, at) is not None


def end_of_line(text: str, at: int, longest: int) -> int:
    """Return where the line ends that *at* is in, or the next *longest* characters do."""
    limit = min(len(text), at + longest)
    found = _patterns().line_break.search(text, at, limit)
    return limit if found is None else found.start()


def end_of_block(text: str, at: int, column: int, *, has_items: bool = False) -> int:
    """Return where the lines end that follow the one that ends at *at*, and are indented further.

    With *has_items* the items of a list may stand in the *column* itself. Without such lines it is
    *at*.
    """
    first = _patterns().line_break.match(text, at)
    if first is None:
        return at
    is_escaped = first[0].startswith("\\")
    end = at
    while first is not None:
        following = _patterns().line_break.search(text, first.end())
        stop = len(text) if following is None else following.start()
        # The string that the lines are in may end in one of them.
        quote = _patterns().quote.search(text, first.end(), stop) if is_escaped else None
        stop = stop if quote is None else quote.start()
        line = text[first.end() : stop]
        content = line.lstrip(" \t")
        indent = len(line) - len(content)
        is_inside = indent > column or (has_items and indent == column and content[:2] == "- ")
        if content.strip() and not is_inside:
            break
        end = stop if content.strip() else end
        first = _patterns().line_break.match(text, stop)
    return end
