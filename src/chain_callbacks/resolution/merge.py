"""The merge: items, in their order, into two lists of listeners.

*own* is who is told of a run itself, *inherited* who is handed down to the runs nested in it. After
the items come the changes of policy plugins and what is required, once. Every entry gets a row that
says what became of it. Nothing here depends on the order of installation; the order of delivery is
the order of the list that comes out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..dispatch.routes import SILENCE, Listener, Routes
from ..errors import (
    AmbiguousHandlerError,
    ChainCallbacksError,
    HandlerDeniedError,
    InvalidPolicyError,
    PolicyPluginError,
    UnknownHandlerError,
)
from ..forks import no_fork
from ..handler import Content
from ..policies import UNSTATED, Policy
from . import instances, plugins
from .index import UNKNOWN, Provenance
from .names import Entry, Ref
from .proposal import Proposal
from .record import Row, RowStatus
from .settings import NAMES, settings
from .sources import Item


class Origin(NamedTuple):
    """The source of a listener: where it was named and what it comes from."""

    text: str
    source: str
    provenance: Provenance = UNKNOWN


class Problem(NamedTuple):
    """What was wrong with an entry.

    *is_configured* says that the environment or its file asked for it, and not code; *is_fatal*
    that nothing may run: what enforces something, or must see everything, is not available.
    """

    error: ChainCallbacksError
    is_configured: bool = False
    is_fatal: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """What a merge gave: the two lists, a row for each entry, and what was wrong on the way."""

    own: Routes = SILENCE
    inherited: Routes = SILENCE
    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()


def merge(
    listeners: Iterable[Listener], items: Iterable[Item], *, known: Routes = SILENCE
) -> Merged:
    """Return *items* merged onto *listeners*; what is wrong is collected, not raised.

    Where handlers are disabled nothing joins *listeners*: neither items nor what is required.
    Where a list comes out equal to that of *known*, or a listener equal to one of its, that one is
    used again.
    """
    state = _Merge(listeners)
    if not settings().disabled:
        with no_fork():  # Plugins are imported.
            for item in items:
                state.take(item)
            state.ask_policy_plugins()
            state.require()
            state.make_handlers()
    inherited = _routes(state.listeners(state.inherited, known.listeners), known)
    # Last: of an entry that is listened to in two ways, the row shows that of the run itself.
    own = _routes(state.listeners(state.own, inherited.listeners), inherited)
    return Merged(own, inherited, tuple(state.rows), tuple(state.problems))


def chosen(items: Iterable[Item]) -> frozenset[instances.Key]:
    """Return the named handlers that a merge of *items* would make; nothing is imported.

    Changes by policy plugins are left out: asking them imports them.
    """
    state = _Merge(())
    for item in items:
        state.take(item)
    state.require()
    return frozenset(slot.key for slot in state.own if isinstance(slot.key, instances.Key))


def _routes(listeners: Sequence[Listener], known: Routes) -> Routes:
    return known if [*known.listeners] == listeners else Routes(listeners)


@dataclass(slots=True, eq=False)
class _Slot:
    """A place in one of the two lists, with the row that says how it came about."""

    key: Hashable
    handler: object | None = field(repr=False)
    policy: Policy
    origin: Origin
    row: Row
    operator: Policy = UNSTATED
    name: str | None = None
    content: Content = "full"
    is_required: bool = False
    is_configured: bool = False
    listener: Listener | None = None

    @classmethod
    def of(cls, listener: Listener, row: Row) -> _Slot:
        """Return the place of a listener that exists already."""
        origin = listener.source or Origin(row.text, row.source)
        return cls(
            *(listener.key, listener.handler, listener.policy, origin, row, listener.operator),
            name=listener.counters.name,
            content=listener.content,
            listener=listener,
        )

    def state(self, policy: Policy, operator: Policy | None = None) -> None:
        """Have the handler listened to in another way."""
        operator = self.operator if operator is None else operator
        if (policy, operator) != (self.policy, self.operator):
            self.policy, self.operator, self.listener = policy, operator, None

    def as_listener(self, known: Iterable[Listener]) -> Listener:
        """Return the listener that it came from, an equal one of *known*, or a new one.

        Raises:
            InvalidPolicyError: The policies contradict each other.
        """
        if self.listener is None:
            self.listener = next(filter(self._is_of, known), None) or Listener(
                self.key,
                self.handler,
                operator=self.operator,
                policy=self.policy,
                source=self.origin,
                name=self.name,
                content=self.content,
            )
        return self.listener

    def _is_of(self, listener: Listener) -> bool:
        return (
            listener.key == self.key
            and listener.handler is self.handler
            and listener.policy == self.policy
            and listener.operator == self.operator
        )


class _Merge:
    """The two lists while they are merged."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self.own: list[_Slot] = []
        self.inherited: list[_Slot] = []
        self.rows: list[Row] = []
        self.problems: list[Problem] = []
        self.is_stopped = False
        for listener in listeners:
            row = _row_of(listener)
            self.rows.append(row)
            # Two lists though they are equal so far: a later Local makes them differ.
            self.own.append(_Slot.of(listener, row))
            self.inherited.append(_Slot.of(listener, row))

    def take(self, item: Item) -> None:
        """Merge one item, or note why it cannot be used."""
        try:
            self._apply(item)
        except ChainCallbacksError as error:
            status: RowStatus = "refused"
            if isinstance(error, UnknownHandlerError | AmbiguousHandlerError):
                status = "unknown"
            elif isinstance(error, HandlerDeniedError):
                status = "denied"
            self._refuse(Row(item.text, item.source, status), Problem(error, item.is_configured))

    def ask_policy_plugins(self) -> None:
        """Merge what the policy plugins want changed; one that fails stops everything."""
        if not settings().plugins:
            return
        names = tuple(
            str(slot.key) if isinstance(slot.key, instances.Key) else slot.row.text
            for slot in self.own
        )
        proposal = Proposal(names, tuple(slot.handler for slot in self.own))
        try:
            for change in plugins.changes_to(proposal, settings().plugins):
                try:
                    self._apply(change.item)
                except ChainCallbacksError as error:
                    raise PolicyPluginError(plugin=change.plugin, reason=str(error)) from error
        except PolicyPluginError as error:
            row = Row(error.plugin, f"{NAMES}_PLUGINS", "broken", reason=error.reason)
            self._refuse(row, Problem(error, is_configured=True, is_fatal=True))

    def require(self) -> None:
        """Put in what is required, and undo what code stated for it."""
        source = f"{NAMES}_REQUIRE"
        for ref in settings().require:
            try:
                key = instances.identify(ref, source=source)
            except ChainCallbacksError as error:
                row = Row(str(ref), source, "unknown")
                self._refuse(row, Problem(error, is_configured=True, is_fatal=True))
                continue
            row = Row(str(ref), source, "active", key=str(key))
            own, inherited = (self._required(each, key, row) for each in (self.own, self.inherited))
            if own.row is not row:
                row.status, row.merged_into = "merged", own.row
            if row in (own.row, inherited.row):
                self.rows.append(row)

    def make_handlers(self) -> None:
        """Make the handlers of the names that are left, and drop those that cannot be made."""
        made: dict[Hashable, instances.Live | ChainCallbacksError] = {}
        for slot in (*self.own, *self.inherited):
            if slot.handler is not None or not isinstance(slot.key, instances.Key):
                continue
            if self.is_stopped:
                slot.row.status = "refused"
                slot.row.reason = "no handler is made until what is broken or unknown is fixed"
                continue
            if slot.key not in made:
                try:
                    made[slot.key] = instances.live(slot.key, source=slot.origin.source)
                except ChainCallbacksError as error:
                    made[slot.key] = error
                    self._give_up(slot, error)
            live = made[slot.key]
            if isinstance(live, instances.Live):
                slot.handler, slot.operator = live.handler, live.operator
                slot.name, slot.content = str(slot.key), "redacted"
                slot.origin = slot.origin._replace(provenance=live.provenance)
                slot.row.provenance = live.provenance
        for slots in (self.own, self.inherited):
            slots[:] = [slot for slot in slots if slot.handler is not None]
            _merge_objects(slots)

    def listeners(self, slots: list[_Slot], known: Iterable[Listener]) -> list[Listener]:
        """Return the listeners of a list; those whose policies contradict each other are left out.

        Each row gets the listener that it led to.
        """
        found = []
        for slot in slots:
            row = slot.row
            try:
                found.append(slot.as_listener(known))
            except InvalidPolicyError as error:
                if row.status != "refused":
                    row.status, row.reason, row.listener = "refused", str(error), None
                    self._note(slot, error)
            else:
                if row.status == "active":
                    row.policy, row.listener = slot.policy, slot.listener
        return found

    def _apply(self, item: Item) -> None:
        content = item.content
        if isinstance(content, ChainCallbacksError):
            raise content
        if isinstance(content, Entry):
            self._apply_entry(item, content)
            return
        policy = item.policy.stated_in(item.source)
        if isinstance(content, Listener):
            row = _row_of(content)
            row.source = item.source
            slot = _Slot.of(content, row)
            slot.state(policy)
        else:
            row = Row(item.text, item.source, "active", key=item.text, policy=policy)
            origin = Origin(item.text, item.source)
            slot = _Slot(id(content), content, policy, origin, row)
        self._add(slot, is_local=item.is_local)

    def _apply_entry(self, item: Item, entry: Entry) -> None:
        lists = (self.own,) if item.is_local else (self.own, self.inherited)
        if entry.operation == "none":
            self.rows.append(Row(entry.text, item.source, "none"))
            for slots in lists:
                _remove(slots, slots, f"by 'none' in {item.source}")
            return
        key = instances.identify(entry.ref, source=item.source)
        if entry.operation == "remove":
            self.rows.append(Row(entry.text, item.source, "removes"))
            for slots in lists:
                _remove(slots, _meant(slots, key, entry.ref), f"by {item.source}")
            return
        rule = settings().rule_against(entry.ref, key.distribution)
        if rule is not None:
            raise HandlerDeniedError(name=str(entry.ref), source=item.source, rule=rule)
        policy = item.policy.stated_in(item.source)
        row = Row(entry.text, item.source, "active", key=str(key), policy=policy)
        slot = _Slot(key, None, policy, Origin(entry.text, item.source), row)
        slot.is_configured = item.is_configured
        self._add(slot, is_local=item.is_local)

    def _add(self, slot: _Slot, *, is_local: bool) -> None:
        self.rows.append(slot.row)
        for slots in (self.own,) if is_local else (self.own, self.inherited):
            kept = next((each for each in slots if each.key == slot.key), None)
            if kept is None:
                slots.append(slot if slots is self.own else _copied(slot))
                continue
            # It keeps its place; its policy becomes the later one where the later one states it.
            kept.state(kept.policy.replaced(slot.policy))
            if slots is self.own:
                slot.row.status, slot.row.merged_into = "merged", kept.row

    def _required(self, slots: list[_Slot], key: instances.Key, row: Row) -> _Slot:
        slot = next((each for each in slots if each.key == key), None)
        if slot is None:
            slot = _Slot(key, None, UNSTATED, Origin(row.text, row.source), row)
            slots.append(slot)
        slot.state(UNSTATED)
        slot.is_required = slot.is_configured = True
        return slot

    def _give_up(self, slot: _Slot, error: ChainCallbacksError) -> None:
        slot.row.status = "broken"
        slot.row.reason = getattr(error, "reason", str(error))
        slot.row.provenance = Provenance(
            getattr(error, "distribution", None), getattr(error, "version", None)
        )
        self._note(slot, error)

    def _refuse(self, row: Row, problem: Problem) -> None:
        row.reason = row.reason or " ".join(str(problem.error).split())
        self.rows.append(row)
        self.problems.append(problem)
        self.is_stopped |= problem.is_fatal

    def _note(self, slot: _Slot, error: ChainCallbacksError) -> None:
        self.problems.append(Problem(error, slot.is_configured, slot.is_required))


