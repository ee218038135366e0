"""A place in a list that is being folded, and the row that says what became of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..dispatch.routes import Listener
from ..dispatch.sinks import events_of
from ..handler import Content
from ..policies import UNSTATED, Policy
from .explanation import Row
from .instances import Key
from .provenance import Provenance

NOWHERE: Final = Provenance()


class Origin(NamedTuple):
    """The source of a listener: where it was named and what it comes from."""

    text: str
    source: str
    provenance: Provenance = NOWHERE


@dataclass(slots=True, eq=False)
class Slot:
    """A place in one of the two lists while the fold goes on."""

    key: Hashable
    handler: object | None = field(repr=False)
    operator: Policy
    policy: Policy
    origin: Origin
    row: Row
    listener: Listener | None = None
    name: str | None = None
    content: Content = "full"
    is_required: bool = False

    def as_listener(self) -> Listener:
        """Return the listener that it came from, or a new one where it was changed."""
        if self.listener is not None:
            return self.listener
        return Listener(
            self.key,
            self.handler,
            operator=self.operator,
            policy=self.policy,
            source=self.origin,
            name=self.name,
            content=self.content,
        )


def merge_objects(slots: list[Slot]) -> None:
    """Merge a second key for one object into the first: one object, one delivery."""
    first: dict[int, Slot] = {}
    for slot in list(slots):
        kept = first.setdefault(id(slot.handler), slot)
        if kept is not slot:
            slots.remove(slot)
            kept.policy, kept.listener = kept.policy.replaced(slot.policy), None
            kept.operator = kept.operator.replaced(slot.operator)
            if kept.is_required or slot.is_required:
                kept.policy, kept.is_required = UNSTATED, True
            slot.row.status, slot.row.merged_into = "merged", kept.row


def slot_of(listener: Listener, row: Row) -> Slot:
    """Return the place of a listener that is there already."""
    return Slot(
        listener.key,
        listener.handler,
        listener.operator,
        listener.policy,
        listener.source or Origin(row.text, row.source),
        row,
        listener,
        listener.counters.name,
        listener.content,
    )


def row_of(listener: Listener) -> Row:
    """Return what there is to say of a listener that is there already."""
    origin = listener.source
    text = type(listener.handler).__qualname__
    return Row(
        origin.text if isinstance(origin, Origin) else text,
        origin.source if isinstance(origin, Origin) else "a manager",
        "active",
        key=str(listener.key) if isinstance(listener.key, Key) else text,
        policy=listener.policy,
        operator=listener.operator,
        provenance=origin.provenance if isinstance(origin, Origin) else NOWHERE,
        events=events_of(listener.handler),
        counters=listener.counters,
    )
