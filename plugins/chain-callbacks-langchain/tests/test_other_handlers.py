"""Handlers that LangChain has already: they see what they would see without the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManager, BaseCallbackHandler
from langchain_core.callbacks import CallbackManager as LangChainManager
from langchain_core.callbacks.manager import handle_event
from langchain_core.language_models import (
    FakeListChatModel,
    FakeListLLM,
    FakeMessagesListChatModel,
)
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.graph import START, MessagesState, StateGraph

from chain_callbacks import BaseCallbackHandler as OurHandler
from chain_callbacks import register
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_langchain import named

_EVENTS = (
    *("on_chain_start", "on_chain_end", "on_chain_error"),
    *("on_llm_start", "on_chat_model_start", "on_llm_new_token", "on_llm_end", "on_llm_error"),
    *("on_tool_start", "on_tool_end", "on_tool_error"),
    *("on_retriever_start", "on_retriever_end", "on_retriever_error", "on_custom_event"),
)


class Seeing(BaseCallbackHandler):
    """Notes each event with the names of the run and of the one around it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []
        self._names: dict[Any, str] = {None: "-"}

    def note(self, event: str, arguments: Any, keywords: Any) -> None:
        if event.endswith("_start"):
            name = keywords.get("name") or (arguments[0] or {}).get("name") or event
            self._names[keywords["run_id"]] = name
        run, parent = keywords["run_id"], keywords.get("parent_run_id")
        self.seen.append((event, self._names.get(run, "?"), self._names.get(parent, "?")))


class InlineSeeing(Seeing):
    """As LangChain's own tracer, and what streams a graph's messages."""

    run_inline = True


class AwaitedSeeing(AsyncCallbackHandler, Seeing):
    """Is awaited."""


def _noting(event: str) -> Any:
    def method(self: Seeing, *arguments: Any, **keywords: Any) -> None:
        self.note(event, arguments, keywords)

    return method


def _anoting(event: str) -> Any:
    async def method(self: Seeing, *arguments: Any, **keywords: Any) -> None:
        await asyncio.sleep(0)
        self.note(event, arguments, keywords)

    return method


for _event in _EVENTS:
    setattr(Seeing, _event, _noting(_event))
    setattr(AwaitedSeeing, _event, _anoting(_event))


async def _all(stream: Any) -> list[Any]:
    return [each async for each in stream]


def text() -> Any:
    return FakeListLLM(responses=["one", "two"])


def chat() -> Any:
    return FakeListChatModel(responses=["one", "two"])


def chain() -> Any:
    return RunnableLambda(lambda value: value, name="first") | text()


def branches() -> Any:
    # One after the other: branches that run at once have no order.
    return RunnableParallel(a=text(), b=chat())


def nested() -> Any:
    async def ask(value: str) -> Any:
        return await text().ainvoke(value)

    return RunnableLambda(lambda value: value, ask, name="nested")


def failing() -> Any:
    return RunnableLambda(lambda value: value, name="first") | FakeListLLM(responses=[])


@tool
def add(number: int) -> int:
    """Add one."""
    return number + 1


def agent() -> Any:
    """Return a graph: a model that asks for a tool, the tool, and a text model that answers."""
    # Warns of its own imports in some versions: here, warnings are what the test makes of them.
    from langgraph.prebuilt import ToolNode

    call = AIMessage("", tool_calls=[ToolCall(name="add", args={"number": 1}, id="1")])

    def ask(state: Any) -> Any:
        return {"messages": [asking.invoke(state["messages"])]}

    async def aask(state: Any) -> Any:
        return {"messages": [await asking.ainvoke(state["messages"])]}

    def answer(state: Any) -> Any:
        return {"messages": [AIMessage(text().invoke("?"))]}

    async def aanswer(state: Any) -> Any:
        return {"messages": [AIMessage(await text().ainvoke("?"))]}

    asking = FakeMessagesListChatModel(responses=[call])
    graph = StateGraph(MessagesState)
    graph.add_node("ask", RunnableLambda(ask, aask))
    graph.add_node("tools", ToolNode([add]))
    graph.add_node("answer", RunnableLambda(answer, aanswer))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "tools")
    graph.add_edge("tools", "answer")
    return RunnableLambda(lambda value: {"messages": [value]}) | graph.compile()


