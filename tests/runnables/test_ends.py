"""Every start has exactly one end, whatever leaves the run, and the end says what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager, traced
from chain_callbacks.runnables import (
    AIMessage,
    BaseChatModel,
    BaseMessage,
    BaseRetriever,
    Document,
    FakeListChatModel,
    FakeToolCallingChatModel,
    PromptTemplate,
    Runnable,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    ToolCall,
    create_agent,
    tool,
)
from chain_callbacks.testing import RecordingHandler

Thrower = Callable[[], Any]


class Model(BaseChatModel):
    """Does what it is told to when it is asked."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.act = act

    def _generate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        self.act()
        return AIMessage("x")

    async def _agenerate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        await self.act()
        return AIMessage("x")


class Retriever(BaseRetriever):
    def __init__(self, act: Any) -> None:
        super().__init__()
        self.act = act

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        self.act()
        return []

    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        await self.act()
        return []


def as_function(act: Any) -> Any:
    """Return a function of one argument that does what *act* does, in the same colour."""
    if asyncio.iscoroutinefunction(act):

        async def work(x: Any) -> Any:
            await act()
            return x

        return work

    def work_now(x: Any) -> Any:
        act()
        return x

    return work_now


def an_agent(act: Any) -> Runnable[Any, Any]:
    both = as_function(act)

    def name(suffix: str) -> Any:
        each = traced("chain", name="inside")(both)
        return tool(suffix)(each)

    calls = [ToolCall(name=n, args={"x": 1}, id=n) for n in ("one", "two")]
    model = FakeToolCallingChatModel([AIMessage("", tool_calls=calls), "done"])
    return create_agent(model, [name("one"), name("two")])


COMPONENTS: dict[str, Callable[[Any], Runnable[Any, Any]]] = {
    "lambda": lambda act: RunnableLambda(as_function(act)),
    "sequence": lambda act: PromptTemplate("{x}") | as_function(act),
    "parallel": lambda act: RunnableParallel(a=as_function(act), b=as_function(act)),
    "model": Model,
    "retriever": Retriever,
    "tool": lambda act: tool(as_function(act)),
    "agent": an_agent,
    "retry": lambda act: RunnableLambda(as_function(act)).with_retry(wait_exponential_jitter=False),
    "fallback": lambda act: RunnableLambda(as_function(act)).with_fallbacks(
        [RunnableLambda(as_function(act))]
    ),
    "traced": lambda act: RunnablePassthrough() | traced(as_function(act)),
    "nested": lambda act: RunnableLambda(lambda _: RunnableLambda(as_function(act))),
}


def raising(kind: type[BaseException]) -> Any:
    def act() -> None:
        raise kind("stop")

    return act


def araising(kind: type[BaseException]) -> Any:
    async def act() -> None:
        raise kind("stop")

    return act


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("form", ["invoke", "stream", "batch"])
@pytest.mark.parametrize("name", COMPONENTS)
def test_what_is_raised_ends_every_run_once(
    name: str, form: str, kind: type[BaseException], recorder: RecordingHandler
) -> None:
    """An exception, an interrupt and an exit all end each run that they leave, and leave."""
    component = COMPONENTS[name](raising(kind))
    with pytest.raises(kind, match="stop"):
        called(component, form, {"callbacks": [recorder]})
    assert recorder.problems() == []
    assert recorder.runs
    status = "error" if kind is ValueError else "cancelled"
    assert {run.status for run in recorder.runs if run.parent_id is None} == {status}


@pytest.mark.parametrize("form", ["ainvoke", "astream", "abatch"])
@pytest.mark.parametrize("name", COMPONENTS)
def test_what_is_raised_in_a_coroutine_ends_every_run_once(
    name: str, form: str, recorder: RecordingHandler
) -> None:
    """An exception in asynchronous code ends each run that it leaves, and leaves bare."""
    component = COMPONENTS[name](araising(ValueError))
    with pytest.raises(ValueError, match="stop"):
        called(component, form, {"callbacks": [recorder]})
    assert recorder.problems() == []
    assert {run.status for run in recorder.runs if run.parent_id is None} <= {"error", "cancelled"}
    assert "error" in {run.status for run in recorder.runs if run.parent_id is None}


def called(component: Runnable[Any, Any], form: str, config: Any) -> Any:
    """Call *component* in one of the six ways, and read all that it gives."""
    match form:
        case "invoke":
            return component.invoke("x", config)
        case "stream":
            return list(component.stream("x", config))
        case "batch":
            return component.batch(["x", "y"], config)
    return asyncio.run(acall(component, form, config))


