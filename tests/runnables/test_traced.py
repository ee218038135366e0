"""``@traced``: each call of a function is a run, and the function behaves as it did."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, attached, traced
from chain_callbacks.dispatch.context import current
from chain_callbacks.runnables import HumanMessage, RunnableLambda, RunnablePassthrough
from chain_callbacks.testing import RecordingHandler

LONG = 10.0


def inner() -> None:
    RunnablePassthrough(name="inner").invoke("x")


def plain(recorder: Any = None) -> Any:
    @traced(callbacks=recorder)
    def work(x: int) -> int:
        inner()
        return x + 1

    return lambda: work(1)


def coroutine(recorder: Any = None) -> Any:
    @traced(callbacks=recorder)
    async def work(x: int) -> int:
        inner()
        await asyncio.sleep(0)
        return x + 1

    return lambda: asyncio.run(work(1))


def generator(recorder: Any = None) -> Any:
    @traced(callbacks=recorder)
    def work(x: int) -> Iterator[int]:
        inner()
        yield x + 1

    return lambda: list(work(1))


def async_generator(recorder: Any = None) -> Any:
    @traced(callbacks=recorder)
    async def work(x: int) -> AsyncIterator[int]:
        inner()
        yield x + 1

    async def consume() -> list[int]:
        return [item async for item in work(1)]

    return lambda: asyncio.run(consume())


@pytest.mark.parametrize("route", ["constructor", "environment", "attached", "attached name"])
@pytest.mark.parametrize("make", [plain, coroutine, generator, async_generator])
def test_each_form_is_one_run_whatever_the_route(
    make: Any,
    route: str,
    recorder: RecordingHandler,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A function, coroutine, generator and asynchronous generator: one run, what it calls in it."""
    with contextlib.ExitStack() as stack:
        if route == "environment":
            monkeypatch.setenv("CHAIN_CALLBACKS", named)
        elif route != "constructor":
            stack.enter_context(attached(recorder if route == "attached" else named))
        result = make(recorder if route == "constructor" else None)()
    assert result in (2, [2])
    assert recorder.tree() == "chain work\n  chain inner"
    start, *_, end = recorder.records
    assert (start.payload["inputs"], end.payload["outputs"]) == ({"x": 1}, 2)
    assert recorder.problems() == []


@pytest.mark.parametrize(
    ("run_type", "key", "value"),
    [
        ("chain", "inputs", {"query": "q"}),
        ("prompt", "inputs", {"query": "q"}),
        ("parser", "inputs", {"query": "q"}),
        ("tool", "inputs", {"query": "q"}),
        ("retriever", "query", "q"),
        ("llm", "prompts", ["q"]),
        ("chat_model", "messages", [["q"]]),
        ("embeddings", "texts", ["q"]),
    ],
)
def test_the_run_is_of_the_type_it_names(
    run_type: Any, key: str, value: Any, recorder: RecordingHandler
) -> None:
    """A run of each type starts with what handlers of that type expect."""

    @traced(run_type, name="named", tags=["t"], metadata={"m": 1}, callbacks=[recorder])
    def work(query: str) -> str:
        return query

    work("q")
    assert recorder.tree() == f"{run_type} named [t]"
    start = recorder.records[0]
    assert start.payload[key] == value
    assert dict(start.metadata) == {"m": 1}


def test_a_model_that_is_traced_answers_as_a_model(recorder: RecordingHandler) -> None:
    """What a traced model returns, a text or a message, is told as an ``LLMResult``."""

    @traced("chat_model", callbacks=[recorder])
    def ask(messages: list[Any]) -> str:
        return "fine"

    assert ask([HumanMessage("how are you")]) == "fine"
    start, end = recorder.records
    assert start.payload["messages"] == [[HumanMessage("how are you")]]
    assert end.payload["response"].generations[0][0].text == "fine"


def test_an_unknown_type_is_refused() -> None:
    """A type that no run has raises where the function is decorated."""
    with pytest.raises(ValueError, match="'modell' is no type of run. Valid: chain, prompt"):
        traced("modell")  # type: ignore[call-overload]


