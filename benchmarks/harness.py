"""Interleaved timing: on a noisy machine only what ran side by side can be compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One comparison: the same work done by each contender.

    Attributes:
        name: What is measured.
        work: What each contender does and must have delivered.
        contenders: By name; the first one is ours. Each call does the work once and returns
            what it delivered, which must be equal for all.
        goal: The ratio of a peer's median to ours that is aimed at, by peer.
        calls: Calls in one sample.
    """

    name: str
    work: str
    contenders: Mapping[str, Callable[[], object]]
    goal: Mapping[str, float]
    calls: int = 1


@dataclass(frozen=True)
class Result:
    """Seconds a call, the median of the repeats, by contender."""

    case: Case
    medians: Mapping[str, float]

    def ratio(self, peer: str) -> float:
        """Return how many times longer *peer* took than we did."""
        ours = next(iter(self.medians.values()))
        return self.medians[peer] / ours


def measure(case: Case, *, repeats: int) -> Result:
    """Return the medians of *repeats* samples, taken in turn, after one that is not counted.

    Raises:
        AssertionError: The contenders did not deliver the same.
    """
    delivered = {name: call() for name, call in case.contenders.items()}
    first = next(iter(delivered.values()))
    for name, value in delivered.items():
        if value != first:
            raise AssertionError(f"{case.name}: {name} delivered {value!r} and not {first!r}")
    samples: dict[str, list[float]] = {name: [] for name in case.contenders}
    for _ in range(repeats):
        for name, call in case.contenders.items():
            begin = time.perf_counter()
            for _ in range(case.calls):
                call()
            samples[name].append((time.perf_counter() - begin) / case.calls)
    return Result(case, {name: statistics.median(taken) for name, taken in samples.items()})


def table(results: Sequence[Result]) -> str:
    """Return the results for people: a line for each peer of each case."""
    lines = [("case", "contender", "median", "ratio to ours", "goal")]
    for result in results:
        for peer, median in result.medians.items():
            goal = result.case.goal.get(peer)
            lines.append(
                (
                    result.case.name,
                    peer,
                    f"{median * 1e6:,.1f} us",
                    f"{result.ratio(peer):.2f}",
                    "-" if goal is None else f">= {goal:g}",
                )
            )
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
