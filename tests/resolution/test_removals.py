"""A removal, and ``none``, reach the subtree and no sibling, wherever the listener came from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import chain_callbacks
from chain_callbacks import CallbackManager, Local, attached, current_manager, traced
from chain_callbacks.hosts import Gate, manager_at, own_scope
from chain_callbacks.runnables import RunnableLambda, RunnableParallel

LEAF = RunnableLambda(lambda value: value, name="leaf")


@pytest.fixture(autouse=True)
def _names(names, site):
    """Register a, b, c and d on an empty path."""


@traced
def traced_leaf(value: int) -> int:
    return value


def everything_nested(value: int, config: Any) -> int:
    """Start runs in every way that synchronous code has."""
    LEAF.invoke(value)
    LEAF.invoke(value, config)
    LEAF.invoke(value, {"tags": ["x"]})
    LEAF.batch([value, value])
    [*LEAF.stream(value)]
    (LEAF | LEAF).invoke(value)
    RunnableParallel(one=LEAF, two=LEAF).invoke(value)
    LEAF.with_retry().invoke(value)
    LEAF.with_fallbacks([LEAF]).invoke(value)
    RunnableLambda(LEAF.invoke, name="between").invoke(value)
    traced_leaf(value)
    with attached():
        LEAF.invoke(value)
    with ThreadPoolExecutor(1) as pool:
        chain_callbacks.submit(pool, LEAF.invoke, value).result()
    with current_manager().run("tool", "by hand", str(value)):
        LEAF.invoke(value)
    return value


async def everything_awaited(value: int, config: Any) -> int:
    """Start runs in every way that asynchronous code has."""
    await LEAF.ainvoke(value)
    await LEAF.ainvoke(value, config)
    await LEAF.abatch([value, value])
    [_ async for _ in LEAF.astream(value)]
    await (LEAF | LEAF).ainvoke(value)
    await RunnableParallel(one=LEAF, two=LEAF).ainvoke(value)
    await asyncio.gather(LEAF.ainvoke(value), asyncio.ensure_future(LEAF.ainvoke(value)))
    await chain_callbacks.to_thread(LEAF.invoke, value)
    async with current_manager().run("tool", "by hand", str(value)):
        await LEAF.ainvoke(value)
    return everything_nested(value, config)


def outer(constructor: Any = None) -> RunnableLambda[int, int]:
    return RunnableLambda(
        everything_nested, everything_awaited, name="outer", callbacks=constructor
    )


def drained(chain: Any, config: Any) -> None:
    [*chain.stream(1, config)]


async def adrained(chain: Any, config: Any) -> None:
    [_ async for _ in chain.astream(1, config)]


FORMS: dict[str, Callable[[Any, Any], object]] = {
    "invoke": lambda chain, config: chain.invoke(1, config),
    "ainvoke": lambda chain, config: asyncio.run(chain.ainvoke(1, config)),
    "stream": drained,
    "astream": lambda chain, config: asyncio.run(adrained(chain, config)),
    "batch": lambda chain, config: chain.batch([1, 2], config),
    "abatch": lambda chain, config: asyncio.run(chain.abatch([1, 2], config)),
}

# How a listener gets there, to be entered round the call.
SOURCES: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    "environment": lambda patch: patch.setenv("CHAIN_CALLBACKS", "a") or contextlib.nullcontext(),
    "attached": lambda patch: attached("a"),
    "attached within": lambda patch: _both(attached("b"), attached("a", "-b")),
    "environment and attached": lambda patch: patch.setenv("CHAIN_CALLBACKS", "a") or attached("a"),
    "a run": lambda patch: chain_callbacks.resolve(["a"]).manager.run("chain", "around", {}),
    "attached in a run": lambda patch: _both(
        chain_callbacks.resolve(["a"]).manager.run("chain", "around", {}), attached("a")
    ),
}


@contextlib.contextmanager
def _both(first: Any, second: Any) -> Iterator[None]:
    with first, second:
        yield


def in_attached(removal: Any, call: Callable[[Any, Any], object]) -> None:
    with attached(*removal):
        call(outer(), None)


# How the removal is stated.
WAYS: dict[str, Callable[[Any, Callable[[Any, Any], object]], object]] = {
    "call": lambda removal, call: call(outer(), {"callbacks": removal}),
    "call, with more": lambda removal, call: call(
        outer(), {"callbacks": removal, "tags": ["x"], "metadata": {"k": 1}}
    ),
    "constructor": lambda removal, call: call(outer(removal), None),
    "with_config": lambda removal, call: call(outer().with_config(callbacks=removal), None),
    "sequence": lambda removal, call: call(outer() | outer(), {"callbacks": removal}),
    "attached": in_attached,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("removal", [["none"], ["-a"]], ids=str)
@pytest.mark.parametrize("source", SOURCES)
def test_a_removal_silences_the_subtree(source, removal, way, monkeypatch, heard):
    """Nobody hears the run or anything nested in it, the second time as the first."""
    with SOURCES[source](monkeypatch):
        heard.clear()
        for _ in range(2):
            WAYS[way](removal, FORMS["invoke"])
        assert [] == heard
        LEAF.invoke(1)
    assert [("leaf", "a")] == heard


@pytest.mark.parametrize("way", ["call", "constructor", "with_config"])
@pytest.mark.parametrize("form", FORMS)
def test_a_removal_silences_the_subtree_of_each_form_of_call(form, way, heard):
    """Streams, batches and their asynchronous twins do as a plain call does."""
    with attached("a"):
        for _ in range(2):
            WAYS[way](["none"], FORMS[form])
        assert [] == heard
        LEAF.invoke(1)
    assert [("leaf", "a")] == heard


@pytest.mark.parametrize("form", FORMS)
def test_none_silences_an_object(form, heard, listening):
    """What is attached as an object is taken out for the subtree too."""
    with attached(listening("H")):
        for _ in range(2):
            FORMS[form](outer(), {"callbacks": ["none"]})
        LEAF.invoke(1)
    assert [("leaf", "H")] == heard


@pytest.mark.parametrize("form", FORMS)
def test_a_removal_leaves_the_others(form, heard, listening):
    """Below it, those who were not named hear everything that they heard without it."""
    with attached(listening("H")):
        FORMS[form](outer(), None)
        before = sorted(heard)
        heard.clear()
        with attached("a"):
            FORMS[form](outer(), {"callbacks": ["-a"]})
    assert before == sorted(heard)


def test_a_listener_below_a_removal_hears_its_subtree(heard):
    """It begins a tree there, and ``none`` stays in force for the others."""
    middle = RunnableLambda(LEAF.invoke, name="middle")
    with attached("a"):
        RunnableLambda(lambda v: middle.invoke(v, {"callbacks": ["b"]})).invoke(
            1, {"callbacks": ["none"]}
        )
    assert [("middle", "b"), ("leaf", "b")] == heard


@pytest.mark.parametrize("is_async", [False, True])
def test_a_silent_stream_silences_its_own_steps_alone(heard, is_async):
    """Between two chunks the consumer's runs are heard; what the stream runs is not."""

    def words(value: int) -> Iterator[int]:
        for each in range(2):
            yield LEAF.invoke(each)

    stream = RunnableLambda(words, name="words")

    def consume() -> None:
        for _ in stream.stream(1, {"callbacks": ["none"]}):
            RunnableLambda(len, name="between").invoke("")

    async def aconsume() -> None:
        async for _ in stream.astream(1, {"callbacks": ["none"]}):
            await RunnableLambda(len, name="between").ainvoke("")

    with attached("a"):
        if is_async:
            asyncio.run(aconsume())
        else:
            consume()
    assert {("between", "a")} == {*heard}