async def acall(component: Runnable[Any, Any], form: str, config: Any) -> Any:
    if form == "ainvoke":
        return await component.ainvoke("x", config)
    if form == "abatch":
        return await component.abatch(["x", "y"], config)
    return [chunk async for chunk in component.astream("x", config)]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("form", ["ainvoke", "abatch", "astream"])
@pytest.mark.parametrize("name", ["lambda", "parallel", "model", "retriever", "tool", "agent"])
def test_an_interrupt_of_the_loop_ends_every_run_once(
    name: str, form: str, kind: type[BaseException], recorder: RecordingHandler
) -> None:
    """An interrupt in a task ends its runs and, while the loop shuts down, those of the others."""
    left = [kind("stop")]

    async def act() -> None:
        # One of them is interrupted, as Ctrl+C does it; whatever runs beside it waits.
        if left:
            raise left.pop()
        await asyncio.Event().wait()

    with pytest.raises(kind):
        called(COMPONENTS[name](act), form, {"callbacks": [recorder]})
    assert recorder.problems() == []
    assert {run.status for run in recorder.runs if run.parent_id is None} == {"cancelled"}


@pytest.mark.parametrize("form", ["ainvoke", "astream", "abatch"])
@pytest.mark.parametrize("name", COMPONENTS)
def test_a_cancelled_task_ends_every_run_once(
    name: str, form: str, recorder: RecordingHandler
) -> None:
    """Whatever waits when its task is cancelled: its runs end as cancelled, and it does too."""

    async def main() -> None:
        is_waiting = asyncio.Event()

        async def waiting() -> None:
            is_waiting.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            acall(COMPONENTS[name](waiting), form, {"callbacks": [recorder]})
        )
        await is_waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert recorder.problems() == []
    assert {run.status for run in recorder.runs if run.parent_id is None} == {"cancelled"}
    assert {run.status for run in recorder.runs} <= {"cancelled", "ok"}


@pytest.mark.parametrize("form", ["ainvoke", "abatch", "astream"])
def test_a_branch_that_raises_a_cancellation_cancels_the_call(
    form: str, recorder: RecordingHandler
) -> None:
    """A ``CancelledError`` that a branch raises itself is not lost, and no result goes missing."""
    component = RunnableParallel(good=as_function(_nothing), bad=as_function(_cancel))
    with pytest.raises(asyncio.CancelledError):
        called(component, form, {"callbacks": [recorder]})
    assert recorder.problems() == []
    assert recorder.runs[0].status == "cancelled"


async def _nothing() -> None: ...


async def _cancel() -> None:
    raise asyncio.CancelledError


class Guard(BaseCallbackHandler):
    """Stops the run at one event."""

    raise_error = True

    def __init__(self, event: str) -> None:
        setattr(self, event, self._stop)

    def _stop(self, *args: Any, **kwargs: Any) -> None:
        raise PermissionError("no budget left")


@pytest.mark.parametrize("event", ["on_chat_model_start", "on_llm_end", "on_chain_start"])
@pytest.mark.parametrize("form", ["invoke", "stream", "ainvoke", "astream"])
def test_a_handler_may_stop_a_run(form: str, event: str, recorder: RecordingHandler) -> None:
    """The exception of a handler that asks for it leaves; all other handlers hear every end."""
    chain = RunnableLambda(lambda x: x) | FakeListChatModel(["a"])
    config: Any = {"callbacks": [Guard(event), recorder]}
    with pytest.raises(PermissionError, match="no budget left"):
        called(chain, form, config)
    assert recorder.problems() == []
    assert recorder.runs[0].status == "error"


def test_an_explicit_end_and_an_exception_after_it_are_one_event(
    recorder: RecordingHandler,
) -> None:
    """A run that was ended by hand stays ended, whatever leaves it then."""
    manager = CallbackManager([recorder])

    def work() -> None:
        with manager.run("chain", "job", "in") as run:
            run.end("out")
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        work()
    assert recorder.names() == ["on_chain_start", "on_chain_end"]
    assert recorder.runs[0].status == "ok"


def test_a_run_by_hand_that_is_left_without_a_word_ends(recorder: RecordingHandler) -> None:
    """Leaving the block ends the run, with ``with`` and with ``async with``."""

    async def main() -> None:
        async with CallbackManager([recorder]).run("tool", "second", "in"):
            pass

    with CallbackManager([recorder]).run("retriever", "first", "in"):
        pass
    asyncio.run(main())
    assert recorder.trees() == ["retriever first", "tool second"]
