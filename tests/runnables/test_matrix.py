"""Every component, called in every way, with a handler attached in every way: the same tree."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chain_callbacks import attached, traced
from chain_callbacks.runnables import (
    AIMessage,
    BaseRetriever,
    Document,
    FakeListChatModel,
    FakeToolCallingChatModel,
    PromptTemplate,
    Runnable,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
    StrOutputParser,
    ToolCall,
    create_agent,
    tool,
)
from chain_callbacks.runnables.wrappers import RunnableRetry, RunnableWithFallbacks
from chain_callbacks.testing import RecordingHandler

SYNC = ("invoke", "stream", "batch")
ASYNC = ("ainvoke", "astream", "abatch")
FORMS = (*SYNC, *ASYNC)
ROUTES = ("constructor", "environment", "runtime name", "runtime object", "attached")


@dataclass(frozen=True)
class Case:
    """A component, and its tree: invoked, and streamed where that differs."""

    make: Callable[[Any], Runnable[Any, Any]]
    tree: str
    streamed: str | None = None
    forms: tuple[str, ...] = FORMS

    def expected(self, form: str) -> str:
        tree = self.streamed if "stream" in form and self.streamed else self.tree
        return textwrap.dedent(tree).strip("\n")


def sequence(callbacks: Any) -> Runnable[Any, Any]:
    steps = PromptTemplate("{x}"), FakeListChatModel(["one two"]), StrOutputParser()
    return RunnableSequence(*steps, callbacks=callbacks)


def parallel(callbacks: Any) -> Runnable[Any, Any]:
    loud = RunnableLambda(str.upper, name="loud")
    return RunnableParallel(
        {"loud": loud, "said": FakeListChatModel(["one two"])}, callbacks=callbacks
    )


def function(callbacks: Any) -> Runnable[Any, Any]:
    inner = RunnableLambda(str.upper, name="inner")

    def outer(text: str) -> str:
        return inner.invoke(text)

    return RunnableLambda(outer, callbacks=callbacks)


def coroutine_function(callbacks: Any) -> Runnable[Any, Any]:
    async def leaf(text: str) -> str:
        return text.upper()

    inner = RunnableLambda(leaf)

    async def outer(text: str) -> str:
        first, _ = await asyncio.gather(inner.ainvoke(text), inner.ainvoke(text))
        return first

    return RunnableLambda(outer, callbacks=callbacks)


def prompt(callbacks: Any) -> Runnable[Any, Any]:
    return PromptTemplate("tell me of {x}", callbacks=callbacks)


def chat_model(callbacks: Any) -> Runnable[Any, Any]:
    return FakeListChatModel(["one two three"], callbacks=callbacks)


def tool_with_a_run(callbacks: Any) -> Runnable[Any, Any]:
    @tool(callbacks=callbacks)
    def shout(text: str) -> str:
        return RunnableLambda(str.upper, name="inner").invoke(text)

    return shout


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(RunnableLambda(str.upper, name="inner").invoke(query))]


def retriever(callbacks: Any) -> Runnable[Any, Any]:
    return Shelf(callbacks=callbacks)


def two_calls() -> list[str | AIMessage | BaseException]:
    calls = [
        ToolCall(name="add", args={"a": 1, "b": 2}, id="1"),
        ToolCall(name="multiply", args={"a": 1, "b": 2}, id="2"),
    ]
    return [AIMessage("", tool_calls=calls), "done now"]


def agent(callbacks: Any) -> Runnable[Any, Any]:
    # Neither tool returns before another one has begun: they can only run side by side.
    both = threading.Barrier(2)

    def meeting(value: int) -> int:
        both.wait(timeout=10)
        return RunnableLambda(abs, name="inner").invoke(value)

    def add(a: int, b: int) -> int:
        return meeting(a + b)

    def multiply(a: int, b: int) -> int:
        return meeting(a * b)

    model = FakeToolCallingChatModel(two_calls())
    return create_agent(model, [add, multiply], callbacks=callbacks)


def agent_of_tasks(callbacks: Any) -> Runnable[Any, Any]:
    waiting: list[asyncio.Event] = []

    async def meeting(value: int) -> int:
        if waiting:
            waiting.pop().set()
        else:
            waiting.append(asyncio.Event())
            await waiting[-1].wait()
        return await RunnableLambda(abs, name="inner").ainvoke(value)

    async def add(a: int, b: int) -> int:
        return await meeting(a + b)

    async def multiply(a: int, b: int) -> int:
        return await meeting(a * b)

    model = FakeToolCallingChatModel(two_calls())
    return create_agent(model, [add, multiply], callbacks=callbacks)


def fails(_: str) -> str:
    raise ValueError("no")


def fallback(callbacks: Any) -> Runnable[Any, Any]:
    return RunnableWithFallbacks(
        RunnableLambda(fails), [FakeListChatModel(["one two"])], callbacks=callbacks
    )


def retry(callbacks: Any) -> Runnable[Any, Any]:
    attempts: Counter[str] = Counter()

    def flaky(text: str) -> str:
        attempts[text] += 1
        return text if attempts[text] == 2 else fails(text)

    return RunnableRetry(RunnableLambda(flaky), wait_exponential_jitter=False, callbacks=callbacks)


def traced_function(callbacks: Any) -> Runnable[Any, Any]:
    @traced("tool")
    def inner(text: str) -> str:
        return text

    @traced
    def middle(text: str) -> str:
        return inner(text)

    return RunnableLambda(middle, name="outer", callbacks=callbacks)


TEXTS = ("a", "b")
CASES = {
    "sequence": Case(
        sequence,
        """
        chain RunnableSequence
          prompt PromptTemplate [seq:step:1]
          chat_model FakeListChatModel [seq:step:2]
          parser StrOutputParser [seq:step:3]
        """,
        """
        chain RunnableSequence
          prompt PromptTemplate [seq:step:1]
          chat_model FakeListChatModel [seq:step:2] tokens=2
          parser StrOutputParser [seq:step:3]
        """,
    ),
    "parallel": Case(
        parallel,
        """
        chain RunnableParallel<loud,said>
          chain loud [map:key:loud]
          chat_model FakeListChatModel [map:key:said]
        """,
        """
        chain RunnableParallel<loud,said>
          chain loud [map:key:loud]
          chat_model FakeListChatModel [map:key:said] tokens=2
        """,
    ),
    "lambda": Case(
        function,
        """
        chain outer
          chain inner
        """,
    ),
    "coroutine": Case(
        coroutine_function,
        """
        chain outer
          chain leaf
          chain leaf
        """,
        forms=ASYNC,
    ),
    "prompt": Case(prompt, "prompt PromptTemplate"),
    "chat model": Case(
        chat_model, "chat_model FakeListChatModel", "chat_model FakeListChatModel tokens=3"
    ),
    "tool": Case(
        tool_with_a_run,
        """
        tool shout
          chain inner
        """,
    ),
    "retriever": Case(
        retriever,
        """
        retriever Shelf
          chain inner
        """,
    ),
    **{
        name: Case(
            make,
            """
            chain agent action=2 finish=1
              chat_model FakeToolCallingChatModel
              tool add [tool:call:1]
                chain inner
              tool multiply [tool:call:2]
                chain inner
              chat_model FakeToolCallingChatModel
            """,
            """
            chain agent action=2 finish=1
              chat_model FakeToolCallingChatModel tokens=1
              tool add [tool:call:1]
                chain inner
              tool multiply [tool:call:2]
                chain inner
              chat_model FakeToolCallingChatModel tokens=2
            """,
            forms=forms,
        )
        for name, make, forms in (
            ("agent", agent, FORMS),
            ("agent of tasks", agent_of_tasks, ASYNC),
        )
    },
    "fallback": Case(
        fallback,
        """
        chain RunnableWithFallbacks
          chain fails error ValueError
          chat_model FakeListChatModel
        """,
        """
        chain RunnableWithFallbacks
          chain fails error ValueError
          chat_model FakeListChatModel tokens=2
        """,
    ),
    "retry": Case(
        retry,
        """
        chain RunnableRetry retry=1
          chain flaky [retry:attempt:1] error ValueError
          chain flaky [retry:attempt:2]
        """,
    ),
    "traced": Case(
        traced_function,
        """
        chain outer
          chain middle
            tool inner
        """,
    ),
}


def call(component: Runnable[Any, Any], form: str, config: Any) -> Any:
    """Call *component* in one of the six ways, and read all that it gives."""
    match form:
        case "invoke":
            return component.invoke(TEXTS[0], config)
        case "stream":
            return list(component.stream(TEXTS[0], config))
        case "batch":
            return component.batch(TEXTS, config)
        case "ainvoke":
            return asyncio.run(component.ainvoke(TEXTS[0], config))
        case "abatch":
            return asyncio.run(component.abatch(TEXTS, config))

    async def consume() -> list[Any]:
        return [chunk async for chunk in component.astream(TEXTS[0], config)]

    return asyncio.run(consume())


@contextlib.contextmanager
def entered(
    route: str, recorder: RecordingHandler, name: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, Any]]:
    """Attach the recorder by *route*; give what the constructor and the call take."""
    match route:
        case "constructor":
            yield [recorder], None
        case "environment":
            monkeypatch.setenv("CHAIN_CALLBACKS", name)
            yield None, None
        case "runtime name":
            yield None, {"callbacks": [name]}
        case "runtime object":
            yield None, {"callbacks": [recorder]}
        case _:
            with attached(recorder):
                yield None, None


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("component", "form"), [(name, form) for name, case in CASES.items() for form in case.forms]
)
def test_the_tree_is_the_same_whatever_the_route(
    component: str,
    form: str,
    route: str,
    recorder: RecordingHandler,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each component tells of all that is nested in it, each event once, however it is called."""
    case = CASES[component]
    with entered(route, recorder, named, monkeypatch) as (callbacks, config):
        call(case.make(callbacks), form, config)
    times = 2 if form in ("batch", "abatch") else 1
    assert recorder.trees() == [case.expected(form)] * times
    assert recorder.problems() == []


@pytest.mark.parametrize("form", FORMS)
def test_all_routes_at_once_deliver_once(
    form: str, recorder: RecordingHandler, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that is named and passed in five places hears each event once."""
    case = CASES["sequence"]
    monkeypatch.setenv("CHAIN_CALLBACKS", named)
    with attached(recorder):
        call(case.make([recorder, named]), form, {"callbacks": [named, recorder]})
    times = 2 if form in ("batch", "abatch") else 1
    assert recorder.trees() == [case.expected(form)] * times


@pytest.mark.parametrize("form", FORMS)
def test_a_bound_handler_hears_the_same(form: str, recorder: RecordingHandler) -> None:
    """``with_config`` and ``bind`` make no run and pass on everything."""
    case = CASES["sequence"]
    bound = case.make(None).with_config(callbacks=[recorder]).bind()
    call(bound, form, None)
    times = 2 if form in ("batch", "abatch") else 1
    assert recorder.trees() == [case.expected(form)] * times
