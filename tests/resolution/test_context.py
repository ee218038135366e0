"""The three states of the context: nothing, a manager with what was attached, and SUPPRESSED."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

import chain_callbacks
from chain_callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    attached,
    current_manager,
    register,
    resolve,
)
from chain_callbacks.context import SUPPRESSED, current
from chain_callbacks.errors import NotAHandlerError, UnknownHandlerError
from chain_callbacks.runnables import RunnableLambda

from .conftest import Listening

STEP = RunnableLambda(lambda value: value, name="step")


@pytest.fixture(autouse=True)
def _names(names, site):
    """Register a, b, c and d on an empty path; whatever a test does, it leaves no scope behind."""
    yield
    assert current.get() is None


def who(heard: list[tuple[str, str]], run: str = "step") -> list[str]:
    return [name for each, name in heard if each == run]


def here() -> list[str]:
    return [handler.name for handler in current_manager().handlers]


# SUPPRESSED


class Running(BaseCallbackHandler):
    """Runs a chain of its own whenever it is told something, with everybody attached."""

    def __init__(self, others: list[object]) -> None:
        self.others = others
        self.seen: list[object] = []

    def _run(self) -> None:
        self.seen.append(current.get())
        assert [] == here()
        STEP.invoke(1, {"callbacks": ["a", self, *self.others]})
        with attached("b", self):
            STEP.invoke(1)
            assert [] == here()
        RunnableLambda(STEP.invoke, callbacks=["c", self]).invoke(1)
        assert [] == resolve(["d", self]).manager.handlers

    def on_chain_start(self, serialized, inputs, **kwargs):
        self._run()

    def on_chain_end(self, outputs, **kwargs):
        self._run()


def test_runs_that_a_handler_starts_are_told_to_nobody(monkeypatch, heard, listening):
    """Neither the environment, nor what is attached, nor explicit callbacks hear them."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "d")
    handler = Running([listening("H")])
    with attached("b"):
        RunnableLambda(STEP.invoke, name="outer").invoke(1, {"callbacks": [handler]})
    assert [SUPPRESSED] * 4 == handler.seen
    assert [("outer", "a"), ("outer", "b"), ("outer", "d"),
            ("step", "a"), ("step", "b"), ("step", "d")] == heard  # fmt: skip


def test_a_manager_passed_to_a_handler_is_quiet_too(heard):
    """A run's own manager, passed on from inside a handler, is told nothing."""

    class Passing(BaseCallbackHandler):
        def on_chain_start(self, serialized, inputs, **kwargs):
            STEP.invoke(1, {"callbacks": self.manager})

    handler = Passing()

    def outer(value: int, run: object) -> int:
        handler.manager = run.get_child()
        return RunnableLambda(lambda v: v, name="inner").invoke(value)

    handler.manager = None
    RunnableLambda(outer, name="outer").invoke(1, {"callbacks": ["a", handler]})
    assert [] == who(heard)


def test_an_asynchronous_handler_is_quiet_across_its_awaits(heard):
    """Until an `async def` method returns, what it starts is told to nobody."""

    class Awaiting(BaseCallbackHandler):
        async def on_chain_start(self, serialized, inputs, **kwargs):
            await asyncio.sleep(0)
            await STEP.ainvoke(1, {"callbacks": ["b", self]})
            await asyncio.gather(STEP.ainvoke(1), asyncio.to_thread(STEP.invoke, 1))

    outer = RunnableLambda(lambda value: value, name="outer")
    config = {"callbacks": [Awaiting(), "a"]}
    outer.invoke(1, config)
    asyncio.run(outer.ainvoke(1, config))
    assert [("outer", "a")] * 2 == heard


def test_after_a_handler_the_run_is_as_before(heard):
    """What a handler raises leaves no quiet behind."""

    class Raising(BaseCallbackHandler):
        def on_chain_start(self, serialized, inputs, **kwargs):
            if serialized["name"] == "outer":
                raise ValueError("handler")

    RunnableLambda(STEP.invoke, name="outer").invoke(1, {"callbacks": [Raising(), "a"]})
    STEP.invoke(1, {"callbacks": ["b"]})
    assert ["a", "b"] == who(heard)


# Attached