silent = traced(callbacks=["none"])


@silent
def plain() -> None:
    LEAF.invoke(1)


@silent
def generator() -> Iterator[int]:
    yield LEAF.invoke(1)


@silent
async def coroutine() -> None:
    await LEAF.ainvoke(1)


@silent
async def asynchronous_generator() -> AsyncIterator[int]:
    yield await LEAF.ainvoke(1)


async def consumed() -> None:
    async for _ in asynchronous_generator():
        pass


@pytest.mark.parametrize(
    "call",
    [
        plain,
        lambda: [*generator()],
        lambda: asyncio.run(coroutine()),
        lambda: asyncio.run(consumed()),
    ],
    ids=["function", "generator", "coroutine", "asynchronous generator"],
)
def test_a_traced_function_silences_its_subtree(call, heard):
    """``@traced(callbacks=["none"])`` does what a component's constructor does."""
    with attached("a"):
        for _ in range(2):
            call()
        LEAF.invoke(1)
    assert [("leaf", "a")] == heard


@pytest.mark.parametrize("removal", [["none"], ["-a"]], ids=str)
@pytest.mark.parametrize("source", ["environment", "attached"])
def test_a_host_is_given_a_manager_that_tells_nobody(source, removal, monkeypatch, heard):
    """What a bridge hands down after a removal is silent, whatever is around."""
    with SOURCES[source](monkeypatch):
        for _ in range(2):
            manager = manager_at(own_scope(), removal)
            assert manager is not None
            assert manager.is_silent
            with manager.run("chain", "theirs", {}):
                LEAF.invoke(1)
    assert [] == heard


@pytest.mark.parametrize("source", SOURCES)
def test_a_host_is_spared_where_a_removal_leaves_nobody(source, monkeypatch):
    """A gate gives its value where somebody listens, and nothing below `none`."""
    gate = Gate("bridge")
    with SOURCES[source](monkeypatch):
        given = [gate.get()]
        with attached("none"):
            given.append(gate.get())
        given.append(gate.get())
    assert ["bridge", None, "bridge"] == given


@pytest.mark.parametrize("source", ["environment", "attached"])
def test_a_manager_that_tells_nobody_is_handed_down(source, monkeypatch, heard, listening):
    """A run's manager is the base: if it is silent, so is what is nested, whatever is around."""
    run = CallbackManager([listening("H")]).run("chain", "around", {})
    with run:
        silent: list[CallbackManager] = []
        RunnableLambda(lambda v, run: silent.append(run.get_child()), name="local").invoke(
            1, {"callbacks": [Local("b"), "none", Local("c")]}
        )
    heard.clear()
    with SOURCES[source](monkeypatch):
        for _ in range(2):
            RunnableLambda(LEAF.invoke, name="outer").invoke(1, {"callbacks": silent[0]})
    assert [] == heard


def test_a_manager_that_tells_nobody_is_still_the_parent(heard):
    """A listener that is added below it hears a run whose parent is the true one."""
    seen: list[object] = []
    leaf = RunnableLambda(lambda v, run: seen.append(run.parent.name), name="leaf")
    silent: list[CallbackManager] = []
    RunnableLambda(lambda v, run: silent.append(run.get_child()), name="local").invoke(
        1, {"callbacks": [Local("a")]}
    )
    middle = RunnableLambda(lambda v: leaf.invoke(v, {"callbacks": ["b"]}), name="middle")
    middle.invoke(1, {"callbacks": silent[0]})
    assert (["local"], [("local", "a"), ("leaf", "b")]) == (seen, heard)
