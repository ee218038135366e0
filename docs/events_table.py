"""Writes docs/reference/events.md from the event table: `python docs/events_table.py`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chain_callbacks.dispatch.handler_class import FACTS
from chain_callbacks.events import EVENTS, KINDS, EventSpec

PAGE = Path(__file__).parent / "reference" / "events.md"

HEAD = """# Events

Made from `chain_callbacks.events` by `python docs/events_table.py`.

A handler is told of an event by the method of its name: the payload first, in the order of the
table, what stands behind `*` and all facts by keyword. Names and arguments are LangChain's. Take
what you need and end with `**kwargs`. Not overriding an event is ignoring it, and costs nothing.

"""

FACTS_HEAD = """
## Facts

Every event brings `run_id`, `parent_run_id` and `tags`; a start brings `metadata`, `name` and
`run_type` as well. The others are given to a handler that names them in its signature, at any
event.

"""

FACTS_MEAN = {
    "run_id": ("`UUID`", "of the run; version 7, so that ids sort by time"),
    "parent_run_id": ("`UUID`, `None` for a root", "of the run around it"),
    "tags": ("`list[str]`", "of the run, those inherited first; a fresh list"),
    "metadata": ("`dict`", "of the run, with what is inherited; a fresh dict"),
    "name": ("`str`", "of the run"),
    "run_type": ("`str`", "one of the types above"),
    "root_run_id": ("`UUID`", "of the topmost run"),
    "depth": ("`int`", "0 for a root"),
    "status": (
        "`str`, `None` before the end",
        "`ok`, `closed`, `error`, `cancelled`, `interrupted`",
    ),
    "started": ("`datetime`", "in UTC"),
    "duration": ("`float`, `None` before the end", "seconds, by a monotonic clock"),
    "error_id": (
        "`UUID`, `None` without an error",
        "one for one exception, at every run that it leaves",
    ),
    "is_origin": ("`bool`", "whether the exception began in this run and not in one nested in it"),
    "origin": ("`tuple[str, ...]`", "the names of the runs from the root to where it began"),
    "content": ("`str`", "how much of the payload is shown: `full`, `redacted` or `none`"),
}

STATUS = """
`closed` is a stream that its reader left; it ends with its end event. `cancelled` (a cancelled
task, Ctrl-C) ends with the error event. `only=errors` hears runs with the status `error` alone.

## Flags

A handler silences a group of events with a class attribute, as LangChain's do:

"""

RECORD = """
## `on_event`

A handler with a method `on_event(record)` receives everything: `record.name`, `record.run` (an
object with `id`, `parent_id`, `root_id`, `depth`, `name`, `run_type`, `tags`, `metadata`,
`started`, `status`, `duration`) and `record.payload`, the arguments by name. It is what an
exporter wants.
"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = [*head]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _arguments(spec: EventSpec[Any]) -> str:
    positional = ", ".join(spec.positional)
    return f"`{positional}, *, {', '.join(spec.keywords)}`" if spec.keywords else f"`{positional}`"


def page() -> str:
    """Return the whole page."""
    if FACTS.keys() != FACTS_MEAN.keys():
        raise ValueError(f"The page and the code differ in {FACTS.keys() ^ FACTS_MEAN.keys()}.")
    flags: dict[str, list[str]] = {}
    for spec in EVENTS.values():
        for flag in spec.ignored_by:
            flags.setdefault(flag, []).append(f"`{spec.name}`")
    chat = KINDS["chat_model"].start.ignored_by
    return "".join(
        (
            HEAD,
            _table(
                ("event", "arguments", "when"),
                (
                    (
                        f"`{spec.name}`",
                        _arguments(spec),
                        " ".join(spec.does.split()).replace("``", "`"),
                    )
                    for spec in EVENTS.values()
                ),
            ),
            "\n## Runs\n\nA run has one start, and exactly one end or error, whatever happens.\n\n",
            _table(
                ("type", "start", "end", "error"),
                (
                    [
                        f"`{each}`"
                        for each in (name, kind.start.name, kind.end.name, kind.error.name)
                    ]
                    for name, kind in KINDS.items()
                ),
            ),
            FACTS_HEAD,
            _table(
                ("keyword", "type", "what it is"),
                ((f"`{name}`", *FACTS_MEAN[name]) for name in FACTS),
            ),
            STATUS,
            _table(("flag", "silences"), ((f"`{k}`", ", ".join(v)) for k, v in flags.items())),
            f"\nFor a chat model's runs either of {' and '.join(f'`{each}`' for each in chat)} ",
            "silences start, end and error alike.\n",
            RECORD,
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
