"""LangChain's runs and ours in one tree, whichever is around the other."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.callbacks.manager import CallbackManagerForChainRun  # noqa: TC002
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool

from chain_callbacks import (
    BaseCallbackHandler,
    attached,
    current_manager,
    flush,
    register,
    traced,
)
from chain_callbacks.handlers import add_run_ids
from chain_callbacks.runnables import RunnableLambda as NativeLambda
from chain_callbacks.runnables import RunnableSequence
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_langchain.tree import tree


@traced
def ours(number: int) -> int:
    return number + 1


@traced
async def aours(number: int) -> int:
    return number + 1


theirs = RunnableLambda(ours).with_config(run_name="theirs")


def test_native_code_in_a_tool_of_langchain_is_its_child(heard: RecordingHandler) -> None:
    """A traced function, and a chain of theirs inside it, stand where they were called."""

    @traced
    def between(number: int) -> int:
        return theirs.invoke(number)

    @tool
    def add(number: int) -> int:
        """Add one."""
        return between(number) + ours(number)

    RunnableLambda(lambda number: add.invoke({"number": number})).invoke(1)

    assert (
        "chain RunnableLambda\n"
        "  tool add\n"
        "    chain between\n"
        "      chain theirs\n"
        "        chain ours\n"
        "    chain ours"
    ) == heard.tree()
    assert [] == heard.problems()


def test_runnable_of_langchain_in_a_native_chain_is_its_child(heard: RecordingHandler) -> None:
    """Tags are handed down from ours to theirs, and from theirs to ours."""
    chain = NativeLambda(lambda number: theirs.invoke(number, {"tags": ["b"]}), name="native")

    chain.invoke(1, config={"tags": ["a"]})

    assert "chain native [a]\n  chain theirs [a,b]\n    chain ours [a,b]" == heard.tree()


CHAINS = {
    "a pipe": lambda: NativeLambda(abs, name="native") | theirs,
    "a sequence that theirs begins": lambda: RunnableSequence(
        theirs, NativeLambda(abs, name="native")
    ),
    "a branch": lambda: NativeLambda(abs, name="native") | {"one": theirs},
}
TREES = {
    "a pipe": """\
chain RunnableSequence [a]
  chain native [a,seq:step:1]
  chain theirs [a,seq:step:2]
    chain ours [a]""",
    "a sequence that theirs begins": """\
chain RunnableSequence [a]
  chain theirs [a,seq:step:1]
    chain ours [a]
  chain native [a,seq:step:2]""",
    "a branch": """\
chain RunnableSequence [a]
  chain native [a,seq:step:1]
  chain RunnableParallel<one> [a,seq:step:2]
    chain theirs [a,map:key:one]
      chain ours [a]""",
}


@pytest.mark.parametrize("form", CHAINS)
def test_runnable_of_langchain_is_a_step_of_a_native_chain(form: str, heard: Any) -> None:
    """It has one run, its own, where the step stands and with the step's tags."""
    CHAINS[form]().invoke(1, config={"tags": ["a"]})

    assert TREES[form] == heard.tree()
    assert [] == heard.problems()


WAYS = {
    "stream": lambda chain: [*chain.stream("?")],
    "astream": lambda chain: asyncio.run(_all_of(chain.astream("?"))),
    "invoke": lambda chain: [*chain.invoke("?")],
    "ainvoke": lambda chain: [*asyncio.run(chain.ainvoke("?"))],
    "batch": lambda chain: [*chain.batch(["?"])[0]],
    "abatch": lambda chain: [*asyncio.run(chain.abatch(["?"]))[0]],
}


async def _all_of(chunks: AsyncIterator[str]) -> list[str]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("way", WAYS)
def test_runnable_of_langchain_flows_in_a_native_chain(way: str, heard: RecordingHandler) -> None:
    """Its chunks come one by one, and what is nested in it stands below it."""
    answering = FakeListChatModel(responses=["abc"]) | StrOutputParser()
    chain = NativeLambda(str.upper, name="native") | answering

    assert [*"abc"] == WAYS[way](chain)
    assert [
        ("RunnableSequence", None),
        ("native", "RunnableSequence"),
        ("RunnableSequence", "RunnableSequence"),
        ("FakeListChatModel", "RunnableSequence"),
        ("StrOutputParser", "RunnableSequence"),
    ] == [(run.name, _parent_of(run, heard)) for run in heard.runs]
    assert [] == heard.problems()


