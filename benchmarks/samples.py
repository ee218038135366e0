"""What cases are made of: the user's function, loops around a call, and the floor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID

from .ears import Ears
from .harness import Sample, Side

RUN_ID: Final = UUID("01890a5d-ac96-774b-bcce-b302099a8057")

LOOP: Final = asyncio.new_event_loop()
"""One loop for all that is asynchronous, so that starting one is nobody's cost."""


def step(value: Any) -> Any:
    """Be the user's own function: it hands its input on."""
    return value


async def astep(value: Any) -> Any:
    """Be the user's own function, asynchronous."""
    return value


def repeated(call: Callable[[], object]) -> Sample:
    """Return what makes so many calls, one after the other."""

    def sample(count: int) -> object:
        result = None
        for _ in range(count):
            result = call()
        return result

    return sample


def awaited(call: Callable[[], Coroutine[Any, Any, object]]) -> Sample:
    """Return what awaits so many calls, one after the other, in one task."""

    async def work(count: int) -> object:
        result = None
        for _ in range(count):
            result = await call()
        return result

    return lambda count: LOOP.run_until_complete(work(count))


def plain() -> Side:
    """Return the call of the user's function alone."""
    return Side(lambda _ears: repeated(lambda: step(1)), tells=False)


def aplain() -> Side:
    """Return the call of the user's asynchronous function alone."""
    return Side(lambda _ears: awaited(lambda: astep(1)), tells=False)


def floor(count: int) -> Callable[[Ears], Sample]:
    """Return what Python itself asks for telling *count* handlers of a start and an end."""

    def make(ears: Ears) -> Sample:
        handlers = ears.handlers(count)
        starts = [handler.on_chain_start for handler in handlers]
        ends = [handler.on_chain_end for handler in handlers]

        def call() -> object:
            serialized = {"name": "step", "id": ["benchmarks", "step"]}
            for tell in starts:
                tell(
                    serialized,
                    1,
                    run_id=RUN_ID,
                    parent_run_id=None,
                    tags=[],
                    metadata={},
                    name="step",
                    run_type="chain",
                )
            output = step(1)
            for tell in ends:
                tell(output, run_id=RUN_ID, parent_run_id=None, tags=[])
            return output

        return repeated(call)

    return make
