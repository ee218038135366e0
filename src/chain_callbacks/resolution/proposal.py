"""What a policy plugin gets: who would be told of runs, and ways to change that.

Policy plugins enforce something: an organisation's audit handler, or what it forbids. They are
listed in ``CHAIN_CALLBACKS_PLUGINS`` and in no list of handlers.
"""

from __future__ import annotations

from typing import NamedTuple

from .names import Entry, parse_entry
from .sources import Attachments, Item


class Change(NamedTuple):
    """A change that a policy plugin wants."""

    plugin: str
    item: Item


class Proposal:
    """Who would be told of runs, as a policy plugin sees it.

    Attributes:
        names: Of the handlers, in their order; of an object its class.
        handlers: The objects in the same order; None for a name whose handler is not made yet.
        plugin: The name of the plugin that is being asked.
        changes: Those that the plugins want, in their order.
    """

    def __init__(self, names: tuple[str, ...], handlers: tuple[object | None, ...]) -> None:
        self.names = names
        self.handlers = handlers
        self.plugin = ""
        self.changes: list[Change] = []

    def add(self, handler: object) -> None:
        """Add *handler*, a name or an object, here and below; one that is there stays in place."""
        for item in Attachments([handler], self._source).items:
            self.changes.append(Change(self.plugin, item))

    def remove(self, name: str) -> None:
        """Remove the named handler, here and below."""
        entry = parse_entry(name, source=self._source)
        removal = Entry("remove", entry.ref, f"-{entry.ref}")
        self.changes.append(Change(self.plugin, Item(removal, removal.text, self._source)))

    def move_to_end(self, name: str) -> None:
        """Have the named handler told after all others."""
        self.remove(name)
        self.add(name)

    @property
    def _source(self) -> str:
        return f"the plugin {self.plugin}"
