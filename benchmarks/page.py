"""Writes docs/explanation/performance.md and its pictures: `python -m benchmarks.page`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from . import numbers, pictures

FOLDER: Final = Path(__file__).parents[1] / "docs" / "explanation"

BARS: Final = "performance-bars.svg"
GROWTH: Final = "performance-growth.svg"

_HEAD: Final = """# Performance

`nox -s bench`, or `python -m benchmarks`, measures this project against its peers and writes this
page with its pictures; `--quick` holds a short run against the numbers that are kept, `--only`
takes some of it. The numbers are those of `benchmarks/results.json`, made on {machine}.

## How the numbers are made

On a noisy machine only what ran side by side can be compared. So all sides of a case run in one
process, in turn, many times over, and a ratio is one of medians. Two clocks are read: the wall
clock, and processor time divided by that of a fixed piece of pure Python that runs before and
after each sample, which holds still where the machine does not. The second one decides; where the
two differ much, a side waits for other threads.

A cost is what is above the plain call: the same function called without any framework, the same
generator read directly. Each side does the same work. Before it is timed it runs once with
handlers that record, and a case whose sides were not told the same is refused. All sides are
given the very same handlers, plain classes with the attributes that langchain-core reads. The
*floor* is a loop over bound methods with literal keywords, a fresh dict and fresh lists: what
Python itself asks for. Fresh processes have what they import compiled beforehand, all of them.

What can be counted is counted, and a test holds it: `tests/costs` fails where somebody adds a
call, a copy, a look-up or a look at the environment to the way of a run.

## Against the peers

{met} of {count} goals are met. Costs are above the plain call. What is *reached* is by processor
time; what it is *by the clock* stands beside it.

{table}

![What a call costs, by case and side, on a logarithmic scale](performance-bars.svg)
"""

_GROWTH: Final = """
## How it grows

A *bend* is what one more costs at the end of the line, over what one more costs before it: 1 is a
straight line, less is flatter, and a cost that grew with the square would show 10. Of a flat line
it is the largest over the smallest.

{table}

![How the cost grows, both scales logarithmic](performance-growth.svg)
"""

# By hand: what a profile said. Whoever changes the way of a run looks again.
_LIMITS: Final = """
## Where the rest goes

What a profile says of the goals that are not met, and why they stay where they are. The calls are
those that `tests/costs` holds.

- **One step, no handler, nested.** Five calls are left: the caller's `invoke`, one that asks who
  listens, the step's own, the function. langchain-core costs what it does at a root; ours, too.
- **One step, 1 handler.** 20 Python calls: 4 are the function's and the handler's, 5 find out who
  listens, 4 make the run and its id, 4 tell of the start and the end, 3 are `invoke` itself and
  what it shows of input and output. The floor has none of a run: no id of version 7, no parent, no
  status, no two clocks, no context variable that is set and taken back. What could go yet is the
  look at the environment at every root call, by which `CHAIN_CALLBACKS` holds for a process that
  changes it.
- **3 handlers, sequences, `ainvoke`, batches.** The same run, once for each step or item; a
  sequence has a child manager for each step, since it carries the step's tag.
- **A fresh handler every call.** It is looked at as if nobody had seen it: is it a handler, which
  events does it hear, in what manner; its class is asked once, the list is built anew. 90 calls, of
  which 25 are routes and sinks.
- **Async handlers.** An end is told in a task of its own, so that a cancellation cannot take it
  away; langchain-core shields its ends, too. Without that task it would be 40 us instead of 71.
- **Start and end on the manager.** langchain-core's managers, which make no run, cost six times the
  floor. Ours make a run beside the two calls: its end is told once, whatever happens.
- **A token, nobody listens.** One generator more than the caller wrote, and the iterator that ends
  the run when the caller leaves it.
- **A token, 1 listener.** 13 calls: each token is told with a chunk, as any event is, with the run
  current in the model's code and not in the caller's. langchain-core's own generator costs it nine
  times what ours does; only what is above it counts here.
- **Errors alone.** A run is made, for a failure needs its place in the tree; its id is not.
- **Queued, the caller's cost.** A view of each event is made where it happens, so that a list that
  changes later is shown as it was. With the same view, an inline handler costs four fifths of it;
  the rest is a lock and a bell.
- **`structlog`, 4 kB redacted.** Two views with 4 kB looked through for secrets, and the text of
  the whole payload, whose length the line says, are as much as both lines. It was 24 times.
- **Imports.** `asyncio` is not imported before it is used. What remains are
  `inspect`, `dataclasses`, `logging` and our own 60 modules; with `structlog`, its own.
"""

_SKIPPED: Final = """
## What is not measured yet

{rows}
"""


def write() -> None:
    """Write the page and its pictures."""
    for name, text in made().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def made() -> dict[str, str]:
    """Return the page and its pictures, by the name of the file."""
    data = numbers.kept()
    return {
        "performance.md": _page(data),
        BARS: pictures.bars(data["cases"]),
        GROWTH: pictures.lines(data["growth"]),
    }


def _page(data: Mapping[str, Any]) -> str:
    goals = [goal for case in data["cases"] for goal in case["goals"]]
    rows = [
        "| case | work | ours | other side | goal | reached | |",
        "|---|---|---|---|---|---|---|",
    ]
    rows += [row for case in data["cases"] for row in _rows(case)]
    head = _HEAD.format(
        machine=numbers.sentence(data["machine"]),
        met=sum(goal["met"] for goal in goals),
        count=len(goals),
        table="\n".join(rows),
    )
    grown = ["| with | unit | cost | goal | bend | |", "|---|---|---|---|---|---|"]
    grown += [_row_of_growth(line) for line in data["growth"]]
    skipped = "\n".join(f"- {each['case']}: {each['reason']}" for each in data["skipped"])
    return "".join(
        (
            head,
            _GROWTH.format(table="\n".join(grown)),
            _LIMITS,
            _SKIPPED.format(rows=skipped) if skipped else "",
        )
    )


def _rows(case: Mapping[str, Any]) -> Iterator[str]:
    sides = numbers.sides_of(case)
    for number, goal in enumerate(case["goals"] or [None]):
        ours = (goal or {}).get("ours", sides[0])
        peers = [goal["peer"]] if goal and goal["peer"] else [s for s in sides if s != ours]
        yield _row(
            *((case["case"], case["work"]) if number == 0 else ("", "")),
            numbers.shown(case, ours),
            ", ".join(f"{peer} {numbers.shown(case, peer)}" for peer in peers),
            goal["goal"] if goal else "",
            numbers.amount(goal) if goal else "",
            f"{goal['by_wall_clock']:.3g} times" if goal and numbers.is_ratio(goal) else "",
            _met(goal) if goal else "",
        )


def _row_of_growth(line: Mapping[str, Any]) -> str:
    ours = next(iter(line["wall"].values()))
    costs = ", ".join(
        f"{size:,}: {numbers.duration(cost)}"
        for size, cost in zip(line["sizes"], ours, strict=True)
    )
    goal = "flat" if line["is_flat"] else "straight or flatter"
    return _row(line["line"], line["unit"], costs, goal, f"{line['bend']:.2f}", _met(line))


def _met(goal: Mapping[str, Any]) -> str:
    return "met" if goal["met"] else "not yet"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


if __name__ == "__main__":
    write()
