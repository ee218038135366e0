"""What one event looks like to a handler that is not given the run's own objects.

A view is made when the first handler asks for its level, and shared by all that have this level.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from ..events import EventSpec
from ..handler import Content, RunFacts, Status
from ..redaction import Copier, DefaultRedactor, Keeper, Redactor
from . import privacy
from .identity import moment


class _InForce:
    """What the settings say of views; *redactor* masks what is not shown below ``content=full``."""

    def __init__(self) -> None:
        self.redactor: Redactor = DefaultRedactor()


in_force: Final = _InForce()


class RunView:
    """The facts of a run at one event, under the names that the run has for them.

    *tags* and *metadata* are as its *content* level shows them. *size* is the bytes that the event
    keeps in memory, roughly, as long as a queue does.
    """

    __slots__ = (
        "content",
        "converted",
        "depth",
        "detached",
        "duration",
        "error_id",
        "id",
        "is_origin",
        "metadata",
        "name",
        "origin",
        "parent_id",
        "root_id",
        "run_type",
        "size",
        "started_at",
        "status",
        "tags",
    )

    def __init__(
        self,
        run: Recorded,
        tags: tuple[str, ...],
        metadata: Mapping[str, Any],
        content: Content,
        size: int,
    ) -> None:
        self.id = run.id
        self.parent_id = run.parent_id
        self.root_id = run.root_id
        self.depth = run.depth
        self.name = run.name
        self.run_type = run.run_type
        self.tags = tags
        self.metadata = metadata
        self.content: Content = content
        self.size = _FACTS_SIZE + size
        self.started_at = run.started_at
        self.status: Status | None = run.status
        self.duration = run.duration
        self.error_id = run.error_id
        self.is_origin = run.is_origin
        self.origin = run.origin
        self.detached = run.detached

    @property
    def started(self) -> datetime | None:
        """When the run started, in UTC; None before."""
        return moment(self.started_at)

    def __repr__(self) -> str:
        return f"<run {self.run_type} {self.name!r} {self.id}>"


class View(NamedTuple):
    """One event at one level: what a sink is called with in the place of the run's own."""

    run: RunView
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


Labels = tuple[tuple[str, ...], Mapping[str, Any], int]
"""The tags and the metadata of a run at one level, and the bytes that they keep."""

_FACTS_SIZE: Final = 1_024
"""Bytes that an event keeps without its content, roughly."""

Views = tuple[tuple[Any, ...], dict[str, View]]
"""The arguments of an event of a run, and its views by level; a run keeps those of its last one."""


class Recorded(RunFacts, Protocol):
    """A run, which keeps the views that are made of it."""

    started_at: int | None
    views: Views | None
    labels: Mapping[str, Labels]

    def release(self) -> None:
        """Drop what was made of an event for its handlers, once the last of them has it."""


def view_of(
    run: Recorded,
    spec: EventSpec[...],
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    level: Content,
    *,
    is_kept: bool = False,
) -> View:
    """Return the event as *level* shows it.

    *is_kept* says that it outlives the call: at ``full`` the lists and dicts of the payload are
    then copied, up to a bound, so that it shows what they held at this moment. The objects in them
    are the run's.
    """
    views = run.views
    # The tuple of an event's arguments is its own, and lives as long as it is told.
    if views is None or views[0] is not arguments:
        views = run.views = (arguments, {})
    # What a handler is given below `full` is a copy already.
    key = "kept" if is_kept and level == "full" else level
    found = views[1].get(key)
    if found is None:
        found = views[1][key] = _view(run, spec, arguments, keywords, level)
    return found


def _view(
    run: Recorded,
    spec: EventSpec[...],
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    level: Content,
) -> View:
    if level == "full":
        keeper = Keeper()
        kept = keeper.copy(arguments), keeper.copy(keywords)
        metadata = keeper.copy(run.metadata)
        return View(RunView(run, run.tags, metadata, level, keeper.size), *kept)
    tags, metadata, size = _labels(run, level) if run.tags or run.metadata else ((), {}, 0)
    copier = Copier(in_force.redactor)
    shown = privacy.view(spec, arguments, keywords, level, copier)
    return View(RunView(run, tags, metadata, level, size + copier.size), *shown)


def _labels(run: Recorded, level: Content) -> Labels:
    # They never change, and most runs have several events.
    labels = run.labels.get(level)
    if labels is None:
        copier = Copier(in_force.redactor)
        shown = privacy.run_view(run.tags, run.metadata, level, copier)
        labels = *shown, copier.size
        run.labels = {**run.labels, level: labels}
    return labels
