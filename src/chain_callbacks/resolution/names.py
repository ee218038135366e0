"""The grammar of a list of handler names: from text to entries, and back.

    list  := entry ("," entry)*
    entry := "none" | "-" ref | ref
    ref   := [distribution "/"] name [":" instance]

A name is letters and digits joined by ``-`` or ``_``, which are one; case does not matter, and
``chain-callbacks-slack`` means ``slack``. A name carries nothing else: no setting, no path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from ..errors import HandlerDeniedError, InvalidNameError, shown
from ..text import shortened

DEFAULT_INSTANCE: Final = "default"
PREFIX: Final = "chain-callbacks-"

_WORD: Final = "[a-z0-9]+(?:[-_][a-z0-9]+)*"
_ENTRY: Final = re.compile(
    rf"(?P<minus>-)?(?:(?P<distribution>[a-z0-9]+(?:[-_.][a-z0-9]+)*)/)?"
    rf"(?P<name>{_WORD})(?::(?P<instance>{_WORD}))?"
)
_JOINTS: Final = re.compile(r"[-_.]+")
_PREFIXES: Final = re.compile(f"^(?:{PREFIX})+")

Operation = Literal["add", "remove", "none"]


class Ref(NamedTuple):
    """Which handler is meant; *distribution* and *instance* are None where the text has none."""

    name: str
    instance: str | None = None
    distribution: str | None = None

    def __str__(self) -> str:
        text = self.name if self.distribution is None else f"{self.distribution}/{self.name}"
        return text if self.instance is None else f"{text}:{self.instance}"


class Entry(NamedTuple):
    """One entry of a list: what it does, to what, and the text that said so."""

    operation: Operation
    ref: Ref
    text: str

    def __str__(self) -> str:
        if self.operation == "none":
            return "none"
        return f"-{self.ref}" if self.operation == "remove" else str(self.ref)


def normalised(name: str) -> str:
    """Return the one spelling of a handler's, an instance's or a distribution's name."""
    return _JOINTS.sub("-", name).lower()


def handler_name(name: str) -> str:
    """Return the one spelling of a handler's name, without this project's prefix."""
    # However often it is there: a name that was read and written is read as the same one.
    return _PREFIXES.sub("", normalised(name))


def parse_entry(text: str, *, source: str, position: int = 1) -> Entry:
    """Return what one entry means.

    Raises:
        InvalidNameError: It is no entry; *source* and *position* (from 1) say where it stands.
    """
    stripped = text.strip()
    match = _ENTRY.fullmatch(stripped.lower()) if stripped.isascii() else None
    if match is None:
        raise InvalidNameError(entry=text, position=position, source=source)
    minus, distribution, name, instance = match.group("minus", "distribution", "name", "instance")
    ref = Ref(
        handler_name(name),
        None if instance is None else normalised(instance),
        None if distribution is None else normalised(distribution),
    )
    if ref.name == "none":
        if minus or distribution or instance:
            reason = "'none' removes everything before it, and takes no '-', '/' or ':'"
            raise InvalidNameError(entry=text, position=position, source=source, reason=reason)
        return Entry("none", ref, stripped)
    return Entry("remove" if minus else "add", ref, stripped)


def parse_name(text: str, *, source: str, position: int = 1) -> Ref:
    """Return which handler an entry means that only names one: no removal, and not ``none``.

    Raises:
        InvalidNameError: It is none, or does something else.
    """
    entry = parse_entry(text, source=source, position=position)
    if entry.operation != "add":
        reason = "it removes handlers, and only the name of one is allowed"
        raise InvalidNameError(entry=entry.text, position=position, source=source, reason=reason)
    return entry.ref


def parse_plain_name(text: str, *, source: str, position: int = 1) -> str:
    """Return a name that stands alone, without an instance and a distribution.

    Raises:
        InvalidNameError: It is none, or there is more to it.
    """
    ref = parse_name(text, source=source, position=position)
    if ref.instance or ref.distribution:
        reason = f"only a name alone is allowed, such as {shown(ref.name)}"
        raise InvalidNameError(entry=text.strip(), position=position, source=source, reason=reason)
    return ref.name


def parse_list(text: str, *, source: str) -> tuple[Entry, ...]:
    """Return the entries of a text, split on commas; empty ones are dropped.

    Raises:
        InvalidNameError: One of them is no entry.
    """
    return tuple(
        parse_entry(part, source=source, position=position)
        for position, part in enumerate(text.split(","), start=1)
        if part.strip()
    )


def format_list(entries: Iterable[Entry]) -> str:
    """Return the text that ``parse_list`` turns into *entries* again."""
    return ",".join(map(str, entries))


def requested(text: str | None, *, allow: Iterable[str]) -> list[str]:
    """Return the handler names in a text from outside, such as a request's; nothing but names.

    Args:
        text: Names, separated by commas; None is none.
        allow: The only ones that may be in it.

    Raises:
        HandlerDeniedError: It holds anything else: another name, ``none``, a removal, an instance.
        InvalidNameError: *allow* holds anything but names.
    """
    given = [allow] if isinstance(allow, str) else allow
    allowed = {parse_plain_name(each, source="requested(allow=...)") for each in given}
    names: list[str] = []
    for part in filter(None, map(str.strip, (text or "").split(","))):
        try:
            name = parse_plain_name(part, source="a request")
        except InvalidNameError:
            name = None
        if name not in allowed:
            break
        names.append(name)
    else:
        return list(dict.fromkeys(names))
    # Outside of the `except`, and cut: it is somebody else's text, and goes into logs.
    rule = f"requested(allow={tuple(sorted(allowed))!r})"
    raise HandlerDeniedError(name=shortened(part), source="a request", rule=rule)
