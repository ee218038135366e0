"""How the cost grows: with handlers, depth, width, concurrent runs, payloads, distributions."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from langchain_core.runnables import RunnableLambda as PeerLambda
from langchain_core.runnables import RunnableParallel as PeerParallel

from chain_callbacks.runnables import RunnableLambda, RunnableParallel

from . import discovery
from .ears import Ears
from .harness import OURS, PEER, Case, Pace, Sample, Side, measure
from .samples import LOOP, repeated, step
from .steps import nested

Make = Callable[[int, type[Any], Ears], Sample]

STRAIGHT: Final = 1.5
"""A line is straight where a unit at its end costs at most so many times what one before did; where
the cost is a square, it is ten times."""


@dataclass(frozen=True)
class Line:
    """One question: how the cost grows with *unit*, at each of *sizes*.

    *is_flat* says that it should not grow at all.
    """

    name: str
    unit: str
    sizes: tuple[int, ...]
    make: Make | None
    is_flat: bool = False


def _handlers(count: int, kind: Any, ears: Ears) -> Sample:
    chain, config = kind(step), {"callbacks": ears.handlers(count)}
    return repeated(lambda: chain.invoke(1, config))


def _depth(depth: int, kind: Any, ears: Ears) -> Sample:
    return nested(depth)(kind, ears)


def _width(width: int, kind: Any, ears: Ears) -> Sample:
    parallel = RunnableParallel if kind is RunnableLambda else PeerParallel
    chain = parallel({f"key{number}": kind(step) for number in range(width)})
    config = {"callbacks": ears.handlers(), "max_concurrency": 4}
    return repeated(lambda: chain.invoke(1, config))


async def _slow(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def _concurrent(runs: int, kind: Any, ears: Ears) -> Sample:
    chain, config = kind(_slow), {"callbacks": ears.handlers()}

    async def work(count: int) -> object:
        outputs: list[Any] = []
        for _ in range(count):
            outputs = await asyncio.gather(*(chain.ainvoke(1, config) for _ in range(runs)))
        return outputs

    return lambda count: LOOP.run_until_complete(work(count))


def _payload(size: int, kind: Any, ears: Ears) -> Sample:
    chain, config = kind(step), {"callbacks": ears.handlers()}
    payload = "x" * size
    return repeated(lambda: len(chain.invoke(payload, config)))


LINES: Final = (
    Line("handlers", "no-op sync handlers of one step", (0, 1, 3, 10, 30), _handlers),
    Line("depth", "steps that invoke each other, 1 handler", (1, 10, 100), _depth),
    Line("width", "parallel children, 1 handler, four threads", (1, 10, 100), _width),
    Line("concurrent runs", "tasks in one loop, 1 handler", (1, 10, 100, 1_000), _concurrent),
    Line(
        "payload",
        "characters of an input that nobody reads, 1 handler",
        (1_000, 100_000, 10_000_000),
        _payload,
        is_flat=True,
    ),
    Line("distributions", "distributions installed, one scan", discovery.SIZES, None),
)


def grown(pace: Pace) -> Iterator[Mapping[str, Any]]:
    """Give what each line came to, as JSON has it."""
    # The peer needs some ten frames a step, and the interpreter has a thousand.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20 * limit)
    try:
        for line in LINES:
            yield _grown(line, pace)
    finally:
        sys.setrecursionlimit(limit)


def _grown(line: Line, pace: Pace) -> Mapping[str, Any]:
    wall: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    for size in line.sizes:
        if line.make is None:
            with discovery.installed(size):
                result = measure(discovery.scan(size), pace)
        else:
            result = measure(_case(line, line.make, size), pace)
        for measured, costs in (
            (wall, result.costs["wall"]),
            (processor, result.costs["processor"]),
        ):
            for side, cost in costs.items():
                measured.setdefault(side, []).append(float(f"{cost:.4g}"))
    bend = bend_of(line.sizes, processor[OURS], is_flat=line.is_flat)
    return {
        "line": line.name,
        "unit": line.unit,
        "sizes": line.sizes,
        "wall": wall,
        "processor": processor,
        "is_flat": line.is_flat,
        "bend": float(f"{bend:.3g}"),
        "met": bend <= STRAIGHT,
    }


def _case(line: Line, make: Make, size: int) -> Case:
    sides = {
        OURS: Side(partial(make, size, RunnableLambda)),
        PEER: Side(partial(make, size, PeerLambda)),
    }
    name = f"{line.name}: {size:,}"
    return Case(name, line.unit, sides, is_ordered=line.name in ("handlers", "depth", "payload"))


def bend_of(sizes: tuple[int, ...], costs: list[float], *, is_flat: bool) -> float:
    """Return how far the end of a line is above a straight one: 1 is straight, less is flatter.

    Of a flat line: how many times what the smallest costs the largest does.
    """
    if is_flat:
        return costs[-1] / costs[0]
    steps = [
        (cost - before) / (size - smaller)
        for size, smaller, cost, before in zip(sizes[1:], sizes, costs[1:], costs, strict=False)
    ]
    earlier = (costs[-2] - costs[0]) / (sizes[-2] - sizes[0])
    return steps[-1] / earlier