MAKERS = (text, chat, chain, branches, nested, failing, agent)
CALLS: dict[str, Callable[[Runnable[Any, Any], Any], Any]] = {
    "invoke": lambda it, config: it.invoke("?", config),
    "stream": lambda it, config: [*it.stream("?", config)],
    "batch": lambda it, config: it.batch(["?"], config),
    "ainvoke": lambda it, config: asyncio.run(it.ainvoke("?", config)),
    "astream": lambda it, config: asyncio.run(_all(it.astream("?", config))),
    "abatch": lambda it, config: asyncio.run(it.abatch(["?"], config)),
    "abatch of two": lambda it, config: asyncio.run(it.abatch(["?", "!"], config)),
    "astream_log": lambda it, config: asyncio.run(_all(it.astream_log("?", config))),
    "astream_events": lambda it, config: asyncio.run(
        _all(it.astream_events("?", config, version="v2"))
    ),
    "astream_events v1": lambda it, config: asyncio.run(
        _all(it.astream_events("?", config, version="v1"))
    ),
}


def _events_of(result: Any) -> Any:
    """Return the events that LangChain itself gives, or why it fails; else nothing."""
    if not isinstance(result, list):
        return result if isinstance(result, str) else None
    return sorted(
        (each["event"], each["name"])
        for each in result
        if isinstance(each, dict) and "event" in each
    )


def seen(make: Callable[[], Any], call: str, handlers: tuple[type[Seeing], ...]) -> Any:
    """Return what each of *handlers* sees of one call, and what LangChain gives of it."""
    listed = [each() for each in handlers]
    collector = RunCollectorCallbackHandler()
    try:
        result = CALLS[call](make(), {"callbacks": [*listed, collector]})
    except Exception as error:
        result = repr(error)
    views = [each.seen for each in listed]
    if make is branches or call == "abatch of two":
        views = [sorted(each) for each in views]  # What runs at once has no order.
    return views, sorted(each.name for each in collector.traced_runs), _events_of(result)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "handlers",
    [(AwaitedSeeing,), (Seeing, AwaitedSeeing), (InlineSeeing, AwaitedSeeing)],
    ids=lambda each: "+".join(kind.__name__ for kind in each),
)
def test_other_handlers_see_what_they_see_without_the_bridge(
    handlers: tuple[type[Seeing], ...],
    make: Callable[[], Any],
    call: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same runs, parents and order, for handlers of any kind, and LangChain's own events."""
    recorder = RecordingHandler()
    register("heard", lambda: recorder)

    expected = seen(make, call, handlers)
    assert () == recorder.runs
    monkeypatch.setenv("CHAIN_CALLBACKS", "heard")
    actual = seen(make, call, handlers)

    assert expected == actual
    assert recorder.runs
    assert [] == recorder.problems()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LangChain's own, in some versions.
def test_asynchronous_text_model_tells_every_handler_its_start(heard: RecordingHandler) -> None:
    """LangChain's own fault: it tells none but inline handlers, where there is one."""
    handler, collector = AwaitedSeeing(), RunCollectorCallbackHandler()
    model = text()

    asyncio.run(model.ainvoke("?", {"callbacks": [handler, collector]}))
    events = asyncio.run(_all(model.astream_events("?", version="v2")))

    assert ["on_llm_start", "on_llm_end"] == [event for event, *_ in handler.seen]
    assert ["FakeListLLM"] == [run.name for run in collector.traced_runs]
    assert "on_llm_start" == events[0]["event"]
    assert ["FakeListLLM"] * 2 == [run.name for run in heard.runs]


def test_text_model_is_heard_beside_an_inline_handler(heard: RecordingHandler) -> None:
    """That one keeps LangChain's other handlers from the start, and ours gets it."""
    asyncio.run(text().ainvoke("?", {"callbacks": [InlineSeeing()]}))

    assert "llm FakeListLLM" == heard.tree()
    assert [] == heard.problems()


@pytest.mark.parametrize("make", [text, chat])
def test_prompts_of_one_call_are_runs_of_their_own(
    make: Callable[[], Any], heard: RecordingHandler
) -> None:
    """A manager may start several; each manager of a run has the whole list of handlers."""
    handler = AwaitedSeeing()

    async def main() -> Any:
        manager = AsyncCallbackManager.configure([handler])
        start, batch = (
            (manager.on_llm_start, ["one", "two"])
            if make is text
            else (manager.on_chat_model_start, [[AIMessage("one")], [AIMessage("two")]])
        )
        runs = await start({"name": "thing"}, batch)
        assert [manager.handlers] * 2 == [run.handlers for run in runs]
        for run in runs:
            await run.on_llm_error(LookupError("no"))
        return [run.run_id for run in runs]

    ids = asyncio.run(main())

    assert ids == [run.id for run in heard.runs]
    kinds = ["on_llm_start" if make is text else "on_chat_model_start"] * 2 + ["on_llm_error"] * 2
    assert kinds == [event for event, *_ in handler.seen]
    assert [] == heard.problems()


@pytest.mark.parametrize("make", [text, chat])
def test_names_of_a_list_all_join_where_a_model_is_asked(
    make: Callable[[], Any], heard: RecordingHandler, other: RecordingHandler
) -> None:
    """A model alone, asked asynchronously, with several names: each handler is told, once."""
    direct = Direct()

    asyncio.run(make().ainvoke("?", {"callbacks": ["other", named(direct), direct]}))

    assert 1 == len(heard.runs) == len(other.runs)
    assert 1 == direct.started


class Direct(BaseCallbackHandler):
    """A handler of LangChain's that counts the starts of models."""

    def __init__(self) -> None:
        self.started = 0

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        self.started += 1

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.started += 1


class Guard(OurHandler):
    """Refuses models."""

    raise_error = True

    def on_llm_start(self, serialized: Any, prompts: Any, **_: Any) -> None:
        raise PermissionError("not this one")


WAYS = ("invoke", "ainvoke")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [text, chat])
@pytest.mark.parametrize("kind", [Seeing, InlineSeeing, AwaitedSeeing])
def test_run_that_our_guard_refuses_has_no_start_for_others(
    kind: type[Seeing], make: Callable[[], Any], way: str, heard: RecordingHandler
) -> None:
    """They see a whole run or none, whatever their place in the list, and nothing is left over."""
    register("guard", Guard)
    before, after = kind(), kind()

    with pytest.raises(PermissionError, match="not this one"):
        CALLS[way](make(), {"callbacks": [before, "guard", after]})

    assert [] == before.seen == after.seen
    assert ["error"] == [run.status for run in heard.runs]
    assert [] == heard.problems()