def test_attached_stands_where_it_is_entered(monkeypatch, heard):
    """Outside a run after the environment, inside one after what is inherited."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")

    def body(value: int) -> int:
        with attached("d", "b"):
            STEP.invoke(value)
        return RunnableLambda(lambda v: v, name="after").invoke(value)

    with attached("b"):
        RunnableLambda(body, name="outer").invoke(1, {"callbacks": ["c"]})
    assert (["a", "b", "c"], ["a", "b", "c", "d"], ["a", "b", "c"]) == tuple(
        who(heard, run) for run in ("outer", "step", "after")
    )


def test_attached_scopes_nest(heard):
    """The inner one adds to the outer, and what was removed is back after it."""
    with attached("a"):
        with attached("b", "-a"):
            STEP.invoke(1)
        STEP.invoke(1)
    STEP.invoke(1)
    assert ["b", "a"] == who(heard)


def test_attached_is_checked_on_entering(heard):
    """A bad name or object is refused there, and the scope is as before."""
    for wrong, kind in (("slak", UnknownHandlerError), (7, NotAHandlerError)):
        with pytest.raises(kind), attached("a", wrong):
            raise AssertionError
    STEP.invoke(1)
    assert [] == heard


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_attached_ends_with_an_exception(heard, error):
    """However the block is left, what was attached is gone."""
    with pytest.raises(error), attached("a"):
        raise error
    STEP.invoke(1)
    assert [] == heard


def test_attached_may_be_entered_again(heard):
    """One object may be entered in itself, and after it was left."""
    scope = attached("a")
    with scope, scope:
        STEP.invoke(1)
    with scope:
        STEP.invoke(1)
    STEP.invoke(1)
    assert ["a", "a"] == who(heard)


def test_one_scope_for_many_tasks(heard):
    """One object, entered by tasks that overlap, ends in each where that one leaves it."""
    scope = attached("a")

    async def first(entered: asyncio.Event, left: asyncio.Event) -> list[str]:
        with scope:
            entered.set()
            await left.wait()
            inside = here()
        return [*inside, "|", *here()]

    async def second(entered: asyncio.Event, left: asyncio.Event) -> list[str]:
        await entered.wait()
        with scope:
            inside = here()
        left.set()
        return [*inside, "|", *here()]

    async def both() -> list[list[str]]:
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(first(*events), second(*events))

    assert [["a", "|"], ["a", "|"]] == asyncio.run(both())


def test_one_scope_for_many_threads():
    """The same for threads."""
    scope, point = attached("a"), threading.Barrier(8)

    def work(_: int) -> list[str]:
        point.wait(10)
        with scope:
            point.wait(10)
            inside = here()
        point.wait(10)
        return [*inside, "|", *here()]

    with ThreadPoolExecutor(8) as pool:
        assert [["a", "|"]] * 8 == list(pool.map(work, range(8)))


def test_attached_reaches_threads_that_are_given_the_context(heard):
    """`to_thread` and `submit` take the scope along; a bare thread starts without it."""

    async def in_thread() -> None:
        with attached("a"):
            await chain_callbacks.to_thread(STEP.invoke, 1)

    asyncio.run(in_thread())
    with attached("b"), ThreadPoolExecutor(1) as pool:
        chain_callbacks.submit(pool, STEP.invoke, 1).result()
        pool.submit(STEP.invoke, 1).result()
    assert ["a", "b"] == who(heard)


def test_attached_reaches_tasks():
    """A task has the scope that it was made in, until its end; others do not see its own."""

    async def inner(*, is_alone: bool) -> list[str]:
        if is_alone:
            with attached("b"):
                await asyncio.sleep(0)
                return here()
        await asyncio.sleep(0)
        return here()

    async def outer() -> list[list[str]]:
        with attached("a"):
            tasks = [asyncio.ensure_future(inner(is_alone=each)) for each in (True, False)]
        return [here(), *await asyncio.gather(*tasks)]

    assert [[], ["a", "b"], ["a"]] == asyncio.run(outer())


def test_attached_with_nobody_removes(monkeypatch, heard):
    """A block may take out what the environment names, for what runs in it."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a,b")
    with attached("none"):
        STEP.invoke(1)
    with attached("-a"):
        STEP.invoke(1)
    assert ["b"] == who(heard)


# Managers


def parents(manager: CallbackManager) -> object:
    return None if manager.parent is None else manager.parent.name


@pytest.mark.parametrize("form", ["alone", "in a list", "with more"])
def test_a_runs_manager_is_base_and_parent(monkeypatch, heard, form):
    """Neither the environment nor the scope is consulted: the manager says who hears."""
    seen: list[object] = []
    kept: list[CallbackManager] = []
    RunnableLambda(lambda value, run: kept.append(run.get_child()), name="outer").invoke(
        1, {"callbacks": ["a"]}
    )
    heard.clear()
    (manager,) = kept
    callbacks = {"alone": manager, "in a list": [manager], "with more": (manager, "c")}[form]
    monkeypatch.setenv("CHAIN_CALLBACKS", "b")
    with attached("d"):
        RunnableLambda(lambda value, run: seen.append(run.parent.name), name="step").invoke(
            1, {"callbacks": callbacks}
        )
    assert ["outer"] == seen
    assert (["a", "c"] if form == "with more" else ["a"]) == who(heard)


def test_a_runs_manager_keeps_the_constructors_handlers(heard):
    """What the component was made with is added to the manager that it is called with."""
    step = RunnableLambda(lambda value: value, name="step", callbacks=["b"])
    RunnableLambda(step.invoke, name="outer").invoke(1, {"callbacks": ["a"]})
    assert ["a", "b"] == who(heard)


