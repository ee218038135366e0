"""What a resolution can say of itself: a row for each entry, kept or dropped, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..delivery.counters import Counters
from ..dispatch.handler_class import events_of
from ..dispatch.routes import Listener
from ..policies import UNSTATED, Manner, Policy
from ..text import aligned, one_line, shortened
from .index import UNKNOWN, Provenance

RowStatus = Literal[
    "active", "merged", "removed", "removes", "none", "unknown", "broken", "refused", "denied"
]

_WIDTH: Final = 96
_INDENT: Final = "    "


@dataclass(slots=True, eq=False)
class Row:
    """One entry: its text, where it was written, what became of it and why.

    *policy* is what code states for it; *listener* is what it led to, None for one that is not
    listened to.
    """

    text: str
    source: str
    status: RowStatus
    key: str = ""
    policy: Policy = UNSTATED
    provenance: Provenance = UNKNOWN
    reason: str = ""
    merged_into: Row | None = None
    listener: Listener | None = None

    @property
    def operator(self) -> Policy:
        """What the operator's settings state for it."""
        return self.listener.operator if self.listener else UNSTATED

    @property
    def manner(self) -> Manner | None:
        """How it is listened to after all policies and the handler's own defaults."""
        return self.listener.manner if self.listener else None

    @property
    def events(self) -> tuple[str, ...]:
        """The events that it implements; empty where it is not listened to."""
        return events_of(self.listener.handler) if self.listener else ()

    @property
    def counters(self) -> Counters | None:
        """How often its handler was called, failed, or missed something."""
        return self.listener.counters if self.listener else None


def describe(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return *rows* as plain data, numbered from 1, ready for JSON."""
    numbers = {id(row): number for number, row in enumerate(rows, start=1)}
    return [
        {
            "number": number,
            "name": shortened(row.key or row.text),
            "text": shortened(row.text),
            "source": shortened(row.source),
            "status": row.status,
            "reason": _reason(row, numbers),
            "policy": " ".join(filter(None, map(str, _policies(row)))),
            "content": row.manner.content if row.manner else None,
            "delivery": row.manner.delivery if row.manner else None,
            "on_error": row.manner.on_error if row.manner else None,
            "stated_by": _stated_by(row),
            "distribution": row.provenance.distribution,
            "version": row.provenance.version,
            "events": list(row.events),
            "delivered": row.counters.delivered if row.counters else 0,
            "failed": row.counters.failed if row.counters else 0,
            "dropped": row.counters.dropped if row.counters else 0,
        }
        for number, row in enumerate(rows, start=1)
    ]


def _policies(row: Row) -> tuple[Policy, ...]:
    stated = (row.operator, row.policy)
    return (*stated, row.manner.as_policy(*stated) if row.manner else UNSTATED)


def _stated_by(row: Row) -> list[str]:
    """Return who stated each policy: the operator's variable, or the place in code."""
    return [
        f"{Policy(**{name: getattr(policy, name)})} by {source}"
        for policy in (row.operator, row.policy)
        for name, source in policy.by
    ]


def _reason(row: Row, numbers: dict[int, int]) -> str:
    if row.merged_into is not None:
        return f"into #{numbers.get(id(row.merged_into), '?')}"
    return row.reason


_KEPT: Final = frozenset({"merged", "removed"})
"""What has a reason of a few words, which stands in its line; that of all others is a sentence."""


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as a table for people; a sentence that says why stands below its line."""
    if not rows:
        return "No handler is attached."
    found = describe(rows)
    # Inside a program that has run something: how often each was told, and failed.
    counts = ("delivered", "failed", "dropped")
    has_counts = any(each[name] for each in found for name in counts)
    lines = [
        (
            f"#{each['number']}",
            each["text"],
            f"{each['status']} {each['reason']}" if _is_short(each) else each["status"],
            each["source"],
            " ".join(filter(None, (each["distribution"], each["version"]))) or "-",
            each["policy"] or "-",
            str(len(each["events"])) if each["events"] else "-",
            *((str(each[name]) for name in counts) if has_counts else ()),
        )
        for each in found
    ]
    head: tuple[str, ...] = ("#", "entry", "status", "asked for by", "from", "policy", "events")
    if has_counts:
        head = (*head, "told", "failed", "dropped")
    first, *rest = aligned(head, lines).splitlines()
    shown = [first]
    for each, line in zip(found, rest, strict=True):
        shown.append(line)
        if each["reason"] and not _is_short(each):
            shown.extend(_below(each["reason"]))
        for stated in each["stated_by"]:
            shown.extend(_below(stated))
    return "\n".join(shown)


def _is_short(row: dict[str, Any]) -> bool:
    return bool(row["reason"]) and row["status"] in _KEPT


def _below(reason: str) -> list[str]:
    # A path or a variable is copied from here: nothing is broken but at a blank.
    return textwrap.wrap(
        one_line(reason),
        width=_WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