def _parent_of(run: Any, heard: RecordingHandler) -> str | None:
    return next((each.name for each in heard.runs if each.id == run.parent_id), None)


def test_config_of_a_native_run_is_good_in_langchain(other: RecordingHandler) -> None:
    """Handed on as it is, it says who listens and what is around."""

    def call(number: int, config: Any) -> int:
        return theirs.invoke(number, config)

    chain = NativeLambda(call, name="native")
    chain.invoke(1, config={"callbacks": ["other"]})

    assert "chain native\n  chain theirs\n    chain ours" == other.tree()


def test_native_run_of_langchain_hands_metadata_down(heard: RecordingHandler) -> None:
    """What LangChain's config says of metadata holds in our runs below."""
    theirs.invoke(1, {"metadata": {"user": "someone"}})

    assert ["someone"] == [
        record.metadata["user"]
        for record in heard.records
        if record.name == "on_chain_start" and record.run_name == "ours"
    ]


def test_one_tree_under_gather(heard: RecordingHandler) -> None:
    """Tasks that run at the same time have each its own place."""

    async def both(number: int) -> list[int]:
        return await asyncio.gather(atheirs.ainvoke(number), aours(number))

    atheirs = RunnableLambda(aours).with_config(run_name="atheirs")
    pair = RunnableLambda(both).with_config(run_name="pair")

    async def main() -> None:
        await asyncio.gather(pair.ainvoke(1), traced(pair.ainvoke)(2))

    asyncio.run(main())

    assert ["ainvoke", "pair"] == sorted(run.name for run in heard.runs if run.parent_id is None)
    parents = {run.id: run.name for run in heard.runs}
    pairs = sorted((run.name, parents.get(run.parent_id, "-")) for run in heard.runs)
    assert [
        ("ainvoke", "-"),
        *[("aours", "atheirs")] * 2,
        *[("aours", "pair")] * 2,
        *[("atheirs", "pair")] * 2,
        ("pair", "-"),
        ("pair", "ainvoke"),
    ] == pairs
    assert [] == heard.problems()


def test_stream_leaves_nothing_behind_between_chunks(heard: RecordingHandler) -> None:
    """Code that reads a stream of theirs stands outside of it."""

    def chunks(_: Any) -> Any:
        yield from ("a", "b")

    for _ in RunnableLambda(chunks).stream(1):
        ours(1)

    assert ["chain chunks", "chain ours", "chain ours"] == sorted(heard.trees())


def test_attached_inside_a_run_of_langchain_holds_there(
    heard: RecordingHandler, other: RecordingHandler
) -> None:
    """What is attached in their function hears what follows, under the true parent."""

    def function(number: int) -> int:
        with attached("other"):
            inside = theirs.invoke(number)
        return inside + ours(number)

    RunnableLambda(function).with_config(run_name="root").invoke(1)

    assert "chain root\n  chain theirs\n    chain ours\n  chain ours" == heard.tree()
    assert ["on_chain_start", "on_chain_start", "on_chain_end", "on_chain_end"] == other.names()
    assert heard.records[1].run_id == other.records[0].run_id
    assert heard.records[0].run_id == other.records[0].parent_id


def test_attached_around_a_run_of_langchain_hears_it_all(other: RecordingHandler) -> None:
    """A scope reaches into their runs, and ends where it ends."""
    with attached("other"):
        theirs.invoke(1)
    theirs.invoke(1)

    assert "chain theirs\n  chain ours" == other.tree()


def test_manager_can_be_carried_to_a_thread(heard: RecordingHandler) -> None:
    """In a plain thread nothing is known; what is handed over says it all."""

    def function(number: int) -> None:
        manager = current_manager()
        thread = threading.Thread(
            target=lambda: theirs.invoke(number, {"callbacks": [manager]})  # type: ignore[list-item]
        )
        thread.start()
        thread.join()

    RunnableLambda(function).with_config(run_name="root").invoke(1)

    assert "chain root\n  chain theirs\n    chain ours" == heard.tree()


def test_config_carried_to_a_thread_states_the_parent(heard: RecordingHandler) -> None:
    """LangChain's explicit way holds where both contexts are lost."""

    def function(number: int, config: RunnableConfig) -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(theirs.invoke, number, config).result()

    RunnableLambda(function).with_config(run_name="root").invoke(1)

    assert "chain root\n  chain theirs\n    chain ours" == heard.tree()


