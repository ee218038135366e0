"""Text that is safe to show: written out where it would move a cursor, and set in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

LONGEST_NAME: Final = 200
"""How many characters are shown of a name: anybody may have written it, and it goes into logs."""


def shortened(name: str) -> str:
    """Return *name*, cut where it is too long to be shown."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def escaped(text: str) -> str:
    """Return *text* with newlines, terminal escapes and other invisible characters written out."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def one_line(text: str) -> str:
    """Return *text* as one line in which nothing moves the cursor or changes a colour."""
    return escaped(" ".join(text.split()))


def aligned(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table with a head line, its columns as wide as their widest cell.

    Some cells were written by whoever made a plugin: each is made one safe line.
    """
    body = [head, *([one_line(cell) for cell in line] for line in lines)]
    widths = [max(len(line[column]) for line in body) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in body
    )
