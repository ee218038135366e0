"""``@traced``: each call of a function is a run, and the function behaves as it did."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from chain_callbacks import attached, traced
from chain_callbacks.errors import InvalidConfigError
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
    with pytest.raises(ValueError, match="'modell' is no type of run"):
        traced("modell")  # type: ignore[call-overload]


def test_one_text_is_no_list_of_tags() -> None:
    """A text alone is refused, as in a call's config: its letters are not what was meant."""
    with pytest.raises(InvalidConfigError, match=r"'tags'.*It must be a list of texts"):
        traced("tool", tags="web")


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
