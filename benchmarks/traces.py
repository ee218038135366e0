"""Our spans beside those of others, of one LangGraph agent: `python -m benchmarks.traces`.

Each contender runs in processes of its own, since instrumentations cannot be taken out again, a few
times in turn. What came out is kept in ``traces.json``; the page with the tables is made of that.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

ROUNDS: Final = 5
KEPT: Final = Path(__file__).with_name("traces.json")
PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "opentelemetry-compared.md"


class Contender(NamedTuple):
    """Whose spans they are, how it is set up, and with which variables."""

    title: str
    way: str
    distribution: str
    variables: Mapping[str, str]


PLAIN: Final = Contender("nothing", "none", "langgraph", {})
CONTENDERS: Final = (
    Contender("ours", "ours", "chain-callbacks-otel", {"CHAIN_CALLBACKS": "otel"}),
    Contender("genai", "genai", "opentelemetry-instrumentation-genai-langchain", {}),
    Contender(
        "ours, all",
        "ours",
        "chain-callbacks-otel",
        {
            "CHAIN_CALLBACKS": "otel",
            "CHAIN_CALLBACKS_OTEL__CONTENT": "full",
            "CHAIN_CALLBACKS_OTEL__CONVENTIONS": "genai,openinference",
        },
    ),
    Contender(
        "genai, all",
        "genai",
        "opentelemetry-instrumentation-genai-langchain",
        {
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
            "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
        },
    ),
    Contender("openinference", "openinference", "openinference-instrumentation-langchain", {}),
)


def main() -> None:
    """Run everybody, keep what came out, write the page."""
    rounds = [[_run(each) for each in (PLAIN, *CONTENDERS)] for _ in range(ROUNDS)]
    plain, *found = rounds[-1]
    # Of one round, one after the other: what another round took on a busy machine says nothing.
    above = [
        statistics.median(each[place]["seconds"] / each[0]["seconds"] - 1 for each in rounds)
        for place in range(1, len(CONTENDERS) + 1)
    ]
    data = {
        "versions": {
            each: version(each) for each in ("langchain-core", "langgraph", "opentelemetry-sdk")
        },
        "plain": {"calls": plain["calls"]},
        "contenders": [
            {
                "title": contender.title,
                "distribution": contender.distribution,
                "version": version(contender.distribution),
                "variables": dict(contender.variables),
                **_facts(each),
                "calls": each["calls"] - plain["calls"],
                "above": share,
            }
            for contender, each, share in zip(CONTENDERS, found, above, strict=True)
        ],
    }
    KEPT.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


def _run(contender: Contender) -> dict[str, Any]:
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "LANG", "OTEL_", "OPENINFERENCE"))
    }
    done = subprocess.run(  # noqa: S603  It is this interpreter, with a word of ours.
        [sys.executable, "-m", "benchmarks.traced_graph", contender.way],
        check=True,
        stdout=subprocess.PIPE,
        env={**outside, **contender.variables},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _facts(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page tells of the spans: no ids, and no values."""
    spans = found["sound"]
    places = {span["id"]: place for place, span in enumerate(spans)}
    return {
        "traces": len({span["trace"] for span in spans}),
        "spans": [
            {
                "name": span["name"],
                "parent": places.get(span["parent"]),
                "attributes": sorted({_pattern(name) for name in span["attributes"]}),
            }
            for span in spans
        ],
        "broken": [
            {
                "name": span["name"],
                "status": span["status"],
                "error.type": span["attributes"].get("error.type"),
                "events": span["events"],
            }
            for span in found["broken"]
        ],
    }


def _pattern(attribute: str) -> str:
    """Return an attribute's name without its place in a list."""
    return re.sub(r"\.\d+\.", ".N.", attribute)


def page() -> str:
    """Return the page as the kept numbers have it."""
    data = json.loads(KEPT.read_text("utf-8"))
    found = data["contenders"]
    return _HEAD.format(
        **{name.replace("-", "_"): each for name, each in data["versions"].items()},
        who=_table(("column", "distribution", "version", "set with"), _who(found)),
        overview=_table(("", *(each["title"] for each in found)), _overview(data)),
        trees="\n".join(_trees(found)),
        lacking=_lacking(found),
        attributes="\n".join(_attributes(found)),
    )