def test_another_manager_contributes_its_listeners(monkeypatch, heard, listening):
    """Made by hand, or further on in the list, a manager is no parent: its listeners are added."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")
    seen: list[object] = []
    step = RunnableLambda(lambda value, run: seen.append(run.parent), name="step")
    step.invoke(1, {"callbacks": CallbackManager([listening("H")])})
    step.invoke(1, {"callbacks": ["b", resolve(["c"]).manager]})
    assert [None, None] == seen
    assert ["a", "H", "a", "b", "c"] == who(heard)


def test_a_run_is_no_manager(heard):
    """Passing a run is refused with what to pass."""
    with pytest.raises(NotAHandlerError, match=r"Pass run\.get_child\(\)"):
        RunnableLambda(
            lambda value, run: STEP.invoke(value, {"callbacks": [run]}), name="outer"
        ).invoke(1, {"callbacks": ["a"]})


def test_the_current_manager_everywhere(monkeypatch):
    """Outside of runs that of the environment, inside the child, with what was attached since."""
    assert [] == here()
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")
    seen = [(here(), parents(current_manager()))]
    with attached("b"):
        seen.append((here(), parents(current_manager())))

        def body(value: int) -> int:
            seen.append((here(), parents(current_manager())))
            with attached("d"):
                seen.append((here(), parents(current_manager())))
            return value

        RunnableLambda(body, name="outer").invoke(1, {"callbacks": ["c"]})
    assert [
        (["a"], None),
        (["a", "b"], None),
        (["a", "b", "c"], "outer"),
        (["a", "b", "c", "d"], "outer"),
    ] == seen


def test_the_current_manager_may_be_passed_on(heard):
    """To another thread, as the callbacks of a call: its runs are children of this one."""
    seen: list[object] = []
    step = RunnableLambda(lambda value, run: seen.append(run.parent.name), name="step")

    def body(value: int) -> None:
        config = {"callbacks": current_manager()}
        with ThreadPoolExecutor(1) as pool:
            pool.submit(step.invoke, value, config).result()

    RunnableLambda(body, name="outer").invoke(1, {"callbacks": ["a"]})
    assert (["outer"], ["a"]) == (seen, who(heard))


@pytest.mark.parametrize("key", ["tags", "metadata", "recursion_limit", "max_concurrency"])
@pytest.mark.parametrize("callbacks", [{}, {"callbacks": None}, {"callbacks": []}])
def test_a_call_that_adds_no_handler_hands_down_the_rest(monkeypatch, key, callbacks):
    """Tags, metadata and limits of a call reach its run and all below, alone or with others."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")
    value = {"tags": ["x"], "metadata": {"k": 1}, "recursion_limit": 7, "max_concurrency": 2}[key]
    seen: list[object] = []
    inner = RunnableLambda(lambda v, config: seen.append(config[key]))
    RunnableLambda(inner.invoke).invoke(1, {key: value, **callbacks})
    assert [value] == seen


def test_a_tree_that_begins_below(heard):
    """Where nobody hears the outer run none is made: a handler added below hears a root."""
    seen: list[object] = []
    inner = RunnableLambda(lambda value, run: seen.append(run.parent), name="step")
    RunnableLambda(lambda value: inner.invoke(value, {"callbacks": ["a"]}), name="outer").invoke(
        1, {"tags": ["x"]}
    )
    assert ([None], ["a"]) == (seen, who(heard))


def test_what_is_around_is_the_same_inside_attached(heard):
    """Where nobody listens, a scope that adds nobody hides neither the run nor its tags."""
    seen: list[object] = []

    def silent(value: int) -> int:
        for scope in (nullcontext(), attached("-a")):
            with scope:
                manager = current_manager()
                seen.append((parents(manager), manager.tags, manager.is_silent))
        return value

    inner = RunnableLambda(silent, name="inner")
    RunnableLambda(lambda value: inner.invoke(value, {"callbacks": ["-a"]}), name="outer").invoke(
        1, {"callbacks": ["a"], "tags": ["x"]}
    )
    assert [("outer", ("x",), True)] * 2 == seen


def test_limits_reach_a_function_through_attached():
    """A function's config inside a scope has the limit of the call around it, heard or not."""
    seen: list[object] = []
    inner = RunnableLambda(lambda value, config: seen.append(config["recursion_limit"]))

    def body(value: int) -> None:
        with attached("-a"):
            inner.invoke(value)

    RunnableLambda(body).invoke(1, {"recursion_limit": 50})
    assert [50] == seen


# Fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_run(monkeypatch):
    """The child starts outside of its parent's runs: what those hand down is not its own."""
    told: list[str] = []
    register("told", lambda: Listening("told", told))
    read, write = os.pipe()

    def body(value: int) -> int:
        child = os.fork()
        if child == 0:
            answer = b"failed"
            try:
                STEP.invoke(value)
                with attached("b"):
                    names = here()
                answer = repr((names, parents(current_manager()), len(told))).encode()
            finally:
                os.write(write, answer)
                os._exit(0)
        os.waitpid(child, 0)
        return value

    RunnableLambda(body, name="outer").invoke(1, {"callbacks": ["told"]})
    answer = os.read(read, 1_000).decode()
    os.close(read)
    os.close(write)
    assert repr((["b"], None, 1)) == answer
    assert 1 == len(told)
