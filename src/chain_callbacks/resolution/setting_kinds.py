"""The kinds of settings of the framework: how the value of each is read.

Each function takes the text of a variable, or a value of the file, and where it stands. It raises
``ValueError``, and does not quote the value: that may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from .names import Ref, parse_name


class Named(NamedTuple):
    """An entry of the handlers of every run, and where it stands; it need not be a name."""

    text: str
    source: str
    position: int


def _entries(raw: Any) -> Iterator[tuple[int, str]]:
    """Yield the entries of a list that are not blank, each with its position."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError("it must be a list of texts")
    for position, part in enumerate(parts, start=1):
        if part.strip():
            yield position, part


def named(raw: Any, source: str) -> tuple[Named, ...]:
    """Return the entries of a list, each with where it stands, good or bad."""
    if isinstance(raw, str):
        return tuple(Named(text, source, position) for position, text in _entries(raw))
    return tuple(Named(text, f"{source}, entry {n}", n) for n, text in _entries(raw))


def refs(raw: Any, source: str) -> tuple[Ref, ...]:
    """Return the handlers that a list names; one that is no name makes the whole list wrong."""
    return tuple(parse_name(text, source=source, position=n) for n, text in _entries(raw))


def texts(raw: Any, _source: str) -> tuple[str, ...]:
    """Return the entries of a list as they are."""
    return tuple(text.strip() for _, text in _entries(raw))


_SWITCH: Final = {
    **dict.fromkeys(("1", "true", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("0", "false", "no", "off", "f", "n"), False),
}


def switch(raw: Any, _source: str) -> bool:
    """Return whether something is on."""
    found = _SWITCH.get(str(raw).strip().lower()) if isinstance(raw, str | int) else None
    if found is None:
        raise ValueError("it must be 1 or 0 (true or false, yes or no, on or off)")
    return found


def seconds(raw: Any, _source: str) -> float:
    """Return a number of seconds, which may be infinite."""
    try:
        number = float(raw) if isinstance(raw, str | int | float) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if isinstance(raw, bool) or not number >= 0:  # So that NaN is refused.
        raise ValueError("it must be a number of seconds, 0 or more")
    return number


def absolute_path(raw: Any, _source: str) -> Path:
    """Return an absolute path; nothing need be there."""
    path = Path(raw.strip() if isinstance(raw, str) else "")
    if not path.is_absolute():
        raise ValueError(
            "it must be an absolute path: whoever can write to the working directory could "
            "redirect what handlers send"
        )
    return path


def folder(raw: Any, source: str) -> Path:
    """Return the absolute path of a folder that exists."""
    path = absolute_path(raw, source)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):  # It may not be looked at, or holds what no path may.
        is_folder = False
    if not is_folder:
        raise ValueError("it must be a folder that exists")
    return path


def inline(raw: Any, _source: str) -> str:
    """Return the only word that the setting may have."""
    if raw != "inline":
        raise ValueError("it must be 'inline'; what queues a handler is its own setting DELIVERY")
    return "inline"


def attribute(raw: Any, _source: str) -> str:
    """Return the path of an object in a module, as text: nothing is imported."""
    if not (isinstance(raw, str) and all(raw.strip().partition(":"))):
        raise ValueError("it must be the path of an object, module:name")
    return raw.strip()
