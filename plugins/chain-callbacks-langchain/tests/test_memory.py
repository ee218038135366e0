"""Ended runs of LangChain's: nothing of them is kept, however they ended."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import tracemalloc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler as LangChainHandler
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

from chain_callbacks import BaseCallbackHandler, attached, flush, policy, stats, traced

PATIENCE = 60.0


alive: weakref.WeakSet[Any] = weakref.WeakSet()


class Payload:
    """What goes through runs, and is known while it lives; each has the way that it came."""

    way = ""

    def __init__(self) -> None:
        self.way = Payload.way
        self.content = bytearray(50_000)
        alive.add(self)


class LostError(LookupError):
    """Leaves a run, and is known while it lives."""

    def __init__(self) -> None:
        super().__init__("lost")
        self.way = Payload.way
        alive.add(self)


class Ends:
    """Counts how runs end."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()


class Listening(Ends, BaseCallbackHandler):
    """Gets every event, as a record."""

    def on_event(self, record: Any) -> None:
        if record.run.status is not None:
            self.statuses[record.run.status] += 1


class Awaited(Ends, BaseCallbackHandler):
    """Is awaited."""

    async def on_event(self, record: Any) -> None:
        await asyncio.sleep(0)
        if record.run.status is not None:
            self.statuses[record.run.status] += 1


class OfLangChain(Ends, LangChainHandler):
    """Was written for LangChain: events are converted for it."""

    def _start(self, *_: Any, **__: Any) -> None:
        pass

    def _end(self, *_: Any, **__: Any) -> None:
        self.statuses["ok"] += 1

    def _error(self, *_: Any, **__: Any) -> None:
        self.statuses["error"] += 1

    on_chain_start = on_llm_start = on_chat_model_start = on_tool_start = _start
    on_chain_end = on_llm_end = on_tool_end = _end
    on_chain_error = on_llm_error = on_tool_error = _error


def fails(_: Any) -> Any:
    local = Payload()
    raise LostError from RuntimeError(local)


async def afails(_: Any) -> Any:
    fails(None)


@tool
def broken(number: int) -> int:
    """Fail."""
    raise LostError


class Waiting(FakeListChatModel):
    """Waits for ever, once it was asked."""

    asked: Any

    async def _agenerate(self, *_: Any, **__: Any) -> Any:
        self.asked.set()
        await asyncio.Event().wait()


class State(TypedDict):
    payload: Any


def graph(step: Any) -> Any:
    # A graph in a graph: states, tasks and loops of both.
    inner = StateGraph(State)
    inner.add_node("step", step)
    inner.add_edge(START, "step")
    outer = StateGraph(State)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    return outer.compile()


answering, failing = graph(lambda _: {"payload": Payload()}), graph(fails)
nested = RunnableLambda(lambda given: RunnableLambda(traced(lambda _: Payload())).invoke(given))
steps = RunnableLambda(lambda given: given) | RunnableLambda(fails, afails)


def chunks(given: Iterator[Any]) -> Iterator[Any]:
    for _ in given:
        yield from ([Payload()], [Payload()], [Payload()])


