"""Steps that stream only synchronously, under an asynchronous caller."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chain_callbacks.runnables import Runnable, RunnableLambda, RunnablePassthrough
from chain_callbacks.testing import RecordingHandler

LONG = 10.0


class Stepping(Runnable[Any, int]):
    """Streams only synchronously."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def _transform(self, chunks: Iterator[Any], **kwargs: Any) -> Iterator[int]:
        yield from self.function(chunks)


def as_lambda(function: Any) -> Runnable[Any, int]:
    return RunnableLambda(function, name="Stepping")


@pytest.mark.parametrize("make", [Stepping, as_lambda])
def test_a_synchronous_step_streams_in_threads(make: Any, recorder: RecordingHandler) -> None:
    """A step without an asynchronous form gives its chunks one by one, never on the loop."""
    here = threading.get_ident()
    steps: list[tuple[int, bool]] = []

    def counting(chunks: Iterator[Any]) -> Iterator[int]:
        for number in range(3):
            RunnablePassthrough(name="inner").invoke(number)
            steps.append((number, threading.get_ident() == here))
            yield number

    async def main() -> list[tuple[int, int]]:
        stream = make(counting).astream("x", {"callbacks": [recorder]})
        return [(chunk, len(steps)) async for chunk in stream]

    assert asyncio.run(main()) == [(0, 1), (1, 2), (2, 3)]
    assert steps == [(0, False), (1, False), (2, False)]
    assert recorder.tree() == "chain Stepping" + "\n  chain inner" * 3


@pytest.mark.parametrize("make", [Stepping, as_lambda])
def test_a_synchronous_step_that_is_cancelled_is_closed(
    make: Any, recorder: RecordingHandler
) -> None:
    """Cancelled while a thread is in it, the stream leaves at once; the thread closes the step."""
    is_inside, may_go_on, is_closed = (threading.Event() for _ in range(3))

    def blocking(chunks: Iterator[Any]) -> Iterator[int]:
        try:
            yield 1
            is_inside.set()
            may_go_on.wait(LONG)
            yield 2
        finally:
            is_closed.set()

    async def consume() -> None:
        async for _ in make(blocking).astream("x", {"callbacks": [recorder]}):
            pass

    async def main() -> None:
        task = asyncio.create_task(consume())
        await asyncio.to_thread(is_inside.wait, LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not is_closed.is_set()
        may_go_on.set()
        assert await asyncio.to_thread(is_closed.wait, LONG)

    asyncio.run(main())
    assert recorder.tree() == "chain Stepping cancelled"


@pytest.mark.parametrize("make", [Stepping, as_lambda])
def test_a_synchronous_step_that_is_left_is_closed(make: Any, recorder: RecordingHandler) -> None:
    """``aclose`` between two chunks closes the synchronous generator before it returns."""
    steps: list[str] = []

    def counting(chunks: Iterator[Any]) -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            steps.append("closed")

    async def main() -> None:
        stream: Any = make(counting).astream("x", {"callbacks": [recorder]})
        await anext(stream)
        await stream.aclose()
        steps.append("left")

    asyncio.run(main())
    assert steps == ["closed", "left"]
    assert recorder.tree() == "chain Stepping closed"
