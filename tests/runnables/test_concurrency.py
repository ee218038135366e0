"""Many runs at a time on one handler, and what happens to the others where one fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from chain_callbacks import attached, current_manager, submit, to_thread
from chain_callbacks.runnables import (
    FakeListChatModel,
    PromptTemplate,
    Runnable,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StrOutputParser,
)
from chain_callbacks.testing import RecordingHandler

LONG = 10.0
RUNS = 200


def a_chain(number: int) -> Runnable[Any, Any]:
    """Return a chain whose steps have the number in their names."""

    def calling(value: str) -> str:
        return RunnablePassthrough(name=f"deep {number}").invoke(value)

    branches = {key: RunnableLambda(calling, name=f"{key} {number}") for key in "ab"}
    return PromptTemplate("{x}", name=f"prompt {number}") | RunnableParallel(
        branches, name=f"both {number}"
    )


def expected(number: int) -> str:
    return (
        f"chain root {number}\n"
        f"  prompt prompt {number} [seq:step:1]\n"
        f"  chain both {number} [seq:step:2]\n"
        f"    chain a {number} [map:key:a]\n"
        f"      chain deep {number}\n"
        f"    chain b {number} [map:key:b]\n"
        f"      chain deep {number}"
    )


def config_of(number: int, recorder: RecordingHandler) -> Any:
    return {"callbacks": [recorder], "run_name": f"root {number}"}


def test_runs_in_threads_are_trees_of_their_own(recorder: RecordingHandler) -> None:
    """200 runs in threads on one handler are 200 right trees, none of them mixed with another."""

    def run(number: int) -> None:
        a_chain(number).invoke("x", config_of(number, recorder))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(run, range(RUNS)))
    assert sorted(recorder.trees()) == sorted(expected(number) for number in range(RUNS))
    assert recorder.problems() == []


def test_runs_in_tasks_are_trees_of_their_own(recorder: RecordingHandler) -> None:
    """200 runs in tasks on one handler are 200 right trees, none of them mixed with another."""

    async def main() -> None:
        await asyncio.gather(
            *(a_chain(number).ainvoke("x", config_of(number, recorder)) for number in range(RUNS))
        )

    asyncio.run(main())
    assert sorted(recorder.trees()) == sorted(expected(number) for number in range(RUNS))
    assert recorder.problems() == []


def test_streams_in_tasks_are_trees_of_their_own(recorder: RecordingHandler) -> None:
    """Streams that are read by turns in many tasks keep their own tokens and ends."""
    chain = FakeListChatModel(["one two"]) | StrOutputParser()

    async def read(number: int) -> str:
        stream = chain.astream("x", config_of(number, recorder))
        return "".join([chunk async for chunk in stream])

    async def main() -> list[str]:
        return await asyncio.gather(*map(read, range(50)))

    assert asyncio.run(main()) == ["one two"] * 50
    assert sorted(recorder.trees()) == sorted(
        f"chain root {number}\n"
        "  chat_model FakeListChatModel [seq:step:1] tokens=2\n"
        "  parser StrOutputParser [seq:step:2]"
        for number in range(50)
    )


def test_a_thread_of_our_own_is_inside_the_run(recorder: RecordingHandler) -> None:
    """What ``to_thread`` and ``submit`` run is nested in the run that called them."""

    def work(name: str) -> str:
        return RunnablePassthrough(name=name).invoke(name)

    async def outer(_: str) -> list[str]:
        both = asyncio.gather(to_thread(work, "one"), to_thread(work, name="two"))
        return await both

    def pooled(_: str) -> list[str]:
        with ThreadPoolExecutor(2) as pool:
            futures = [submit(pool, work, name) for name in ("three", "four")]
            return [future.result(LONG) for future in futures]

    config: Any = {"callbacks": [recorder]}
    assert asyncio.run(RunnableLambda(outer).ainvoke("x", config)) == ["one", "two"]
    assert RunnableLambda(pooled).invoke("x", config) == ["three", "four"]
    parents = {run.name: run.parent_id for run in recorder.runs}
    ids = {run.name: run.id for run in recorder.runs}
    assert parents["one"] == parents["two"] == ids["outer"]
    assert parents["three"] == parents["four"] == ids["pooled"]


def test_each_submitted_call_has_a_context_of_its_own() -> None:
    """Two calls that run at once may both set a variable, and neither sees the other's."""
    variable: ContextVar[str] = ContextVar("variable")
    both = threading.Barrier(2)

    def work(value: str) -> str:
        variable.set(value)
        both.wait(LONG)
        return variable.get()

    with ThreadPoolExecutor(2) as pool:
        futures = [submit(pool, work, value) for value in "ab"]
        assert [future.result(LONG) for future in futures] == ["a", "b"]


def test_a_plain_thread_takes_the_manager_along(recorder: RecordingHandler) -> None:
    """A thread that somebody else starts gets its parent by the manager that is passed to it."""

    def outer(value: str) -> str:
        manager = current_manager()
        config: Any = {"callbacks": manager}
        thread = threading.Thread(
            target=RunnablePassthrough(name="inner").invoke, args=(value, config)
        )
        thread.start()
        thread.join(LONG)
        return value

    RunnableLambda(outer).invoke("x", {"callbacks": [recorder]})
    assert recorder.tree() == "chain outer\n  chain inner"