def test_run_ids_of_langchain_are_on_log_lines(heard: RecordingHandler) -> None:
    """The application's own lines are of the run that they are written in."""
    lines: list[Any] = []
    RunnableLambda(lambda _: lines.append(add_run_ids(None, "info", {}))).invoke(1)

    assert [{"run_id": str(heard.runs[0].id), "root_run_id": str(heard.runs[0].id)}] == lines


def test_run_manager_that_a_function_asks_for_makes_children(heard: RecordingHandler) -> None:
    """LangChain's own way to hand runs down, its text and its custom events are heard."""

    def function(number: int, run_manager: CallbackManagerForChainRun) -> int:
        run_manager.on_text("so far")
        dispatch_custom_event("progress", {"done": 1})
        return theirs.invoke(number, {"callbacks": run_manager.get_child("step")})

    RunnableLambda(function).with_config(run_name="root").invoke(1)

    assert (
        "chain root text=1 custom:progress\n  chain theirs [step]\n    chain ours" == heard.tree()
    )


class Answering(BaseCallbackHandler):
    """A handler that runs a chain of LangChain's itself."""

    def on_chain_start(self, serialized: Any, inputs: Any, **_: Any) -> None:
        theirs.invoke(1)


def test_runs_that_a_handler_starts_are_told_to_nobody(heard: RecordingHandler) -> None:
    """No recursion, and nothing of a handler's own in the trees of others."""
    register("answering", Answering)

    RunnableLambda(lambda number: number).invoke(1, {"callbacks": ["answering"]})

    assert "chain RunnableLambda" == heard.tree()


def test_model_that_is_cancelled_has_an_end(heard: RecordingHandler) -> None:
    """LangChain tells no end of a model that is cancelled; the run around it knows."""
    started = asyncio.Event()

    class Waiting(FakeListChatModel):
        async def _agenerate(self, *_: Any, **__: Any) -> Any:
            started.set()
            await asyncio.Event().wait()

    async def main() -> None:
        model = Waiting(responses=["never"])
        chain = RunnableLambda(lambda text: text) | model
        task = asyncio.create_task(chain.ainvoke("?"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert (
        "chain RunnableSequence cancelled\n"
        "  chain RunnableLambda [seq:step:1]\n"
        "  chat_model Waiting [seq:step:2] cancelled"
    ) == heard.tree()
    assert [] == heard.problems()


def test_model_alone_that_is_cancelled_has_an_end(heard: RecordingHandler) -> None:
    """LangChain issues none, and no run is around it: it ends when LangChain lets go of its id."""
    started = asyncio.Event()

    class Waiting(FakeListChatModel):
        async def _agenerate(self, *_: Any, **__: Any) -> Any:
            started.set()
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(Waiting(responses=["never"]).ainvoke("?"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    gc.collect()
    assert flush().is_complete

    assert "chat_model Waiting cancelled" == heard.tree()
    assert [] == heard.problems()


def test_run_that_starts_late_is_in_the_one_that_has_ended(heard: RecordingHandler) -> None:
    """Whoever holds its config can start one; when nobody does, its place is forgotten."""
    configs: list[RunnableConfig] = []

    def keep(number: int, config: RunnableConfig) -> int:
        configs.append(config)
        return number

    RunnableLambda(keep).with_config(run_name="root").invoke(1)
    gc.collect()
    theirs.invoke(1, configs.pop())
    gc.collect()

    assert "chain root\n  chain theirs\n    chain ours" == heard.tree()
    assert [None] * 3 == [tree.find(run.id) for run in heard.runs]


@pytest.mark.parametrize("run_id", ["not-a-uuid", uuid4()])
def test_id_that_a_program_gives_is_kept(run_id: Any, heard: RecordingHandler) -> None:
    """Whatever it is: LangChain does not look at it either."""
    theirs.invoke(1, {"run_id": run_id})

    assert run_id == heard.runs[0].id
    assert "chain theirs\n  chain ours" == heard.tree()


def test_stream_of_a_model_that_is_left_is_closed(heard: RecordingHandler) -> None:
    """What was read by then is its output."""
    stream = FakeListChatModel(responses=["abc"]).stream("?")
    next(stream)
    stream.close()

    (run,) = heard.runs
    assert ("closed", 1) == (run.status, run.ends)
    response = heard.records[-1].payload["response"]
    assert isinstance(response.generations[0][0].message, AIMessage)