def test_a_method_is_told_without_its_object(recorder: RecordingHandler) -> None:
    """Methods may be traced, sync, async and generators; ``self`` is no input."""

    class Service:
        @traced("retriever")
        def search(self, query: str) -> list[str]:
            return [query]

        @traced
        async def load(self, key: str) -> str:
            return key

        @traced
        def each(self, count: int = 2) -> Iterator[int]:
            yield from range(count)

        @classmethod
        @traced
        def make(cls, size: int) -> int:
            return size

    service = Service()
    with attached(recorder):
        assert service.search("q") == ["q"]
        assert asyncio.run(service.load("k")) == "k"
        assert list(service.each()) == [0, 1]
        assert Service.make(3) == 3
    assert recorder.trees() == ["retriever search", "chain load", "chain each", "chain make"]
    starts = [dict(r.payload) for r in recorder.records if r.status is None]
    assert starts[0]["query"] == "q"
    assert [start["inputs"] for start in starts[1:]] == [{"key": "k"}, {}, {"size": 3}]


def test_what_was_decorated_looks_as_before() -> None:
    """Name, docstring, signature and colour of a function stay."""

    @traced
    async def work(x: int, *, y: str = "a") -> None:
        """Do it."""

    assert (work.__name__, work.__doc__) == ("work", "Do it.")
    assert str(inspect.signature(work)) == "(x: 'int', *, y: 'str' = 'a') -> 'None'"
    assert inspect.iscoroutinefunction(work)


def test_what_has_no_name_can_be_traced(recorder: RecordingHandler) -> None:
    """A partial, and an object that can be called, are named by their type."""
    with attached(recorder):
        assert traced(functools.partial(pow, 2))(3) == 8
    assert recorder.tree() == "chain partial"


def test_wrong_arguments_raise_as_they_did(recorder: RecordingHandler) -> None:
    """A call that the function does not take raises its own ``TypeError``."""

    @traced(callbacks=[recorder])
    def work(x: int) -> int:
        return x

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        work()  # type: ignore[call-arg]
    assert recorder.tree() == "chain work error TypeError"


def echo(*, leave_on: str = "stop") -> Generator[str, str, int]:
    count = 0
    received = yield "ready"
    while received != leave_on:
        count += 1
        try:
            received = yield f"got {received}"
        except KeyError as error:
            received = yield f"caught {error.args[0]}"
    return count


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_generator_takes_what_is_sent_and_thrown(
    is_heard: bool, recorder: RecordingHandler
) -> None:
    """``send``, ``throw`` and the return value pass through; it is one run."""
    work = traced(callbacks=[recorder] if is_heard else None)(echo)
    conversation = work()
    assert next(conversation) == "ready"
    assert conversation.send("a") == "got a"
    assert conversation.throw(KeyError("k")) == "caught k"
    assert conversation.send("b") == "got b"
    with pytest.raises(StopIteration) as stopped:
        conversation.send("stop")
    assert stopped.value.value == 2
    assert isinstance(conversation, Generator)
    assert recorder.tree() == ("chain echo" if is_heard else "")
    if is_heard:
        assert recorder.records[-1].payload["outputs"] == 2


def test_a_generator_can_be_delegated_to(recorder: RecordingHandler) -> None:
    """``yield from`` a traced generator sends, throws and returns as from any other."""
    work = traced(callbacks=[recorder])(echo)

    def outer() -> Generator[str, str, str]:
        return f"counted {(yield from work())}"

    conversation = outer()
    next(conversation)
    conversation.send("a")
    with pytest.raises(StopIteration, match="counted 1"):
        conversation.send("stop")
    assert recorder.tree() == "chain echo"


def test_a_context_manager_can_be_traced(recorder: RecordingHandler) -> None:
    """A traced generator serves ``contextlib.contextmanager``, errors included."""

    @contextlib.contextmanager
    @traced(callbacks=[recorder])
    def opened() -> Iterator[str]:
        try:
            yield "open"
        except ValueError:
            inner()

    with opened() as state:
        assert state == "open"
    with opened():
        raise ValueError
    assert recorder.trees() == ["chain opened", "chain opened\n  chain inner"]