def test_branches_and_batch_items_see_the_callers_context() -> None:
    """A variable of the caller is there in every branch and item; what they set is not outside."""
    variable: ContextVar[str] = ContextVar("variable", default="none")

    def work(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    variable.set("caller")
    assert RunnableParallel(a=work, b=work).invoke("x") == {"a": "caller", "b": "caller"}
    assert RunnableLambda(work).batch(["x", "y", "z"], {"max_concurrency": 1}) == ["caller"] * 3

    async def awork(value: str) -> str:
        return work(value)

    async def main() -> Any:
        step = RunnableLambda(awork)
        return await step.abatch(["x", "y", "z"], {"max_concurrency": 1})

    assert asyncio.run(main()) == ["caller"] * 3
    assert variable.get() == "caller"


def test_a_failing_branch_awaits_the_others_in_threads(recorder: RecordingHandler) -> None:
    """The parent ends last, with the bare exception, when the branch beside it has ended."""
    begun, failed = threading.Event(), threading.Event()

    def fails(_: str) -> str:
        assert begun.wait(LONG)
        failed.set()
        raise ValueError("no")

    def waits(value: str) -> str:
        begun.set()
        assert failed.wait(LONG)
        return RunnablePassthrough(name="after").invoke(value)

    step = RunnableParallel({"bad": fails, "good": waits}, name="both")
    with pytest.raises(ValueError, match="no"):
        step.invoke("x", {"callbacks": [recorder]})
    assert recorder.tree() == (
        "chain both error ValueError\n"
        "  chain fails [map:key:bad] error ValueError\n"
        "  chain waits [map:key:good]\n"
        "    chain after"
    )
    assert recorder.records[-1].run_name == "both"


def test_a_failing_branch_cancels_the_others_in_tasks(recorder: RecordingHandler) -> None:
    """The parent ends last, with the bare exception, when the others have cleaned up."""
    cleaned: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def fails(_: str) -> str:
            await begun.wait()
            raise ValueError("no")

        async def waits(value: str) -> str:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await RunnablePassthrough(name="cleanup").ainvoke(value)
                cleaned.append(value)
            return value

        step = RunnableParallel({"bad": fails, "good": waits}, name="both")
        await step.ainvoke("x", {"callbacks": [recorder]})

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())
    assert cleaned == ["x"]
    assert recorder.tree() == (
        "chain both error ValueError\n"
        "  chain fails [map:key:bad] error ValueError\n"
        "  chain waits [map:key:good] cancelled\n"
        "    chain cleanup"
    )
    assert recorder.records[-1].run_name == "both"


def test_a_failing_branch_leaves_its_task_uncancelled() -> None:
    """After a failure was dealt with, the task is as before: a timeout in it still works."""

    async def fails(_: str) -> str:
        raise ValueError("no")

    async def waits(value: str) -> str:
        await asyncio.Event().wait()
        return value

    async def main() -> int:
        with pytest.raises(ValueError, match="no"):
            await RunnableParallel(bad=fails, good=waits).ainvoke("x")
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("form", ["batch", "abatch"])
def test_a_failing_item_stops_a_batch(form: str, recorder: RecordingHandler) -> None:
    """Without ``return_exceptions`` no further item is begun after a failure."""

    def work(value: int) -> int:
        if value == 1:
            raise ValueError("no")
        return value

    def call() -> Any:
        config: Any = {"callbacks": [recorder], "max_concurrency": 1}
        result = getattr(RunnableLambda(work), form)([0, 1, 2, 3], config)
        return asyncio.run(result) if form == "abatch" else result

    with pytest.raises(ValueError, match="no"):
        call()
    assert recorder.trees() == ["chain work", "chain work error ValueError"]


def test_the_branches_of_a_stream_run_side_by_side(recorder: RecordingHandler) -> None:
    """Two branches that wait for each other can both be streamed, in threads and in tasks."""
    both = threading.Barrier(2)

    def meeting(chunks: Iterator[str]) -> Iterator[str]:
        for chunk in chunks:
            both.wait(LONG)
            yield chunk

    step = RunnablePassthrough() | RunnableParallel(a=meeting, b=meeting)
    assert len(list(step.stream("x", {"callbacks": [recorder]}))) == 2

    async def read() -> int:
        return len([chunk async for chunk in step.astream("x", {"callbacks": [recorder]})])

    assert asyncio.run(read()) == 2
    assert recorder.problems() == []


def test_parallels_may_nest_deeply() -> None:
    """Parallels in parallels never wait for a thread that waits for them."""
    step: Runnable[Any, Any] = RunnablePassthrough()
    for _ in range(4):
        step = RunnableParallel(a=step, b=step, c=step)
    result = step.invoke(0)
    assert result["c"]["a"]["b"]["c"] == 0
    assert asyncio.run(step.ainvoke(0)) == result


def test_an_attached_handler_is_heard_in_branches(recorder: RecordingHandler) -> None:
    """What is attached in a scope is there in the threads and tasks that start in it."""
    step = RunnableParallel({"a": RunnablePassthrough(), "b": RunnablePassthrough()}, name="both")
    tree = (
        "chain both\n"
        "  chain RunnablePassthrough [map:key:a]\n"
        "  chain RunnablePassthrough [map:key:b]"
    )
    with attached(recorder):
        step.invoke("x")
        asyncio.run(step.ainvoke("x"))
    assert recorder.trees() == [tree, tree]
