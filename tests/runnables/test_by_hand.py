"""Runs by hand: a manager's methods, a function's run manager, and what misuse gets."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from chain_callbacks import CallbackManager, attached, current_manager
from chain_callbacks.dispatch.run import AsyncRun, Run
from chain_callbacks.errors import NotAHandlerError
from chain_callbacks.runnables import (
    BaseRetriever,
    Document,
    HumanMessage,
    LLMResult,
    RunnableLambda,
    RunnablePassthrough,
)
from chain_callbacks.testing import RecordingHandler


def test_code_written_for_langchains_managers_works(recorder: RecordingHandler) -> None:
    """Start methods give run managers, which end, tell events and give managers for what nests."""
    manager = CallbackManager([recorder])
    chain = manager.on_chain_start({"name": "chain"}, {"x": 1}, tags=["a"], metadata={"m": 1})
    chain.on_text("thinking", color="green", end="")
    tool = chain.get_child("tagged").on_tool_start(
        {"id": ["lib", "Search"]}, "q", inputs={"q": "q"}, tool_call_id="1"
    )
    tool.on_tool_end("found")
    [first, second] = chain.get_child().on_llm_start({"name": "llm"}, ["p", "q"])
    first.on_llm_new_token("a")
    first.on_llm_end(LLMResult([[]]))
    second.on_llm_error(ValueError())
    [chat] = chain.get_child().on_chat_model_start({"name": "chat"}, [[HumanMessage("x")]])
    chat.on_llm_end(LLMResult([[]]))
    shelf = chain.get_child().on_retriever_start({"name": "shelf"}, "q")
    shelf.on_retriever_end([])
    chain.on_chain_end({"y": 1})
    assert recorder.tree() == (
        "chain chain [a] text=1\n"
        "  tool Search [tagged]\n"
        "  llm llm tokens=1\n"
        "  llm llm error ValueError\n"
        "  chat_model chat\n"
        "  retriever shelf"
    )
    assert recorder.problems() == []


def test_the_same_works_awaited(recorder: RecordingHandler) -> None:
    """Each method has a twin with the prefix ``a``."""

    async def main() -> None:
        chain = await CallbackManager([recorder]).aon_chain_start({"name": "chain"}, {})
        tool = await chain.get_child("t").aon_tool_start({"name": "tool"}, "q")
        await tool.aon_tool_error(KeyError())
        await chain.aon_custom_event("mine", {"a": 1})
        await chain.aon_chain_end({})

    asyncio.run(main())
    assert recorder.tree() == "chain chain custom:mine\n  tool tool [t] error KeyError"


def test_managers_nest_by_hand(recorder: RecordingHandler) -> None:
    """Inside ``with`` a run is the current one: what runs there is nested in it."""
    manager = CallbackManager([recorder], tags=["all"], metadata={"m": 1})
    with manager.run("chain", "outer", "in", tags=["one"]) as outer:
        assert current_manager() is outer.manager()
        with outer.manager().run("tool", "inner", "in") as inner:
            RunnablePassthrough(name="deep").invoke("x")
            inner.end("out")
        outer.end("out")
    assert recorder.tree() == ("chain outer [all,one]\n  tool inner [all]\n    chain deep [all]")
    assert current_manager().parent is None


def test_asynchronous_runs_nest_by_hand(recorder: RecordingHandler) -> None:
    """``async with`` does the same, and concurrent blocks keep apart."""

    async def one(number: int) -> None:
        async with CallbackManager([recorder]).run("chain", f"outer {number}", "in") as run:
            await asyncio.sleep(0)
            await RunnablePassthrough(name=f"inner {number}").ainvoke("x")
            await run.aend("out")

    async def main() -> None:
        await asyncio.gather(*map(one, range(3)))

    asyncio.run(main())
    assert recorder.trees() == [f"chain outer {n}\n  chain inner {n}" for n in range(3)]


def test_a_function_may_ask_for_its_run_manager(recorder: RecordingHandler) -> None:
    """A function gets its run, a coroutine one whose methods are awaited; both nest by hand."""
    seen: list[Any] = []

    def work(x: str, run_manager: Any) -> str:
        seen.append(run_manager)
        run_manager.on_text("working")
        config: Any = {"callbacks": run_manager.get_child("mine")}
        return RunnablePassthrough(name="inner").invoke(x, config)

    async def awork(x: str, run_manager: Any) -> str:
        seen.append(run_manager)
        await run_manager.on_text("working")
        run_manager.get_sync().on_custom_event("sync", {})
        config: Any = {"callbacks": run_manager.get_child("mine")}
        return await RunnablePassthrough(name="inner").ainvoke(x, config)

    step = RunnableLambda(work, awork)
    step.invoke("x", {"callbacks": [recorder]})
    asyncio.run(step.ainvoke("x", {"callbacks": [recorder]}))
    assert [type(each) for each in seen] == [Run, AsyncRun]
    assert seen[1].id == seen[1].get_sync().id
    assert recorder.trees() == [
        "chain work text=1\n  chain inner [mine]",
        "chain work text=1 custom:sync\n  chain inner [mine]",
    ]


def test_a_function_that_nobody_hears_has_no_run() -> None:
    """Where nobody listens no run is made: such a function is given None."""
    step = RunnableLambda(lambda x, run, run_manager: (x, run, run_manager), name="work")
    assert step.invoke("x") == ("x", None, None)
    assert asyncio.run(step.ainvoke("x")) == ("x", None, None)


def test_a_retriever_may_ask_for_its_run_manager(recorder: RecordingHandler) -> None:
    """A retriever's method gets the run manager of its colour, also in a thread."""

    class Plain(BaseRetriever):
        def _get_relevant_documents(  # type: ignore[override]
            self, query: str, *, run_manager: Any
        ) -> list[Document]:
            run_manager.on_text(query)
            return []

    class Awaited(BaseRetriever):
        async def _aget_relevant_documents(  # type: ignore[override]
            self, query: str, *, run_manager: Any
        ) -> list[Document]:
            await run_manager.on_text(query)
            return []

    config: Any = {"callbacks": [recorder]}
    Plain().invoke("q", config)
    asyncio.run(Plain().ainvoke("q", config))
    asyncio.run(Awaited().ainvoke("q", config))
    assert recorder.trees() == [
        "retriever Plain text=1",
        "retriever Plain text=1",
        "retriever Awaited text=1",
    ]