class Refusing(BaseCallbackHandler):
    """A handler of LangChain's that refuses whatever starts."""

    raise_error = True
    run_inline = True

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise PermissionError("not this one")

    on_chain_start = on_llm_start = on_chat_model_start = _refuse


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [text, chat, nested])
def test_run_that_another_handler_refuses_is_an_error_for_ours(
    make: Callable[[], Any], way: str, heard: RecordingHandler
) -> None:
    """LangChain issues no end of it; our handlers get one."""
    with pytest.raises(PermissionError, match="not this one"):
        CALLS[way](make(), {"callbacks": [Refusing()]})

    assert ["error"] == [run.status for run in heard.runs]
    assert [] == heard.problems()


class FailingEnd(OurHandler):
    """Raises at the end of a run, on purpose."""

    raise_error = True

    def on_llm_end(self, response: Any, **_: Any) -> None:
        raise PermissionError("not this answer")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [Seeing, InlineSeeing, AwaitedSeeing])
def test_end_reaches_others_where_our_guard_raises_at_it(kind: type[Seeing], way: str) -> None:
    """Whatever their place in the list."""
    register("guard", FailingEnd)
    before, after = kind(), kind()

    with pytest.raises(PermissionError, match="not this answer"):
        CALLS[way](text(), {"callbacks": [before, "guard", after]})

    assert ["on_llm_start", "on_llm_end"] == [event for event, *_ in before.seen]
    assert before.seen == after.seen


def test_event_is_heard_whose_payload_comes_by_keyword(heard: RecordingHandler) -> None:
    """As a program does that passes on the events of another process."""
    manager, run_id = LangChainManager.configure(), uuid4()
    start = {"serialized": {"name": "thing"}, "inputs": {"x": 1}, "run_id": run_id}

    handle_event(manager.handlers, "on_chain_start", "ignore_chain", **start)
    handle_event(manager.handlers, "on_chain_end", "ignore_chain", outputs={"y": 2}, run_id=run_id)

    begun, ended = heard.records
    assert ({"x": 1}, {"y": 2}) == (begun.payload["inputs"], ended.payload["outputs"])
    assert "chain thing" == heard.tree()


@pytest.mark.parametrize("is_async", [False, True])
def test_managers_list_what_they_were_given(is_async: bool, heard: RecordingHandler) -> None:  # noqa: FBT001
    """LangChain hands the bridge down with the others; a list of a program's is left as it is."""
    handler = Seeing()
    kind: Any = AsyncCallbackManager if is_async else LangChainManager
    manager = kind.configure([handler])
    listed = [*manager.handlers]

    result = manager.on_chain_start({"name": "thing"}, 1)
    run = asyncio.run(_awaited(result)) if is_async else result

    assert listed == manager.handlers == run.handlers
    assert handler is listed[0]
    assert 2 == len(listed)


async def _awaited(result: Any) -> Any:
    return await result