def test_an_asynchronous_generator_takes_what_is_sent_and_thrown(
    recorder: RecordingHandler,
) -> None:
    """``asend``, ``athrow`` and ``aclose`` pass through; it is one run."""

    @traced(callbacks=[recorder])
    async def work() -> Any:
        received = yield "ready"
        while True:
            try:
                received = yield f"got {received}"
            except KeyError as error:
                received = yield f"caught {error.args[0]}"

    async def main() -> None:
        conversation = work()
        assert await anext(conversation) == "ready"
        assert await conversation.asend("a") == "got a"
        assert await conversation.athrow(KeyError("k")) == "caught k"
        assert await conversation.asend("b") == "got b"
        await conversation.aclose()

    asyncio.run(main())
    assert recorder.tree() == "chain work closed"
    assert recorder.records[-1].payload["outputs"] == "readygot acaught kgot b"


def test_a_generator_that_is_closed_says_what_was_read(recorder: RecordingHandler) -> None:
    """Closed early, the run ends as closed, its output being what was given by then."""

    @traced(callbacks=[recorder])
    def work() -> Iterator[int]:
        yield from (1, 2, 3)

    items: Any = work()
    next(items)
    next(items)
    items.close()
    assert recorder.tree() == "chain work closed"
    assert recorder.records[-1].payload["outputs"] == [1, 2]


def test_a_generator_that_is_not_read_makes_no_events(recorder: RecordingHandler) -> None:
    """A traced generator starts at its first item."""
    work = traced(callbacks=[recorder])(echo)
    work().close()

    @traced(callbacks=[recorder])
    async def awork() -> AsyncIterator[int]:
        yield 1

    asyncio.run(awork().aclose())  # type: ignore[attr-defined]
    assert recorder.records == ()


def test_a_collected_generator_is_ended_on_another_thread() -> None:
    """No handler is called in a finaliser."""
    threads: list[threading.Thread] = []
    done = threading.Event()

    class Handler(BaseCallbackHandler):
        def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            threads.append(threading.current_thread())
            done.set()

    items = traced(callbacks=[Handler()])(echo)()
    next(items)
    del items
    gc.collect()
    assert done.wait(LONG)
    assert threads != [threading.current_thread()]


@pytest.mark.parametrize("is_heard", [True, False])
def test_the_consumer_does_not_see_the_run(is_heard: bool, recorder: RecordingHandler) -> None:
    """The run is current during a step of a generator, and not between two of them."""
    seen: list[bool] = []

    @traced(tags=["t"], callbacks=[recorder] if is_heard else None)
    def work() -> Iterator[int]:
        for number in range(2):
            seen.append(current.get() is None)
            yield number

    @traced(tags=["t"], callbacks=[recorder] if is_heard else None)
    async def awork() -> AsyncIterator[int]:
        for number in range(2):
            seen.append(current.get() is None)
            yield number

    async def consume() -> list[bool]:
        return [current.get() is None async for _ in awork()]

    assert [current.get() is None for _ in work()] == [True, True]
    assert asyncio.run(consume()) == [True, True]
    assert seen == [False] * 4


def test_a_failure_ends_the_run(recorder: RecordingHandler) -> None:
    """An exception in any form of function ends its run as an error and leaves."""

    @traced(callbacks=[recorder])
    def work() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    @traced(callbacks=[recorder])
    async def awork() -> AsyncIterator[int]:
        yield 1
        raise ValueError("no")

    async def consume() -> None:
        async for _ in awork():
            pass

    with pytest.raises(ValueError, match="no"):
        list(work())
    with pytest.raises(ValueError, match="no"):
        asyncio.run(consume())
    assert recorder.trees() == ["chain work error ValueError", "chain awork error ValueError"]


def test_items_are_not_kept_for_nobody() -> None:
    """A generator whose end nobody hears holds on to none of its items."""

    class StartsOnly(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...

    class Item:
        living = 0

        def __init__(self) -> None:
            Item.living += 1

        def __del__(self) -> None:
            Item.living -= 1

    @traced(callbacks=[StartsOnly()])
    def work() -> Iterator[Item]:
        for _ in range(10):
            yield Item()

    most = 0
    for _ in work():
        most = max(most, Item.living)
    assert most <= 2


def test_traced_functions_and_runnables_nest_in_each_other(recorder: RecordingHandler) -> None:
    """A traced function in a runnable, and a runnable in a traced function, are one tree."""

    @traced("tool")
    def leaf(x: str) -> str:
        return x

    @traced
    def root(x: str) -> str:
        return RunnableLambda(leaf, name="step").invoke(x)

    with attached(recorder):
        root("x")
    assert recorder.tree() == "chain root\n  chain step\n    tool leaf"
