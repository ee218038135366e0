"""The merge: one fold of items onto what is there, into two lists.

*here* is who hears the run itself, *down* who is handed to the runs nested in it. Nothing here
depends on the order of installation; the order of delivery is the order of the list that comes
out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..dispatch.delivery.counters import counters_of
from ..dispatch.routes import Listener, Routes
from ..dispatch.sinks import events_of
from ..errors import (
    AmbiguousHandlerError,
    ChainCallbacksError,
    HandlerDeniedError,
    InvalidPolicyError,
    PolicyPluginError,
    UnknownHandlerError,
)
from ..policies import UNSTATED, Policy
from . import instances, policy_plugins
from .environment import NAMES
from .explanation import Row, RowStatus
from .names import Entry, Ref
from .policy_plugins import Proposal
from .provenance import Provenance
from .settings import settings
from .slots import Origin, Slot, merge_objects, row_of, slot_of
from .sources import Item


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """What a fold gave: the two lists, a row for each entry, and what was wrong on the way.

    *fatal* is that of the problems with which nothing may run, whoever asks: what enforces
    something, or is to see everything, cannot be had. *sources* has who asked, for each problem.
    """

    here: Routes
    down: Routes
    rows: tuple[Row, ...]
    problems: tuple[ChainCallbacksError, ...]
    fatal: ChainCallbacksError | None = None
    sources: tuple[str, ...] = ()


@dataclass(slots=True)
class _Fold:
    here: list[Slot]
    down: list[Slot]
    rows: list[Row]
    problems: list[tuple[ChainCallbacksError, str]] = field(default_factory=list)
    fatal: ChainCallbacksError | None = None

    def stop(self, error: ChainCallbacksError, source: str) -> None:
        self.problems.append((error, source))
        self.fatal = self.fatal or error

    def lists(self, *, is_local: bool) -> tuple[list[Slot], ...]:
        # Two lists even where they are equal so far: a later Local makes them differ.
        return (self.here,) if is_local else (self.here, self.down)


def fold(base: Routes, items: Sequence[Item]) -> Folded:
    """Return *items* folded onto *base*, in their order; what is wrong is collected, not raised.

    After them come the policy plugins' changes, and then what the operator requires.
    """
    state = _begun(base)
    _choose(state, items)
    try:
        _enforce(state)
    except PolicyPluginError as error:
        state.stop(error, f"{NAMES}_PLUGINS")
        state.rows.append(Row(error.plugin, f"{NAMES}_PLUGINS", "broken", reason=error.reason))
    _require_all(state)
    if state.fatal is None:
        _make(state)
    else:
        _stop(state)
    # Of an entry that is listened to in two ways, the row shows the one of the run itself.
    for slots in (state.down, state.here):
        merge_objects(slots)
        _refuse_contradictions(state, slots)
    is_same = [slot.key for slot in state.here] == [slot.key for slot in state.down] and all(
        one.policy == other.policy for one, other in zip(state.here, state.down, strict=True)
    )
    down = _routes(base, state.down)
    here = down if is_same else _routes(base, state.here)
    problems = tuple(error for error, _ in state.problems)
    sources = tuple(source for _, source in state.problems)
    return Folded(here, down, tuple(state.rows), problems, state.fatal, sources)


def chosen(items: Sequence[Item]) -> frozenset[instances.Key]:
    """Return the named handlers that a fold of *items* would make; nothing is imported.

    What policy plugins would change is not among it: asking them imports them.
    """
    state = _begun(Routes())
    _choose(state, items)
    _require_all(state)
    return frozenset(slot.key for slot in state.here if isinstance(slot.key, instances.Key))


def _begun(base: Routes) -> _Fold:
    rows = [row_of(listener) for listener in base.listeners]
    return _Fold(
        [slot_of(each, row) for each, row in zip(base.listeners, rows, strict=True)],
        [slot_of(each, row) for each, row in zip(base.listeners, rows, strict=True)],
        rows,
    )


def _choose(state: _Fold, items: Iterable[Item]) -> None:
    for item in items:
        try:
            _apply(state, item)
        except ChainCallbacksError as error:
            _refused(state, item, error)


def _require_all(state: _Fold) -> None:
    for entry in settings().require:
        _require(state, entry)


def _enforce(state: _Fold) -> None:
    proposal = Proposal(_named(state.here), tuple(slot.handler for slot in state.here))
    for change in policy_plugins.changes_to(proposal):
        try:
            _apply(state, change.item)
        except ChainCallbacksError as error:
            # What a plugin that enforces something wants cannot be had.
            raise PolicyPluginError(plugin=change.plugin, reason=str(error)) from error


def _apply(state: _Fold, item: Item) -> None:
    content = item.content
    item = item._replace(policy=item.policy.stated_in(item.source))
    lists = state.lists(is_local=item.is_local)
    if isinstance(content, Entry):
        _apply_entry(state, item, content, lists)
        return
    if isinstance(content, Listener):
        row = replace(row_of(content), source=item.source)
        key, handler, operators = content.key, content.handler, content.operator
    else:
        text = type(content).__qualname__
        row = Row(
            text, item.source, "active", key=text, policy=item.policy, events=events_of(content)
        )
        key, handler, operators = id(content), content, UNSTATED
    state.rows.append(row)
    for slots in lists:
        _add(slots, key, handler, operators, item, row)


def _apply_entry(state: _Fold, item: Item, entry: Entry, lists: tuple[list[Slot], ...]) -> None:
    if entry.operation == "none":
        state.rows.append(Row(entry.text, item.source, "none"))
        for slots in lists:
            _clear(slots, item)
        return
    key = instances.identify(entry.ref, source=item.source)
    if entry.operation == "remove":
        state.rows.append(Row(entry.text, item.source, "removes"))
        for slots in lists:
            _remove(slots, key, entry.ref, item)
        return
    rule = settings().rule_against(entry.ref, key.distribution)
    if rule is not None:
        raise HandlerDeniedError(name=str(entry.ref), source=item.source, rule=rule)
    row = Row(entry.text, item.source, "active", key=str(key), policy=item.policy)
    state.rows.append(row)
    for slots in lists:
        _add(slots, key, None, UNSTATED, item, row)


def _require(state: _Fold, entry: Entry) -> None:
    """Put in what the operator requires, and undo what code stated for it."""
    source = f"{NAMES}_REQUIRE"
    try:
        key = instances.identify(entry.ref, source=source)
    except ChainCallbacksError as error:
        state.rows.append(Row(entry.text, source, "unknown", reason=" ".join(str(error).split())))
        state.stop(error, source)
        return
    row = Row(entry.text, source, "active", key=str(key))
    is_new = False
    for slots in (state.here, state.down):
        for slot in slots:
            if slot.key == key:
                if slot.policy != UNSTATED:
                    slot.policy, slot.listener = UNSTATED, None
                slot.is_required = True
                break
        else:
            is_new = True
            slot = Slot(key, None, UNSTATED, UNSTATED, Origin(entry.text, source), row)
            slot.is_required = True
            slots.append(slot)
    if is_new:
        state.rows.append(row)


def _named(slots: Iterable[Slot]) -> tuple[str, ...]:
    return tuple(
        str(slot.key) if isinstance(slot.key, instances.Key) else slot.row.text for slot in slots
    )


def _add(
    slots: list[Slot],
    key: Hashable,
    handler: object | None,
    operator: Policy,
    item: Item,
    row: Row,
) -> None:
    for slot in slots:
        if slot.key == key:
            # It keeps its place; its policy becomes the later one where the later one states it.
            policy = slot.policy.replaced(item.policy)
            if policy != slot.policy:
                slot.policy, slot.listener = policy, None
            if slot.row is not row:
                row.status, row.merged_into = "merged", slot.row
            return
    origin = Origin(row.text, item.source)
    slots.append(Slot(key, handler, operator, item.policy, origin, row))


def _remove(slots: list[Slot], key: instances.Key, ref: Ref, item: Item) -> None:
    for slot in list(slots):
        other = slot.key
        if not isinstance(other, instances.Key) or other[:2] != key[:2]:
            continue
        if ref.instance in (None, other.instance):
            slots.remove(slot)
            slot.row.status, slot.row.reason = "removed", f"by {item.source}"


def _clear(slots: list[Slot], item: Item) -> None:
    for slot in slots:
        slot.row.status, slot.row.reason = "removed", f"by 'none' in {item.source}"
    slots.clear()


def _refused(state: _Fold, item: Item, error: ChainCallbacksError) -> None:
    text = item.content.text if isinstance(item.content, Entry) else type(item.content).__qualname__
    status: RowStatus = "refused"
    if isinstance(error, UnknownHandlerError | AmbiguousHandlerError):
        status = "unknown"
    elif isinstance(error, HandlerDeniedError):
        status = "denied"
    state.rows.append(Row(text, item.source, status, reason=" ".join(str(error).split())))
    state.problems.append((error, item.source))


def _stop(state: _Fold) -> None:
    """Drop the names, whose handlers are not made where nothing may run."""
    for slots in (state.here, state.down):
        for slot in slots:
            if slot.handler is None:
                slot.row.status = "refused"
                slot.row.reason = "nothing is resolved until what is broken or unknown is mended"
        slots[:] = [slot for slot in slots if slot.handler is not None]


def _make(state: _Fold) -> None:
    """Make the handlers of the names that are left, and drop those that cannot be made."""
    made: dict[Hashable, instances.Live | ChainCallbacksError] = {}
    for slot in (*state.here, *state.down):
        if slot.handler is not None or not isinstance(slot.key, instances.Key):
            continue
        if slot.key not in made:
            try:
                made[slot.key] = instances.live(slot.key, source=slot.origin.source)
            except ChainCallbacksError as error:
                made[slot.key] = error
                if slot.is_required:
                    state.stop(error, slot.origin.source)
                else:
                    state.problems.append((error, slot.origin.source))
        result = made[slot.key]
        if isinstance(result, instances.Live):
            slot.handler, slot.operator = result.handler, result.operator
            slot.name, slot.content = str(slot.key), "redacted"
            slot.row.counters = counters_of(slot.name)
            slot.origin = slot.origin._replace(provenance=result.provenance)
            slot.row.provenance = result.provenance
            slot.row.events = events_of(result.handler)
        else:
            slot.row.status = "broken"
            slot.row.reason = getattr(result, "reason", str(result))
            slot.row.provenance = Provenance(
                getattr(result, "distribution", None), getattr(result, "version", None)
            )
    for slots in (state.here, state.down):
        slots[:] = [slot for slot in slots if slot.handler is not None]


def _refuse_contradictions(state: _Fold, slots: list[Slot]) -> None:
    """Drop those whose policies cannot be had together."""
    for slot in list(slots):
        try:
            slot.listener = slot.as_listener()
            slot.row.policy, slot.row.operator = slot.policy, slot.operator
            slot.row.manner = slot.listener.manner
        except InvalidPolicyError as error:
            slots.remove(slot)
            if slot.row.status != "refused":
                slot.row.status, slot.row.reason = "refused", str(error)
                if slot.is_required:
                    state.stop(error, slot.origin.source)
                else:
                    state.problems.append((error, slot.origin.source))


def _routes(base: Routes, slots: Iterable[Slot]) -> Routes:
    listeners = [slot.as_listener() for slot in slots]
    if [*base.listeners] == listeners:
        return base
    return Routes(listeners)
