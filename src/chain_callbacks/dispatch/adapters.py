"""Handlers that were written for another framework: they are told in that framework's own types.

What a conversion gives is made once for an event, however many such handlers hear it, and only
where one does. Which conversions there are is the resolver's to find: they come as plugins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..events import EventSpec

BASES: Final = {"langchain_core.callbacks.base": "langchain_core"}
"""Modules whose classes foreign handlers derive from, and the package that each is of."""

Told = tuple[Any, tuple[Any, ...], Mapping[str, Any]]
Tell = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Any]

Conversion = Callable[[str, Any, tuple[Any, ...], Mapping[str, Any]], Told]
"""Takes an event's name, its run, its arguments and its keywords; returns the last three anew."""


class _Conversions:
    """The conversions of this process, by package; *find* looks for one that is not known yet."""

    __slots__ = ("find", "known")

    def __init__(self) -> None:
        self.known: dict[str, Conversion | None] = {}
        self.find: Callable[[str], Conversion | None] | None = None


conversions: Final = _Conversions()


def package_of(handler: object) -> str | None:
    """Return the package that *handler* was written for; None for one of our own."""
    for cls in type(handler).__mro__:
        if cls.__module__ in BASES:
            return BASES[cls.__module__]
    return None


def conversion_for(handler: object) -> Conversion | None:
    """Return how events are put into the types that *handler* knows; None where they are left."""
    package = package_of(handler)
    if package is None:
        return None
    if package not in conversions.known:
        if conversions.find is None:
            return None
        conversions.known[package] = conversions.find(package)
    return conversions.known[package]


def converting(handler: object, spec: EventSpec[...], tell: Tell) -> Tell:
    """Return *tell* as it is, or with a conversion before it where *handler* is a foreign one."""
    conversion = conversion_for(handler)
    if conversion is None:
        return tell
    name = spec.name

    def convert_and_tell(run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        made: dict[str, tuple[Any, Conversion, Told]] = getattr(run, "converted", None) or {}
        known = made.get(name)
        # The tuple of an event's arguments is its own, and lives as long as it is told.
        if known is None or known[0] is not arguments or known[1] is not conversion:
            known = (arguments, conversion, conversion(name, run, arguments, keywords))
            with contextlib.suppress(AttributeError):  # A run that cannot keep it.
                run.converted = {**made, name: known}
        return tell(*known[2])

    return convert_and_tell
