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
    "retry": lambda act: RunnableLambda(as_function(act)).with_retry(
        wait_exponential_jitter=False
    ),
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
    config: Any = {"callbacks": [recorder]}
    with pytest.raises(kind, match="stop"):
        if form == "batch":
            component.batch(["x", "y"], config)
        else:
            list(getattr(component, form)("x", config))
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
        asyncio.run(acall(component, form, recorder))
    assert recorder.problems() == []
    assert {run.status for run in recorder.runs if run.parent_id is None} <= {"error", "cancelled"}
    assert "error" in {run.status for run in recorder.runs if run.parent_id is None}


async def acall(component: Runnable[Any, Any], form: str, recorder: RecordingHandler) -> Any:
    config: Any = {"callbacks": [recorder]}
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
        asyncio.run(acall(COMPONENTS[name](act), form, recorder))
    assert recorder.problems() == []
    assert {run.status for run in recorder.runs if run.parent_id is None} == {"cancelled"}


@pytest.mark.parametrize("form", ["ainvoke", "astream", "abatch"])
@pytest.mark.parametrize("name", COMPONENTS)
def test_a_cancelled_task_ends_every_run_once(
    name: str, form: str, recorder: RecordingHandler
) -> None:
    """Whatever waits when its task is cancelled: each run ends as cancelled, and so does the task."""

    async def main() -> None:
        is_waiting = asyncio.Event()

        async def waiting() -> None:
            is_waiting.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(acall(COMPONENTS[name](waiting), form, recorder))
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
        asyncio.run(acall(component, form, recorder))
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
        if form in ("invoke", "stream"):
            list(getattr(chain, form)("x", config))
        else:
            asyncio.run(acall_with(chain, form, config))
    assert recorder.problems() == []
    assert recorder.runs[0].status == "error"


async def acall_with(chain: Runnable[Any, Any], form: str, config: Any) -> Any:
    if form == "ainvoke":
        return await chain.ainvoke("x", config)
    return [chunk async for chunk in chain.astream("x", config)]


def test_an_error_has_one_id_and_one_origin_up_the_tree() -> None:
    """Each run that one exception leaves tells its one id; where it began is said, once."""
    heard: list[tuple[str, Any, bool, tuple[str, ...]]] = []

    class Handler(BaseCallbackHandler):
        def on_chain_error(
            self,
            error: BaseException,
            *,
            name: str,
            error_id: Any,
            is_origin: bool,
            origin: tuple[str, ...],
            **kwargs: Any,
        ) -> None:
            heard.append((name, error_id, is_origin, origin))

    def breaks(_: str) -> str:
        raise ValueError("no")

    def outer(text: str) -> str:
        return (RunnablePassthrough() | breaks).invoke(text)

    with pytest.raises(ValueError, match="no"):
        RunnableLambda(outer).invoke("x", {"callbacks": [Handler()]})
    path = ("outer", "RunnableSequence", "breaks")
    assert [(name, is_origin, where) for name, _, is_origin, where in heard] == [
        ("breaks", True, path),
        ("RunnableSequence", False, path),
        ("outer", False, path),
    ]
    assert len({error_id for _, error_id, _, _ in heard}) == 1


def test_a_recovered_run_ends_well(recorder: RecordingHandler) -> None:
    """A run whose nested run failed, and that returned all the same, is no error."""

    def breaks(_: str) -> str:
        raise ValueError

    def careful(text: str) -> str:
        try:
            return RunnableLambda(breaks).invoke(text)
        except ValueError:
            return "saved"

    assert RunnableLambda(careful).invoke("x", {"callbacks": [recorder]}) == "saved"
    assert recorder.tree() == "chain careful\n  chain breaks error ValueError"


def test_an_exception_that_replaces_another_is_an_origin_of_its_own() -> None:
    """A wrapped error begins where it was wrapped, with an id of its own."""
    heard: list[tuple[str, Any, bool]] = []

    class Handler(BaseCallbackHandler):
        def on_chain_error(
            self, error: Any, *, name: str, error_id: Any, is_origin: bool, **kwargs: Any
        ) -> None:
            heard.append((name, error_id, is_origin))

    def breaks(_: str) -> str:
        raise ValueError

    def wraps(text: str) -> str:
        try:
            return RunnableLambda(breaks).invoke(text)
        except ValueError as error:
            raise RuntimeError from error

    with pytest.raises(RuntimeError):
        RunnableLambda(wraps).invoke("x", {"callbacks": [Handler()]})
    assert [(name, is_origin) for name, _, is_origin in heard] == [("breaks", True), ("wraps", True)]
    assert len({error_id for _, error_id, _ in heard}) == 2


def test_fallbacks_that_all_fail_raise_the_first_error(recorder: RecordingHandler) -> None:
    """The first alternative's exception leaves, and keeps the id and origin it had there."""

    def first(_: str) -> str:
        raise ValueError("first")

    def second(_: str) -> str:
        raise KeyError("second")

    chain = RunnableLambda(first).with_fallbacks([RunnableLambda(second)])
    with pytest.raises(ValueError, match="first"):
        chain.invoke("x", {"callbacks": [recorder]})
    assert recorder.tree() == (
        "chain RunnableWithFallbacks error ValueError\n"
        "  chain first error ValueError\n"
        "  chain second error KeyError"
    )


def test_an_explicit_end_and_an_exception_after_it_are_one_event(
    recorder: RecordingHandler,
) -> None:
    """A run that was ended by hand stays ended, whatever leaves it then."""
    manager = CallbackManager([recorder])
    with pytest.raises(ValueError, match="late"), manager.run("chain", "job", "in") as run:
        run.end("out")
        raise ValueError("late")
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


class Slow(BaseCallbackHandler):
    """Takes its time with the terminal event."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_inside = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.heard.append("start")

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.is_inside.set()
        await self.may_go_on.wait()
        self.heard.append("end")

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.is_inside.set()
        await self.may_go_on.wait()
        self.heard.append(f"error {type(error).__name__}")


@pytest.mark.parametrize("fails", [False, True])
def test_a_terminal_event_is_delivered_though_its_task_is_cancelled(fails: bool) -> None:
    """Cancelled while a handler is told of the end, the task waits for that, then is cancelled."""

    async def work(_: str) -> str:
        if fails:
            raise ValueError
        return "x"

    async def main() -> list[str]:
        handler = Slow()
        task = asyncio.create_task(
            RunnableLambda(work).ainvoke("x", {"callbacks": [handler]})
        )
        await handler.is_inside.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert handler.heard == ["start"]
        handler.may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return handler.heard

    assert asyncio.run(main()) == ["start", "error ValueError" if fails else "end"]


def test_a_cancellation_that_comes_with_the_last_delivery_is_not_lost() -> None:
    """A task that is cancelled in the very moment in which the delivery ends is cancelled."""

    class Handler(BaseCallbackHandler):
        async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            task.cancel()

    async def work(_: str) -> str:
        return "x"

    async def main() -> None:
        nonlocal task
        task = asyncio.create_task(
            RunnableLambda(work).ainvoke("x", {"callbacks": [Handler()]})
        )
        with pytest.raises(asyncio.CancelledError):
            await task

    task: asyncio.Task[Any]
    asyncio.run(main())
