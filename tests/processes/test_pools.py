"""Threads: each call has a context of its own, and its runs the right parent."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait

import pytest

from chain_callbacks import current_manager, submit, to_thread, traced
from chain_callbacks.runnables import RunnableLambda
from chain_callbacks.testing import RecordingHandler

PATIENCE = 30.0


@traced
def fetch(number: int) -> int:
    return RunnableLambda(lambda value: value, name="inner").invoke(number)


def test_submitted_calls_are_children_of_the_run_that_submitted_them(recorder):
    """Side by side on a few threads: none enters another one's context, every parent is right."""
    both = threading.Barrier(2)

    def meet(number: int) -> int:
        both.wait(PATIENCE)  # Two at a time are inside: one context could not be entered twice.
        return fetch(number)

    def fetch_all(name: str) -> list[int]:
        with ThreadPoolExecutor(2) as pool:
            return [each.result() for each in [submit(pool, meet, n) for n in range(10)]]

    chain = RunnableLambda(fetch_all, name="parent")
    assert [*range(10)] == chain.invoke("x", {"callbacks": [recorder]})

    assert [] == recorder.problems()
    assert recorder.tree() == "chain parent" + "\n  chain fetch\n    chain inner" * 10


def test_calls_submitted_by_several_runs_to_one_pool_stay_apart(recorder):
    """A shared pool's threads serve one run after another, and keep nothing of it."""
    with ThreadPoolExecutor(2) as pool:

        def work(number: int) -> int:
            return submit(pool, fetch, number).result(PATIENCE)

        chain = RunnableLambda(work, name="parent")
        with ThreadPoolExecutor(8) as callers:
            futures = [
                callers.submit(chain.invoke, each, {"callbacks": [recorder]}) for each in range(40)
            ]
            assert [*range(40)] == [each.result(PATIENCE) for each in futures]
        is_told_outside = pool.submit(lambda: current_manager().parent).result(PATIENCE)

    assert is_told_outside is None
    assert [] == recorder.problems()
    branch = "chain parent\n  chain fetch\n    chain inner"
    assert recorder.tree() == "\n".join([branch] * 40)


def test_plain_thread_pool_hands_no_run_on(recorder):
    """Without `submit` the thread has the context it was made with: its runs are nobody's."""

    def work(number: int) -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(fetch, number).result(PATIENCE)

    RunnableLambda(work, name="parent").invoke(1, {"callbacks": [recorder]})

    assert "chain parent" == recorder.tree()


def test_to_thread_hands_the_run_on_to_many_calls_at_once(recorder):
    """Each has its own copy of the task's context; what one sets in it no other one sees."""
    both = threading.Barrier(2)

    def meet(number: int) -> int:
        both.wait(PATIENCE)
        return fetch(number)

    async def work(name: str) -> list[int]:
        return await asyncio.gather(*(to_thread(meet, each) for each in range(4)))

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(4))
        return await RunnableLambda(work, name="parent").ainvoke("x", {"callbacks": [recorder]})

    assert [*range(4)] == asyncio.run(main())
    assert recorder.tree() == "chain parent" + "\n  chain fetch\n    chain inner" * 4


def test_submitted_call_that_raises_ends_its_own_run_alone(recorder):
    """The exception is the future's; the run that submitted it goes on."""

    @traced
    def fail() -> None:
        raise ValueError("no")

    def work(name: str) -> str:
        with ThreadPoolExecutor(2) as pool:
            failing, fine = submit(pool, fail), submit(pool, fetch, 1)
            wait([failing, fine], PATIENCE)
            with pytest.raises(ValueError, match="no"):
                failing.result()
            return name

    assert "x" == RunnableLambda(work, name="parent").invoke("x", {"callbacks": [recorder]})
    assert recorder.tree() == (
        "chain parent\n  chain fail error ValueError\n  chain fetch\n    chain inner"
    )


def test_submitted_call_outlives_the_run_that_submitted_it():
    """A call that begins when its run has ended is its child all the same, and is heard."""
    recorder = RecordingHandler()
    is_over = threading.Event()

    def late() -> int:
        assert is_over.wait(PATIENCE)
        return fetch(1)

    with ThreadPoolExecutor(1) as pool:
        chain = RunnableLambda(lambda _: submit(pool, late), name="parent")
        future = chain.invoke("x", {"callbacks": [recorder]})
        is_over.set()
        assert 1 == future.result(PATIENCE)

    parent = next(each for each in recorder.records if each.run_name == "parent")
    child = next(each for each in recorder.records if each.run_name == "fetch")
    assert parent.run_id == child.parent_id == child.root_id


def test_submit_refuses_a_process_pool_with_what_to_do():
    """A run cannot be sent to another process: the error says so at the call, not in pickle."""
    with ProcessPoolExecutor(1) as pool, pytest.raises(TypeError, match="takes a thread pool"):
        submit(pool, str.upper, "a")
