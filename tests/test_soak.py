"""Many runs at once, and many after one another: disjoint trees, and nothing that grows."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager, flush, policy, stats
from chain_callbacks.delivery import queue
from chain_callbacks.runnables import FakeListChatModel, PromptTemplate, RunnableLambda
from chain_callbacks.testing import RecordingHandler

PATIENCE = 60.0
TREE = """\
chain work {number}
  chain RunnableSequence
    prompt PromptTemplate [seq:step:1]
    chat_model FakeListChatModel [seq:step:2]
  chain inner"""


@pytest.fixture(autouse=True)
def _slate(isolated_callbacks: None) -> Iterator[None]:
    queue._channels.clear()
    yield
    queue._channels.clear()


class Later(RecordingHandler):
    """Keeps what it is told from a queue."""

    delivery = "queued"


def assert_disjoint(recorder: RecordingHandler, runs: int) -> None:
    """Check that each run has its own complete tree, with nothing of another one in it."""
    assert recorder.problems() == []
    assert sorted(recorder.trees()) == sorted(TREE.format(number=each) for each in range(runs))
    roots = {each.run_id: each.run_name for each in recorder.records}
    for record in recorder.records:
        assert roots[record.root_id] == f"work {record.metadata['number']}"


def work(number: int) -> int:
    chain = PromptTemplate("{x}") | FakeListChatModel([str(number)])
    answer = chain.invoke({"x": number})
    return RunnableLambda(int, name="inner").invoke(answer.content)


async def awork(number: int) -> int:
    chain = PromptTemplate("{x}") | FakeListChatModel([str(number)])
    answer = await chain.ainvoke({"x": number})
    return await RunnableLambda(int, name="inner").ainvoke(answer.content)


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_two_hundred_runs_at_once_have_two_hundred_trees(kind):
    """One handler for all of them, inline and queued: 200 disjoint, complete trees each."""
    inline, later = RecordingHandler(), Later()

    def config(number: int) -> Any:
        return {
            "callbacks": [inline, later],
            "metadata": {"number": number},
            "run_name": f"work {number}",
        }

    barrier = threading.Barrier(200)

    def in_thread(number: int) -> int:
        barrier.wait(PATIENCE)
        return RunnableLambda(work).invoke(number, config(number))

    async def in_tasks() -> list[int]:
        step = RunnableLambda(awork)
        return await asyncio.gather(*(step.ainvoke(each, config(each)) for each in range(200)))

    if kind == "threads":
        with ThreadPoolExecutor(200) as executor:
            answers = [*executor.map(in_thread, range(200))]
    else:
        answers = asyncio.run(in_tasks())
    assert flush(PATIENCE).is_complete

    assert answers == [*range(200)]
    assert_disjoint(inline, 200)
    assert_disjoint(later, 200)


class Counting(BaseCallbackHandler):
    """Counts how runs end, and keeps nothing."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()

    def on_event(self, record: Any) -> None:
        self.ends[record.run.status or record.name] += 1


def ok(manager: CallbackManager) -> None:
    RunnableLambda(lambda value: RunnableLambda(abs).invoke(value)).invoke(
        -1, {"callbacks": manager, "metadata": {"key": ["value"]}}
    )


def error(manager: CallbackManager) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        manager.run("chain", "failing", None) as run,
        run.get_child().run("tool", "inner", "text"),
    ):
        divmod(1, 0)


def cancelled(manager: CallbackManager) -> None:
    with pytest.raises(asyncio.CancelledError), manager.run("chain", "cancelled", None):
        raise asyncio.CancelledError


def lost(manager: CallbackManager) -> None:
    run = manager.on_chain_start({"name": "lost"}, {"inputs": ["value"]})
    run.get_child().on_tool_start({"name": "lost"}, "text")


ENDINGS: tuple[Callable[[CallbackManager], None], ...] = (ok, error, cancelled, lost)


def ours() -> Counter[str]:
    """Return how many objects of our classes there are, by class."""
    gc.collect()
    return Counter(
        kind.__qualname__
        for each in gc.get_objects()
        if str((kind := type(each)).__module__).startswith("chain_callbacks")
    )


@pytest.mark.parametrize(
    ("content", "runs"),
    [
        ("full", 2_000),
        ("redacted", 2_000),
        ("none", 2_000),
        pytest.param("full", 100_000, marks=pytest.mark.soak),
        pytest.param("none", 100_000, marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("delivery", ["inline", "queued"])
def test_runs_leave_nothing_behind(delivery, content, runs):
    """Ok, failed, cancelled, or without an end: objects, threads and memory stay as they were."""
    handler = Counting()
    manager = CallbackManager([policy(handler, delivery=delivery, content=content)])
    done = 0

    def go_through(count: int) -> None:
        nonlocal done
        for number in range(count // len(ENDINGS)):
            for ending in ENDINGS:
                ending(manager)
            if number % 100 == 99:
                assert flush(PATIENCE).is_complete  # A queue that fills up would drop some.
        assert flush(PATIENCE).is_complete
        done += count

    go_through(800)
    before, threads = ours(), threading.active_count()
    go_through(runs - 1_600)
    after = ours()
    tracemalloc.start()
    try:
        go_through(400)
        gc.collect()
        memory, _ = tracemalloc.get_traced_memory()
        go_through(400)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - memory
    finally:
        tracemalloc.stop()

    assert done == runs
    assert {name: n for name, n in after.items() if n > before[name] + 5} == {}
    assert threading.active_count() <= threads
    assert grown < 20_000
    quarter = runs // 4
    assert handler.ends["ok"] == 2 * quarter
    assert handler.ends["error"] == 2 * quarter
    assert handler.ends["cancelled"] == quarter
    starts = handler.ends["on_chain_start"] + handler.ends["on_tool_start"]
    assert starts == 7 * quarter
    assert stats()["Counting"] == (12 * quarter, 0, 0, 0, False)


def test_fresh_queued_handler_for_each_request_leaves_a_bounded_number_of_threads():
    """Each ends with its handler, which the cache of what was resolved lets go in the end."""

    class Fresh(Counting):
        delivery = "queued"

    threads = threading.active_count()
    for _ in range(500):
        assert RunnableLambda(abs).invoke(-1, {"callbacks": [Fresh()]}) == 1
    assert flush(PATIENCE).is_complete
    gc.collect()

    assert stats()[Fresh.__qualname__].delivered == 1_000
    assert threading.active_count() - threads <= 100
