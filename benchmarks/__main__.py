"""Measure, print the table of ratios, and keep the numbers: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from . import (
    bridges,
    counts,
    deliveries,
    discovery,
    growth,
    managers,
    numbers,
    page,
    processes,
    steps,
    streams,
)
from .harness import Case, Counted, Pace, Result, Skipped, counted, measure

SECTIONS: Final = {
    "steps": steps.cases,
    "managers": managers.cases,
    "streams": streams.cases,
    "deliveries": deliveries.cases,
    "counts": counts.cases,
    "processes": processes.cases,
    "bridges": bridges.cases,
    "discovery": discovery.cases,
}
GROWTH: Final = "growth"
QUICK: Final = Pace(sample=0.002, repeats=3)


def main() -> int:
    """Measure what is asked for; return 0 whatever came out, for it is no test."""
    options = _parser().parse_args()
    # What a discovered package of the path says of itself is no concern of these numbers.
    logging.disable(logging.CRITICAL)
    wanted = options.only or [*SECTIONS, *([] if options.quick else [GROWTH])]
    kept = numbers.kept()
    data: dict[str, Any] = {"machine": _machine(), "cases": [], "skipped": [], GROWTH: []}
    print(numbers.sentence(data["machine"]))
    for result in _results(wanted, is_quick=options.quick):
        if isinstance(result, Skipped):
            data["skipped"].append({"case": result.name, "reason": result.reason})
            print(f"{result.name}\n    skipped: {result.reason}")
        else:
            data["cases"].append(result.data())
            print(numbers.lines(data["cases"][-1], kept))
    if GROWTH in wanted:
        for line in growth.grown(QUICK if options.quick else Pace()):
            data[GROWTH].append(line)
            print(numbers.line_of_growth(line))
    print(numbers.summary(data))
    path = options.json
    if path is None and not options.quick and not options.only:
        path = numbers.KEPT
    if path is not None:
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        if path == numbers.KEPT:
            page.write()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few samples, held against the numbers that are kept"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="SECTION",
        choices=[*SECTIONS, GROWTH],
        help=f"some of {', '.join([*SECTIONS, GROWTH])}",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="PATH",
        help="where the numbers go; those of a whole run to benchmarks/results.json, and from "
        "there into the docs",
    )
    return parser


def _results(wanted: Iterable[str], *, is_quick: bool) -> Iterator[Result | Skipped]:
    pace = QUICK if is_quick else Pace()
    sections = {
        **SECTIONS,
        "counts": partial(counts.cases, runs=counts.RUNS // (50 if is_quick else 1)),
    }
    for name in wanted:
        if name == GROWTH:
            continue
        cases: Iterable[Case | Counted | Skipped] = sections[name]()
        for case in cases:
            if isinstance(case, Skipped):
                yield case
            elif isinstance(case, Counted):
                yield counted(case)
            else:
                yield measure(case, pace)


def _machine() -> Mapping[str, Any]:
    peers = ("langchain-core", "opentelemetry-sdk", "pluggy", "stevedore", "structlog")
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in peers},
    }


if __name__ == "__main__":
    sys.exit(main())