async def achunks(given: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for _ in given:
        for _ in range(3):
            yield [Payload()]


flowing = RunnableGenerator(chunks, achunks)


def left(given: Any) -> None:
    stream = flowing.stream(given)
    next(stream)
    stream.close()


async def aleft(given: Any) -> None:
    stream = flowing.astream(given)
    await anext(stream)
    await stream.aclose()


async def cancelled(given: Any) -> None:
    """Cancel a model alone, of which LangChain issues no end, and one in a chain."""
    model = Waiting(responses=[], asked=asyncio.Event())
    chain = RunnableLambda(lambda _: [("user", "?")], name="first") | model
    for each in (model.ainvoke([("user", "?")]), chain.ainvoke(given)):
        task = asyncio.ensure_future(each)
        await model.asked.wait()
        model.asked.clear()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


WAYS: dict[str, Callable[[Any], Any]] = {
    "ok": nested.invoke,
    "ok, async": lambda given: asyncio.run(nested.ainvoke(given)),
    "batch": lambda given: nested.batch([given, given]),
    "error": steps.invoke,
    "error, async": lambda given: asyncio.run(steps.ainvoke(given)),
    "error, batch": lambda given: steps.batch([given, given], return_exceptions=True),
    "cancelled": lambda given: asyncio.run(cancelled(given)),
    "closed": left,
    "closed, async": lambda given: asyncio.run(aleft(given)),
    "models": lambda _: (
        FakeListLLM(responses=["yes"]).invoke("?"),
        FakeListChatModel(responses=["yes"]).invoke("?"),
        asyncio.run(FakeListLLM(responses=["yes"]).ainvoke("?")),
    ),
    "tool": lambda _: broken.invoke({"number": 1}),
    "graph": lambda given: answering.invoke({"payload": given}),
    "graph, stream": lambda given: [*answering.stream({"payload": given}, subgraphs=True)],
    "graph, async": lambda given: asyncio.run(answering.ainvoke({"payload": given})),
    "graph, error": lambda given: failing.invoke({"payload": given}),
    "graph, async error": lambda given: asyncio.run(failing.ainvoke({"payload": given})),
}


def go(way: str) -> None:
    Payload.way = way
    with contextlib.suppress(LostError):
        WAYS[way](Payload())


def settle() -> None:
    """Wait for what is queued, and for the ends of what was collected."""
    for _ in range(2):
        gc.collect()
        assert flush(PATIENCE).is_complete
    gc.collect()


@pytest.fixture
def _young() -> Iterator[None]:
    """Have the collector look at what the test makes, and at nothing older."""
    settle()
    gc.freeze()
    yield
    gc.unfreeze()


_OF_RUNS = ("Run", "RunView", "View", "Place", "_Trail")


def ours() -> Counter[str]:
    """Return how many objects there are that belong to runs of ours, by class."""
    kinds = map(type, gc.get_objects())
    of_ours = (kind for kind in kinds if kind.__module__.startswith("chain_callbacks"))
    return Counter(kind.__name__ for kind in of_ours if kind.__name__ in _OF_RUNS)


@pytest.mark.usefixtures("_young")
@pytest.mark.parametrize("content", ["none", "redacted", "full"])
@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("kind", [Listening, Awaited, OfLangChain])
def test_nothing_of_an_ended_run_is_alive(kind: type[Any], delivery: Any, content: Any) -> None:
    """No payload, no exception with its frames, no run, no place in the tree."""
    handler = kind()
    with attached(policy(handler, delivery=delivery, content=content)):
        for way in WAYS:
            heard = handler.statuses.total()
            go(way)
            assert delivery == "queued" or heard < handler.statuses.total()
    settle()

    assert handler.statuses
    assert [] == sorted(f"{type(each).__name__} of {each.way}" for each in alive)
    assert {} == ours()


ROUNDS = 100
"""Of all the ways: payloads of more than a hundred megabytes."""


@pytest.mark.soak
@pytest.mark.usefixtures("_young")
@pytest.mark.parametrize("content", ["none", "redacted", "full"])
@pytest.mark.parametrize("delivery", ["inline", "queued"])
def test_many_runs_leave_memory_and_threads_as_they_were(delivery: Any, content: Any) -> None:
    """However they end, at each level, by either way of delivery."""
    handler = Listening()

    def go_through(rounds: int) -> None:
        with attached(policy(handler, delivery=delivery, content=content)):
            for number in range(rounds):
                for way in WAYS:
                    go(way)
                if number % 10 == 9:
                    assert flush(PATIENCE).is_complete  # A queue that fills up would drop some.
        settle()

    go_through(20)
    threads = threading.active_count()
    tracemalloc.start()
    try:
        memory, _ = tracemalloc.get_traced_memory()
        go_through(ROUNDS)
        grown = tracemalloc.get_traced_memory()[0] - memory
    finally:
        tracemalloc.stop()

    assert 0 == stats()["Listening"].dropped
    assert [] == [*alive]
    assert {} == ours()
    assert threading.active_count() <= threads
    assert grown < 1_000_000