def _who(found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for each in found:
        variables = ", ".join(f"`{k}={v}`" for k, v in each["variables"].items())
        title, named = each["title"], f"`{each['distribution']}`"
        yield title, named, each["version"], variables or "as it comes"


def _overview(data: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    found = data["contenders"]
    own = [_own(each["spans"]) for each in found]

    def row(what: str, facts: Iterator[object]) -> tuple[str, ...]:
        return (what, *map(str, facts))

    yield row(
        "spans of a run",
        (len(each["spans"]) - len(its) for each, its in zip(found, own, strict=True)),
    )
    yield row("traces of a run", (each["traces"] for each in found))
    yield row(
        "the program's own span in a tool is a child of",
        (_parents(each["spans"], its) for each, its in zip(found, own, strict=True)),
    )
    yield row(
        "attributes, all spans together",
        (sum(len(span["attributes"]) for span in each["spans"]) for each in found),
    )
    yield row("a node raises: spans with status ERROR", (_failed(each) for each in found))
    yield row(
        "`error.type`", (_named(span["error.type"] for span in each["broken"]) for each in found)
    )
    yield row(
        "exception events", (sum(len(span["events"]) for span in each["broken"]) for each in found)
    )
    plain = data["plain"]
    yield row(
        f"calls of Python functions added to {plain['calls']}",
        (each["calls"] for each in found),
    )
    yield row("per span", (round(each["calls"] / _count(each)) for each in found))
    yield row("processor time above the plain run", (f"{each['above']:.0%}" for each in found))
    yield row("per span", (f"{each['above'] / _count(each):.1%}" for each in found))


def _own(spans: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in spans if each["name"] == "a span of the program"]


def _count(each: Mapping[str, Any]) -> int:
    return len(each["spans"]) - len(_own(each["spans"]))


def _parents(spans: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> str:
    names = {
        "nothing" if each["parent"] is None else f"`{spans[each['parent']]['name']}`"
        for each in own
    }
    return ", ".join(sorted(names))


def _failed(each: Mapping[str, Any]) -> str:
    return f"{sum(span['status'] == 'ERROR' for span in each['broken'])} of {len(each['broken'])}"


def _named(values: Iterator[Any]) -> str:
    return ", ".join(sorted({str(each) for each in values if each})) or "none"


def _trees(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    told: set[str] = set()
    for each in found:
        if each["distribution"] not in told:
            told.add(each["distribution"])
            yield f"`{each['distribution']}`:\n\n```text\n{_tree(each['spans'])}\n```\n"


def _tree(spans: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for span in spans:
        depth, parent = 0, span["parent"]
        while parent is not None:
            depth, parent = depth + 1, spans[parent]["parent"]
        lines.append((span, depth))
    below: dict[int | None, list[int]] = {}
    for place, span in enumerate(spans):
        below.setdefault(span["parent"], []).append(place)
    drawn: list[str] = []
    waiting = [*reversed(below.get(None, []))]
    while waiting:
        place = waiting.pop()
        span, depth = lines[place]
        drawn.append("  " * depth + span["name"])
        waiting += reversed(below.get(place, []))
    return "\n".join(drawn)


_KINDS: Final = {
    "The agent": ("invoke_workflow adder", "adder"),
    "A step of it": ("think",),
    "A call of the model": ("chat gpt-4o-mini", "ChatOpenAI"),
    "A call of a tool": ("execute_tool add", "add"),
}


def _lacking(found: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence on what others have in a span and ours has not, all switched on."""
    has = {
        each["title"]: {
            name for span in each["spans"] for name in span["attributes"] if _own([span]) == []
        }
        for each in found
    }
    names = sorted((has["genai, all"] | has["openinference"]) - has["ours, all"])
    return f"Ours do not have {', '.join(f'`{each}`' for each in names)}." if names else ""


def _attributes(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for title, names in _KINDS.items():
        has = [
            {name for span in each["spans"] if span["name"] in names for name in span["attributes"]}
            for each in found
        ]
        rows = [
            (f"`{name}`", *("✓" if name in each else "" for each in has))
            for name in sorted(set().union(*has))
        ]
        yield f"### {title}\n\n{_table(('attribute', *(each['title'] for each in found)), rows)}\n"


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


_HEAD: Final = """# OpenTelemetry, compared

`nox -s traces`, or `python -m benchmarks.traces`, runs one LangGraph agent under each of those who
make spans of LangChain's runs, and writes this page. The agent calls its model (`ChatOpenAI`, its
answers made up where the request would leave the process), two tools at once, each with a span of
the program's own in it, and its model again; then another one fails in its first node.
langchain-core {langchain_core}, langgraph {langgraph}, opentelemetry-sdk {opentelemetry_sdk}.

{who}

*all* is everything switched on: content, and what else there is. OpenInference's spans have content
unless they are told otherwise.

## Side by side

{overview}

Calls are counted over all threads, one run, with a span processor that only keeps what ended. Time
is the processor's, of all threads: the median of 60 runs, above that of the plain run of the same
round, and of that the median of five rounds. On a busy machine it moves by a third from one
measurement to the next, and at times by more; the calls hardly move.

A run with fewer spans costs less. `genai` makes none for the nodes of a graph, nor for what is
called in them: which node failed, or called the model, is not to be seen. OpenInference's spans are
never the current ones, so that what a program, or an HTTP client, makes inside is a trace of its
own.

## The trees

{trees}
## Attributes

Names, in all spans of a kind together; `N` is a place in a list. {lacking}
What a tool is for stands in the definitions that its model is given; the event of its run does not
bring it.

{attributes}"""


if __name__ == "__main__":
    main()