def _copied(slot: _Slot) -> _Slot:
    return _Slot(**{name: getattr(slot, name) for name in _Slot.__slots__})


def _meant(slots: Iterable[_Slot], key: instances.Key, ref: Ref) -> list[_Slot]:
    """Return the places of the named handler: of all its instances where *ref* names none."""
    return [
        slot
        for slot in slots
        if isinstance(slot.key, instances.Key)
        and slot.key[:2] == key[:2]
        and ref.instance in (None, slot.key.instance)
    ]


def _remove(slots: list[_Slot], those: Sequence[_Slot], reason: str) -> None:
    for slot in tuple(those):
        slots.remove(slot)
        slot.row.status, slot.row.reason = "removed", reason


def _merge_objects(slots: list[_Slot]) -> None:
    """Merge a second key for one object into the first: one object, one delivery."""
    first: dict[int, _Slot] = {}
    for slot in tuple(slots):
        kept = first.setdefault(id(slot.handler), slot)
        if kept is not slot:
            slots.remove(slot)
            kept.is_required |= slot.is_required
            policy = UNSTATED if kept.is_required else kept.policy.replaced(slot.policy)
            kept.state(policy, kept.operator.replaced(slot.operator))
            slot.row.status, slot.row.merged_into = "merged", kept.row


def _row_of(listener: Listener) -> Row:
    """Return what there is to say of a listener that exists already."""
    text = type(listener.handler).__qualname__
    origin = listener.source
    if not isinstance(origin, Origin):
        origin = Origin(text, "a manager")
    key = str(listener.key) if isinstance(listener.key, instances.Key) else text
    return Row(
        *(origin.text, origin.source, "active", key, listener.policy, origin.provenance),
        listener=listener,
    )