def test_a_run_is_no_callbacks(recorder: RecordingHandler) -> None:
    """Passing a run where its child manager is meant says so."""

    def work(x: str, run: Any) -> str:
        return RunnablePassthrough().invoke(x, {"callbacks": run})

    with pytest.raises(NotAHandlerError, match=r"Pass run.get_child\(\)"):
        RunnableLambda(work).invoke("x", {"callbacks": [recorder]})


@pytest.mark.parametrize("handler", ["slack", RecordingHandler, 3, object()])
def test_a_manager_takes_handlers_only(handler: Any) -> None:
    """A name, a class and a thing without events are refused when the manager is made."""
    with pytest.raises(NotAHandlerError, match=r"CallbackManager\(handlers\) is .*, not a handler"):
        CallbackManager([handler])


def test_a_run_starts_with_what_its_type_has(recorder: RecordingHandler) -> None:
    """A run by hand that is of no type, or lacks its input, is refused before it starts."""
    manager = CallbackManager([recorder])
    with pytest.raises(ValueError, match="'modell' is no type of run"):
        manager.run("modell", "m")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="A run of type 'tool' starts with 'input_str'"):
        manager.run("tool", "t")
    with pytest.raises(TypeError, match="3 values were given"):
        manager.run("chain", "c", 1, 2, 3)
    assert recorder.records == ()


def test_a_run_lives_once(recorder: RecordingHandler) -> None:
    """A run that was started may be entered, once; one that ended may not."""
    run = CallbackManager([recorder]).on_chain_start({"name": "job"}, {})
    with run:
        RunnablePassthrough(name="inner").invoke("x")
    assert recorder.tree() == "chain job\n  chain inner"
    with pytest.raises(RuntimeError, match="has ended"), run:
        pass
    with pytest.raises(RuntimeError, match="has ended"):
        asyncio.run(_entered(run))
    assert recorder.problems() == []


async def _entered(run: Run) -> None:
    async with run:
        pass


def test_of_many_ends_one_counts(recorder: RecordingHandler) -> None:
    """A run that many threads end at once ends once."""
    run = CallbackManager([recorder]).on_chain_start({"name": "job"}, {})
    at_once = threading.Barrier(8)

    def end() -> None:
        at_once.wait(10)
        run.end("out")

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert recorder.names() == ["on_chain_start", "on_chain_end"]


def test_a_handler_that_runs_chains_itself_is_told_of_none(recorder: RecordingHandler) -> None:
    """What a handler runs is told to nobody: no recursion, whatever it passes explicitly."""

    class Busy(RecordingHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            step = RunnablePassthrough(name="own", callbacks=[recorder])
            step.invoke("x", {"callbacks": [self, recorder]})
            list(step.stream("x", {"callbacks": [self]}))

        async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            with attached(recorder):
                await RunnablePassthrough(name="own").ainvoke("x", {"callbacks": [self]})

    busy = Busy()
    RunnablePassthrough(name="step").invoke("x", {"callbacks": [busy]})
    asyncio.run(RunnablePassthrough(name="step").ainvoke("x", {"callbacks": [busy]}))
    assert busy.trees() == ["chain step", "chain step"]
    assert recorder.records == ()


def test_code_and_handlers_of_either_colour_mix(recorder: RecordingHandler) -> None:
    """Synchronous calls inside a running loop, and many loops one after the other, all work."""

    class Awaited(RecordingHandler):
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)

    handler = Awaited()
    step, config = RunnablePassthrough[str](name="step"), {"callbacks": [handler]}

    async def main() -> str:
        return step.invoke("x", config)  # type: ignore[arg-type]

    for _ in range(3):
        assert asyncio.run(main()) == "x"
        assert asyncio.run(step.ainvoke("x", config)) == "x"  # type: ignore[arg-type]
        assert step.invoke("x", config) == "x"  # type: ignore[arg-type]
    assert handler.trees() == ["chain step"] * 9
