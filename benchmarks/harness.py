"""Interleaved timing: on a noisy machine only what ran side by side can be compared."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from .ears import Ears

Sample = Callable[[int], object]
"""Does the work so many times; what it returns the last time is compared, too."""

OURS: Final = "chain-callbacks"
PEER: Final = "langchain-core"
FLOOR: Final = "floor"
PLAIN: Final = "plain"

Measure = Literal["wall", "processor", "count"]


@dataclass(frozen=True)
class Side:
    """One contender.

    Attributes:
        make: Returns the side's work, with the handlers that the ears have for it.
        above: The side whose cost is taken off, the user's own function mostly.
        per: How many items one call works on: the cost is that of an item.
        tells: Whether what it told is compared with what the others did.
    """

    make: Callable[[Ears], Sample]
    above: str | None = None
    per: int = 1
    tells: bool = True


@dataclass(frozen=True)
class Goal:
    """What is aimed at: how we, above the plain call, are to stand to another side.

    *kind* ``ahead``: the other costs at least *bound* times what we do. ``within``: we cost at
    most *bound* times what it does. ``more``: we cost at most *bound* seconds more; ``takes``: at
    most *bound* in all.
    """

    kind: Literal["ahead", "within", "more", "takes"]
    bound: float
    peer: str = ""
    ours: str = OURS

    def __str__(self) -> str:
        bound = f"{self.bound:g}"
        if self.kind == "more" or 0 < self.bound < 1:
            bound = f"{self.bound * 1e6:g} us"
        return {
            "ahead": f"{bound} times less than {self.peer}",
            "within": f"at most {bound} times {self.peer}",
            "more": f"at most {bound} above {self.peer}",
            "takes": f"at most {bound}",
        }[self.kind]

    def reached(self, cost: Callable[[str], float]) -> float:
        """Return the number to hold against the bound."""
        ours = cost(self.ours)
        if self.kind == "takes":
            return ours
        peer = cost(self.peer)
        if self.kind == "more":
            return ours - peer
        return peer / ours if self.kind == "ahead" else ours / peer

    def is_met(self, reached: float) -> bool:
        """Tell whether *reached* is as good as the bound."""
        return reached >= self.bound if self.kind == "ahead" else reached <= self.bound


@dataclass(frozen=True)
class Case:
    """One comparison: the same work done by each side.

    Attributes:
        name: What is measured.
        work: What each side does and must have delivered.
        sides: By name.
        is_ordered: Whether events are told in one order; not so where threads work.
        is_alike: Whether what the sides tell and return is compared.
        repeats: The most samples of each side, where the pace says more.
        processor: What tells the processor time that was used until now, in seconds.
    """

    name: str
    work: str
    sides: Mapping[str, Side]
    goals: tuple[Goal, ...] = ()
    is_ordered: bool = True
    is_alike: bool = True
    repeats: int | None = None
    processor: Callable[[], float] = time.process_time


@dataclass(frozen=True)
class Counted:
    """What was counted and not timed, by side: it is the same on every machine."""

    name: str
    work: str
    counts: Mapping[str, float]
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A case that cannot be measured yet, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Pace:
    """How much time is spent: seconds a sample, and samples of each side of a case."""

    sample: float = 0.02
    repeats: int = 19


@dataclass(frozen=True)
class Result:
    """What a case gave.

    Attributes:
        costs: By measure and side: seconds by the wall clock; processor time in kernels; counts.
        net: The same above the side that is taken off.
        alone: The sides that are taken off of others.
        kernel: Seconds of processor time that the kernel took.
    """

    name: str
    work: str
    costs: Mapping[Measure, Mapping[str, float]]
    net: Mapping[Measure, Mapping[str, float]]
    goals: tuple[Goal, ...] = ()
    alone: tuple[str, ...] = ()
    kernel: float = 0.0

    def measure_of(self, goal: Goal) -> Measure:
        """Return the measure that decides: processor time, unless a goal is in seconds."""
        if "count" in self.costs:
            return "count"
        return "wall" if goal.kind == "takes" else "processor"

    def reached(self, goal: Goal, measure: Measure | None = None) -> float:
        """Return the number that a goal's bound is held against."""
        by = measure or self.measure_of(goal)
        # A difference in seconds, as if the machine had been steady.
        seconds = self.kernel if goal.kind == "more" and by == "processor" else 1
        return goal.reached(self.net[by].__getitem__) * seconds

    def data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "case": self.name,
            "work": self.work,
            "alone": self.alone,
            "costs": {key: _rounded(costs) for key, costs in self.costs.items()},
            "net": {key: _rounded(costs) for key, costs in self.net.items()},
            "goals": [
                {
                    "goal": str(goal),
                    "kind": goal.kind,
                    "ours": goal.ours,
                    "peer": goal.peer,
                    "bound": goal.bound,
                    "reached": _significant(self.reached(goal)),
                    **(
                        {"by_wall_clock": _significant(self.reached(goal, "wall"))}
                        if "wall" in self.costs
                        else {}
                    ),
                    "met": goal.is_met(self.reached(goal)),
                }
                for goal in self.goals
            ],
        }


