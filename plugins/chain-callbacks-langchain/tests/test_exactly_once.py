"""One delivery of an event to a handler, whichever of the ways name it."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler as LangChainHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda

from chain_callbacks import BaseCallbackHandler, attached, register
from chain_callbacks.runnables import RunnableLambda as NativeLambda
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_langchain import named

TREE = "chain root\n  chat_model FakeListChatModel"
ROUTES = ("environment", "attached", "bound", "config", "constructor")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("routes", [*product([False, True], repeat=len(ROUTES))][1:], ids=repr)
def test_each_event_is_told_once_by_any_routes(
    routes: tuple[bool, ...],
    is_async: bool,  # noqa: FBT001
    other: RecordingHandler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All combinations of the ways to name one handler."""
    used = {name for name, is_used in zip(ROUTES, routes, strict=True) if is_used}
    if "environment" in used:
        monkeypatch.setenv("CHAIN_CALLBACKS", "other")
    model = FakeListChatModel(
        responses=["yes"], callbacks=[named("other")] if "constructor" in used else None
    )

    def ask(text: str) -> Any:
        return model.invoke(text)

    async def aask(text: str) -> Any:
        return await model.ainvoke(text)

    chain: Any = RunnableLambda(ask, aask, name="root")
    if "bound" in used:
        chain = chain.with_config(callbacks=[named("other")])
    config: Any = {"callbacks": ["other", named("other")]} if "config" in used else None
    with attached(*(["other"] if "attached" in used else [])):
        if is_async:
            asyncio.run(chain.ainvoke("?", config))
        else:
            chain.invoke("?", config)

    alone = TREE.splitlines()[-1].strip()
    assert (alone if used == {"constructor"} else TREE) == other.tree()
    assert [] == other.problems()


class Counting(LangChainHandler):
    """A handler of LangChain's that counts the starts of chains."""

    def __init__(self) -> None:
        self.started: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **keywords: Any) -> None:
        self.started.append(keywords.get("name"))


def test_object_that_both_hosts_are_given_is_told_once() -> None:
    """LangChain tells it of LangChain's runs, we of ours."""
    counting = Counting()
    theirs = RunnableLambda(lambda number: number, name="theirs")
    chain = NativeLambda(
        lambda number: theirs.invoke(number, {"callbacks": [counting]}), name="native"
    )

    chain.invoke(1, config={"callbacks": [counting]})

    assert ["native", "theirs"] == counting.started


def test_object_that_ours_are_given_hears_theirs() -> None:
    """A handler of LangChain's that hears a native run hears what LangChain runs in it."""
    counting = Counting()
    theirs = RunnableLambda(lambda number: number, name="theirs")

    NativeLambda(theirs.invoke, name="native").invoke(1, config={"callbacks": [counting]})

    assert ["native", "theirs"] == counting.started


class Guard(BaseCallbackHandler):
    """Stops what it does not like."""

    raise_error = True

    def on_chat_model_start(self, serialized: Any, messages: Any, **_: Any) -> None:
        raise PermissionError("not this one")


@pytest.mark.parametrize("is_async", [False, True])
def test_guard_stops_a_run_and_the_tree_is_whole(
    is_async: bool,  # noqa: FBT001
    heard: RecordingHandler,
) -> None:
    """What a handler raises on purpose leaves LangChain's run; every start has its end."""
    register("guard", Guard)
    chain = RunnableLambda(lambda text: text) | FakeListChatModel(responses=["no"])
    config: Any = {"callbacks": ["guard"]}

    with pytest.raises(PermissionError, match="not this one"):
        asyncio.run(chain.ainvoke("?", config)) if is_async else chain.invoke("?", config)

    assert (
        "chain RunnableSequence error PermissionError\n"
        "  chain RunnableLambda [seq:step:1]\n"
        "  chat_model FakeListChatModel [seq:step:2] error PermissionError"
    ) == heard.tree()
    assert [] == heard.problems()


class Broken(BaseCallbackHandler):
    """Fails at whatever it is told."""

    def on_chain_start(self, serialized: Any, inputs: Any, **_: Any) -> None:
        raise ZeroDivisionError


def test_handler_that_fails_changes_nothing(
    heard: RecordingHandler, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on, the others are told, and it is logged once."""
    register("broken", Broken)

    results = [
        RunnableLambda(lambda number: number + 1).invoke(1, {"callbacks": ["broken"]})
        for _ in range(3)
    ]

    assert [2, 2, 2] == results
    assert 3 == len(heard.runs)
    assert 1 == len(caplog.records)


class Awaited(BaseCallbackHandler):
    """A handler that is awaited; it notes the loops that it runs on."""

    def __init__(self) -> None:
        self.loops: list[Any] = []

    async def on_chain_start(self, serialized: Any, inputs: Any, **_: Any) -> None:
        await asyncio.sleep(0)
        self.loops.append(asyncio.get_running_loop())


def test_asynchronous_handler_is_awaited_on_the_loop_of_the_caller() -> None:
    """LangChain's loop is not blocked by it, and it may use what is bound to that loop."""
    handler = Awaited()

    async def main() -> None:
        await RunnableLambda(lambda number: number).ainvoke(1, {"callbacks": [named(handler)]})
        assert [asyncio.get_running_loop()] == handler.loops

    asyncio.run(main())


def test_asynchronous_handler_is_told_by_synchronous_code() -> None:
    """It runs on a loop of ours, and is done when LangChain goes on."""
    handler = Awaited()

    RunnableLambda(lambda number: number).invoke(1, {"callbacks": [named(handler)]})

    assert 1 == len(handler.loops)
