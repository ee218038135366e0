"""``@traced`` generators: one run, all that goes in and out passes through."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, traced
from chain_callbacks.context import current
from chain_callbacks.runnables import RunnablePassthrough
from chain_callbacks.testing import RecordingHandler

LONG = 10.0


def echo(*, leave_on: str = "stop") -> Generator[str, str, int]:
    count = 0
    received = yield "ready"
    while received != leave_on:
        count += 1
        try:
            received = yield f"got {received}"
        except KeyError as error:
            received = yield f"caught {error.args[0]}"
    return count


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_generator_takes_what_is_sent_and_thrown(
    *, is_heard: bool, recorder: RecordingHandler
) -> None:
    """``send``, ``throw`` and the return value pass through; it is one run."""
    work = traced(callbacks=[recorder] if is_heard else None)(echo)
    conversation = work()
    assert next(conversation) == "ready"
    assert conversation.send("a") == "got a"
    assert conversation.throw(KeyError("k")) == "caught k"
    assert conversation.send("b") == "got b"
    with pytest.raises(StopIteration) as stopped:
        conversation.send("stop")
    assert stopped.value.value == 2
    assert isinstance(conversation, Generator)
    assert recorder.tree() == ("chain echo" if is_heard else "")
    if is_heard:
        assert recorder.records[-1].payload["outputs"] == 2


def test_a_generator_can_be_delegated_to(recorder: RecordingHandler) -> None:
    """``yield from`` a traced generator sends, throws and returns as from any other."""
    work = traced(callbacks=[recorder])(echo)

    def outer() -> Generator[str, str, str]:
        return f"counted {(yield from work())}"

    conversation = outer()
    next(conversation)
    conversation.send("a")
    with pytest.raises(StopIteration, match="counted 1"):
        conversation.send("stop")
    assert recorder.tree() == "chain echo"


def test_a_context_manager_can_be_traced(recorder: RecordingHandler) -> None:
    """A traced generator serves ``contextlib.contextmanager``, errors included."""

    @contextlib.contextmanager
    @traced(callbacks=[recorder])
    def opened() -> Iterator[str]:
        try:
            yield "open"
        except ValueError:
            RunnablePassthrough(name="inner").invoke("x")

    with opened() as state:
        assert state == "open"
    with opened():
        raise ValueError
    assert recorder.trees() == ["chain opened", "chain opened\n  chain inner"]


def test_an_asynchronous_generator_takes_what_is_sent_and_thrown(
    recorder: RecordingHandler,
) -> None:
    """``asend``, ``athrow`` and ``aclose`` pass through; it is one run."""

    @traced(callbacks=[recorder])
    async def work() -> Any:
        received = yield "ready"
        while True:
            try:
                received = yield f"got {received}"
            except KeyError as error:
                received = yield f"caught {error.args[0]}"

    async def main() -> None:
        conversation = work()
        assert await anext(conversation) == "ready"
        assert await conversation.asend("a") == "got a"
        assert await conversation.athrow(KeyError("k")) == "caught k"
        assert await conversation.asend("b") == "got b"
        await conversation.aclose()

    asyncio.run(main())
    assert recorder.tree() == "chain work closed"
    assert recorder.records[-1].payload["outputs"] == "readygot acaught kgot b"


def test_a_generator_that_is_closed_says_what_was_read(recorder: RecordingHandler) -> None:
    """Closed early, the run ends as closed, its output being what was given by then."""

    @traced(callbacks=[recorder])
    def work() -> Iterator[int]:
        yield from (1, 2, 3)

    items: Any = work()
    next(items)
    next(items)
    items.close()
    assert recorder.tree() == "chain work closed"
    assert recorder.records[-1].payload["outputs"] == [1, 2]


def test_a_generator_that_is_not_read_makes_no_events(recorder: RecordingHandler) -> None:
    """A traced generator starts at its first item."""
    work = traced(callbacks=[recorder])(echo)
    work().close()

    @traced(callbacks=[recorder])
    async def awork() -> AsyncIterator[int]:
        yield 1

    asyncio.run(awork().aclose())  # type: ignore[attr-defined]
    assert recorder.records == ()


def test_a_collected_generator_is_ended_on_another_thread() -> None:
    """No handler is called in a finaliser."""
    threads: list[threading.Thread] = []
    done = threading.Event()

    class Handler(BaseCallbackHandler):
        def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            threads.append(threading.current_thread())
            done.set()

    items = traced(callbacks=[Handler()])(echo)()
    next(items)
    del items
    gc.collect()
    assert done.wait(LONG)
    assert threads != [threading.current_thread()]


@pytest.mark.parametrize("is_heard", [True, False])
def test_the_consumer_does_not_see_the_run(*, is_heard: bool, recorder: RecordingHandler) -> None:
    """The run is current during a step of a generator, and not between two of them."""
    seen: list[bool] = []

    @traced(tags=["t"], callbacks=[recorder] if is_heard else None)
    def work() -> Iterator[int]:
        for number in range(2):
            seen.append(current.get() is None)
            yield number

    @traced(tags=["t"], callbacks=[recorder] if is_heard else None)
    async def awork() -> AsyncIterator[int]:
        for number in range(2):
            seen.append(current.get() is None)
            yield number

    async def consume() -> list[bool]:
        return [current.get() is None async for _ in awork()]

    assert [current.get() is None for _ in work()] == [True, True]
    assert asyncio.run(consume()) == [True, True]
    assert seen == [False] * 4


def test_a_failure_ends_the_run(recorder: RecordingHandler) -> None:
    """An exception in any form of function ends its run as an error and leaves."""

    @traced(callbacks=[recorder])
    def work() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    @traced(callbacks=[recorder])
    async def awork() -> AsyncIterator[int]:
        yield 1
        raise ValueError("no")

    async def consume() -> None:
        async for _ in awork():
            pass

    with pytest.raises(ValueError, match="no"):
        list(work())
    with pytest.raises(ValueError, match="no"):
        asyncio.run(consume())
    assert recorder.trees() == ["chain work error ValueError", "chain awork error ValueError"]


def test_items_are_not_kept_for_nobody() -> None:
    """A generator whose end nobody hears holds on to none of its items."""

    class StartsOnly(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...

    class Item:
        living = 0

        def __init__(self) -> None:
            Item.living += 1

        def __del__(self) -> None:
            Item.living -= 1

    @traced(callbacks=[StartsOnly()])
    def work() -> Iterator[Item]:
        for _ in range(10):
            yield Item()

    most = 0
    for _ in work():
        most = max(most, Item.living)
    assert most <= 2
