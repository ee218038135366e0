"""What one event looks like to a handler that is not given the run's own objects.

A view is made when the first handler asks for its level, and shared by all that have this level.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..events import EventSpec
from ..handler import Content
from ..redaction import fields_of
from . import privacy
from .identity import moment
from .options import options

if TYPE_CHECKING:
    from .runs import Run


class RunView:
    """The facts of a run at one event, under the names that the run has for them.

    *tags* and *metadata* are as its *content* level shows them.
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
        "started_at",
        "status",
        "tags",
    )

    def __init__(
        self, run: Run, tags: tuple[str, ...], metadata: Mapping[str, Any], content: Content
    ) -> None:
        around = run.manager
        self.id = run.id
        self.parent_id = run.parent_id
        self.root_id = self.id if around.root is None else around.root.id
        self.depth = around.depth
        self.name = run.name
        self.run_type = run.run_type
        self.tags = tags
        self.metadata = metadata
        self.content = content
        self.started_at = run.started_at
        self.status = run.status
        self.duration = None if run.status is None else run.duration
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

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory, roughly."""
        return _size((self.arguments, self.keywords, self.run.tags, self.run.metadata))


Labels = tuple[tuple[str, ...], Mapping[str, Any]]

Views = tuple[tuple[Any, ...], dict[str, View]]
"""The arguments of an event of a run, and its views by level; a run keeps those of its last one."""


def view_of(
    run: Run,
    spec: EventSpec[...],
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    level: Content,
    *,
    is_kept: bool = False,
) -> View:
    """Return the event as *level* shows it.

    *is_kept* says that it outlives the call: at ``full`` the lists and dicts of the payload are
    then copied, so that it shows what they held at this moment. The objects in them are the run's.
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
    run: Run,
    spec: EventSpec[...],
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    level: Content,
) -> View:
    if level == "full":
        seen = RunView(run, run.tags, _kept(run.metadata), level)
        return View(seen, _kept(arguments), _kept(keywords))
    tags, metadata = _labels(run, level) if run.tags or run.metadata else ((), {})
    shown = privacy.view(spec, arguments, keywords, level, options.redactor)
    return View(RunView(run, tags, metadata, level), *shown)


def _labels(run: Run, level: Content) -> Labels:
    # They never change, and most runs have several events.
    labels = run.labels.get(level)
    if labels is None:
        labels = privacy.run_view(run.tags, run.metadata, level, options.redactor)
        run.labels = {**run.labels, level: labels}
    return labels


_DEPTH: Final = 16
_Keep = Callable[[Any], Any]
# Another thread may be changing what is copied: a mapping is looked through in a copy made at once.
_COPIES: Final[Mapping[type, Callable[[Any, _Keep], Any]]] = {
    list: lambda value, keep: [keep(each) for each in value],
    tuple: lambda value, keep: tuple(keep(each) for each in value),
    dict: lambda value, keep: {key: keep(each) for key, each in value.copy().items()},
    defaultdict: lambda value, keep: defaultdict(
        value.default_factory, {key: keep(each) for key, each in value.copy().items()}
    ),
    OrderedDict: lambda value, keep: OrderedDict(
        (key, keep(each)) for key, each in value.copy().items()
    ),
    set: lambda value, _: value.copy(),
    deque: lambda value, _: value.copy(),
    bytearray: lambda value, _: value.copy(),
}


def _kept(value: Any, depth: int = _DEPTH, known: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """Return *value* with its containers copied, each once; cut off where they hold one another."""
    copy = _COPIES.get(type(value))
    if copy is None:
        return value
    if not depth:
        return "… [cut]"
    known = {} if known is None else known
    if id(value) not in known:
        # With the copy goes the original, so that no other one gets its id meanwhile.
        known[id(value)] = copy(value, lambda each: _kept(each, depth - 1, known)), value
    return known[id(value)][0]


_NODES: Final = 10_000
_NODE: Final = 64
_POINTER: Final = 8


def _size(value: Any) -> int:
    """Return roughly how many bytes *value* keeps in memory, by its first parts."""
    total, nodes = 0, 0
    waiting = deque([value])
    while waiting and nodes < _NODES:
        each = waiting.popleft()
        nodes += 1
        total += _NODE
        if isinstance(each, str | bytes | bytearray):
            total += sys.getsizeof(each)
            continue
        parts = _parts(each)
        total += len(parts) * _POINTER
        waiting.extend(islice(parts, _NODES))
    return total


def _parts(value: Any) -> Collection[Any]:
    if isinstance(value, Mapping):
        return (*islice(value.keys(), _NODES), *islice(value.values(), _NODES))
    if isinstance(value, list | tuple | set | frozenset | deque):
        return value
    if isinstance(value, BaseException):
        return value.args
    if isinstance(value, int | float | None):
        return ()
    return tuple((fields_of(value) or {}).values())
