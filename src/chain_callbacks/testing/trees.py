"""From records to runs, and from runs to text that is the same at each time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ..events import EVENTS, STEPS

if TYPE_CHECKING:
    from .records import Record

_COUNTED: Final = {
    "on_llm_new_token": "tokens",
    "on_text": "text",
    "on_retry": "retry",
    "on_agent_action": "action",
    "on_agent_finish": "finish",
    "on_interrupt": "interrupt",
    "on_resume": "resume",
}


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What was heard of one run.

    Attributes:
        number: Its place in the order of first events, from 1.
        id, parent_id, root_id, name, run_type, tags: As the run has them.
        status: Of its last end; None where no end was heard.
        error: The class of the exception that left it; None without one.
        duration: Seconds; None where no end was heard.
        starts, ends: How often either was heard.
        is_orphan: Whether it has a parent of which nothing was heard.
        events: The names of its events, in order.
        custom_events: The names of those that the application issued, in order.
    """

    number: int
    id: UUID
    parent_id: UUID | None
    root_id: UUID
    name: str
    run_type: str
    tags: tuple[str, ...]
    status: str | None
    error: str | None
    duration: float | None
    starts: int
    ends: int
    is_orphan: bool
    events: tuple[str, ...]
    custom_events: tuple[str, ...]


def summaries(records: Sequence[Record]) -> Iterator[RunSummary]:
    """Yield the runs that *records* tell of, in the order of their first event."""
    by_run: dict[UUID, list[Record]] = {}
    for record in records:
        by_run.setdefault(record.run_id, []).append(record)
    for number, heard in enumerate(by_run.values(), 1):
        yield _summary(number, heard, by_run.keys())


def _summary(number: int, heard: list[Record], known: Iterable[UUID]) -> RunSummary:
    first = heard[0]
    ends = [record for record in heard if EVENTS[record.name].phase in ("end", "error")]
    error = ends[-1].payload.get("error") if ends else None
    return RunSummary(
        number=number,
        id=first.run_id,
        parent_id=first.parent_id,
        root_id=first.root_id,
        name=first.run_name,
        run_type=first.run_type,
        tags=first.tags,
        status=ends[-1].status if ends else None,
        error=None if error is None else type(error).__name__,
        duration=ends[-1].duration if ends else None,
        starts=sum(EVENTS[record.name].phase == "start" for record in heard),
        ends=len(ends),
        is_orphan=first.parent_id is not None and first.parent_id not in known,
        events=tuple(record.name for record in heard),
        custom_events=tuple(
            str(record.payload["name"]) for record in heard if record.name == "on_custom_event"
        ),
    )


def draw(runs: Sequence[RunSummary], *, ids: bool) -> list[str]:
    """Return the text of each tree that *runs* make up."""
    children: dict[UUID | None, list[RunSummary]] = {}
    for run in runs:
        children.setdefault(None if run.is_orphan else run.parent_id, []).append(run)
    return ["\n".join(_lines(root, children, 0, ids=ids)) for root in children.get(None, ())]


def _lines(
    run: RunSummary, children: dict[UUID | None, list[RunSummary]], depth: int, *, ids: bool
) -> Iterator[str]:
    number = f"#{run.number} " if ids else ""
    yield f"{'  ' * depth}{number}{_described(run)}"
    for child in _in_order(children.get(run.id, ())):
        yield from _lines(child, children, depth + 1, ids=ids)


def _described(run: RunSummary) -> str:
    words = [run.run_type, run.name]
    if run.tags:
        words.append(f"[{','.join(run.tags)}]")
    if run.status is None:
        words.append("open")
    elif run.status != "ok":
        words.append(run.status)
        if run.status == "error":
            words.append(str(run.error))
    counts = Counter(run.events)
    words += [f"{word}={counts[name]}" for name, word in _COUNTED.items() if counts[name]]
    for name, count in Counter(run.custom_events).items():
        words.append(f"custom:{name}" + (f"={count}" if count > 1 else ""))
    if not run.starts:
        words.append("NEVER STARTED")
    if run.starts > 1:
        words.append("STARTED TWICE")
    if run.ends > 1:
        words.append("ENDED TWICE")
    if run.is_orphan:
        words.append("orphan")
    return " ".join(words)


def _place(run: RunSummary) -> tuple[str, str]:
    """Return which sort of place in a composition the run's tags name, and which one."""
    for tag in run.tags:
        for step in STEPS:
            if tag.startswith(step.begins):
                return step.begins, tag.removeprefix(step.begins)
    return "", ""


def _in_order(siblings: Iterable[RunSummary]) -> Iterator[RunSummary]:
    """Yield siblings in the order of their starts, those of one sort of place in that of places."""
    for sort, group in groupby(siblings, key=lambda run: _place(run)[0]):
        runs = list(group)
        if sort:
            runs.sort(key=lambda run: _natural(_place(run)[1]))
        yield from runs


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key by which ``2`` comes before ``10``."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def problems_of(runs: Sequence[RunSummary]) -> list[str]:
    """Return a sentence for each start without its one end, and for whatever else must not be."""
    found: list[str] = []
    for run in runs:
        label = f"{run.run_type} {run.name!r} (#{run.number})"
        if not run.starts:
            found.append(f"{label} never started, and issued {run.events[0]}.")
        if run.starts > 1:
            found.append(f"{label} started {run.starts} times.")
        if run.starts and not run.ends:
            found.append(f"{label} started and never ended.")
        if run.ends > 1:
            found.append(f"{label} ended {run.ends} times.")
        if run.is_orphan:
            found.append(f"{label} has the parent {run.parent_id}, of which nothing was heard.")
    return found