def _significant(number: float) -> float:
    return float(f"{number:.4g}")


def _rounded(costs: Mapping[str, float]) -> dict[str, float]:
    return {name: _significant(cost) for name, cost in costs.items()}


def kernel() -> int:
    """Do a fixed piece of pure Python: calls, a dict, a list, attributes, about a millisecond."""
    total = 0
    for number in range(2_000):
        row = {"number": number, "items": [number]}
        total += _add(row["number"], len(row["items"]))
    return total


def _add(one: int, other: int) -> int:
    return one + other


def check(case: Case) -> None:
    """Refuse a case whose sides don't do the same.

    Raises:
        AssertionError: They told, or returned, something else.
    """
    expected: tuple[str, object] | None = None
    for name, side in case.sides.items():
        if not side.tells:
            continue
        ears = Ears(records=True)
        result = side.make(ears)(1)
        heard = ears.heard if case.is_ordered else sorted(ears.heard, key=repr)
        told = (result, heard)
        if expected is None:
            expected = (name, told)
        elif told != expected[1]:
            raise AssertionError(
                f"{case.name}: {name} gave {told!r}, and {expected[0]} {expected[1]!r}"
            )


def measure(case: Case, pace: Pace) -> Result:
    """Return the medians of samples that are taken in turn, after some that are not counted."""
    if case.is_alike:
        check(case)
    samples = {name: side.make(Ears(records=False)) for name, side in case.sides.items()}
    calls = {name: _calls(sample, pace) for name, sample in samples.items()}
    gc.collect()
    taken: dict[Measure, dict[str, list[float]]] = {
        "wall": {name: [] for name in samples},
        "processor": {name: [] for name in samples},
    }
    before = _processor(kernel)
    kernels = [before]
    for _ in range(min(case.repeats or pace.repeats, pace.repeats)):
        for name, sample in samples.items():
            began, used = time.perf_counter(), case.processor()
            sample(calls[name])
            used, lasted = case.processor() - used, time.perf_counter() - began
            after = _processor(kernel)
            items = calls[name] * case.sides[name].per
            taken["wall"][name].append(lasted / items)
            taken["processor"][name].append(used / items / ((before + after) / 2))
            before = after
            kernels.append(after)
    return result_of(case, taken, statistics.median(kernels))


def result_of(
    case: Case, taken: Mapping[Measure, Mapping[str, list[float]]], kernel: float
) -> Result:
    """Return the medians of what was taken of each side."""
    costs: dict[Measure, dict[str, float]] = {
        measure: {name: statistics.median(values) for name, values in by_side.items()}
        for measure, by_side in taken.items()
    }
    net: dict[Measure, dict[str, float]] = {
        measure: {
            name: max(cost - by_side[above], cost / 1000)
            if (above := case.sides[name].above)
            else cost
            for name, cost in by_side.items()
        }
        for measure, by_side in costs.items()
    }
    alone = tuple(dict.fromkeys(side.above for side in case.sides.values() if side.above))
    return Result(case.name, case.work, costs, net, case.goals, alone, kernel)


def counted(case: Counted) -> Result:
    """Return what was counted as a result like the others."""
    counts: dict[Measure, Mapping[str, float]] = {"count": case.counts}
    return Result(case.name, case.work, counts, counts, case.goals)


def _processor(work: Callable[[], object]) -> float:
    # Of this thread: another one may still be busy with what a side left to it.
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _calls(sample: Sample, pace: Pace) -> int:
    calls = 1
    while True:
        began = time.perf_counter()
        sample(calls)
        lasted = time.perf_counter() - began
        if lasted > pace.sample / 3:
            return max(1, round(calls * pace.sample / lasted))
        calls *= 3
