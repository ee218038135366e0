"""The operator's controls hold for managers that are made by hand, and below them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from chain_callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    Local,
    attached,
    current_manager,
    explain,
    policy,
    register,
    resolve,
)
from chain_callbacks.errors import BrokenPluginError, HandlerDeniedError, UnknownHandlerError
from chain_callbacks.hosts import manager_at, own_scope, silent_manager
from chain_callbacks.runnables import RunnableLambda

STEP = RunnableLambda(lambda value: value, name="step")


@pytest.fixture(autouse=True)
def _names(names, site):
    """Register a, b, c and d on an empty path."""


@pytest.fixture
def require_d(monkeypatch):
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "d")


@pytest.fixture
def disabled(monkeypatch):
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "1")


def entered(manager: CallbackManager, callbacks: Any) -> None:
    with manager.run("chain", "byhand", {}):
        STEP.invoke(1, {"callbacks": callbacks})


def entered_asynchronously(manager: CallbackManager, callbacks: Any) -> None:
    async def enter() -> None:
        async with manager.run("chain", "byhand", {}):
            await STEP.ainvoke(1, {"callbacks": callbacks})

    asyncio.run(enter())


def passed_on(manager: CallbackManager, callbacks: Any) -> None:
    run = manager.on_chain_start({"name": "byhand"}, {})
    STEP.invoke(1, {"callbacks": [run.get_child(), *(callbacks or ())]})
    run.on_chain_end({})


def passed_on_asynchronously(manager: CallbackManager, callbacks: Any) -> None:
    async def pass_on() -> None:
        run = await manager.aon_chain_start({"name": "byhand"}, {})
        await STEP.ainvoke(1, {"callbacks": [run.get_child(), *(callbacks or ())]})
        await run.aon_chain_end({})

    asyncio.run(pass_on())


def in_another_thread(manager: CallbackManager, callbacks: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(entered, manager.tagged("x"), callbacks).result()


def attached_below(manager: CallbackManager, callbacks: Any) -> None:
    with manager.run("chain", "byhand", {}), attached(*(callbacks or ())):
        RunnableLambda(STEP.invoke, name="between").invoke(1)


def bridged_below(manager: CallbackManager, callbacks: Any) -> None:
    with manager.run("chain", "byhand", {}):
        below = manager_at(own_scope(), callbacks) or silent_manager()
        with below.run("chain", "theirs", {}):
            STEP.invoke(1)


WAYS: dict[str, Callable[[CallbackManager, Any], None]] = {
    each.__name__.replace("_", " "): each
    for each in (
        entered,
        entered_asynchronously,
        passed_on,
        passed_on_asynchronously,
        in_another_thread,
        attached_below,
        bridged_below,
    )
}


def who(heard: list[tuple[str, str]], run: str) -> list[str]:
    return [name for each, name in heard if each == run]


# Require


@pytest.mark.usefixtures("require_d")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "callbacks", [None, ["none"], ["-d"], ["a", "-d"], [policy("d", only="errors")], [Local("d")]]
)
def test_what_is_required_hears_runs_made_by_hand(way, callbacks, heard, listening):
    """It hears them, and what is nested in them, once, whatever the code says."""
    for manager in (CallbackManager([listening("H")]), CallbackManager()):
        heard.clear()
        WAYS[way](manager, callbacks)
        assert (["d"], ["d"]) == tuple(
            [name for name in who(heard, run) if name == "d"] for run in ("byhand", "step")
        )


@pytest.mark.usefixtures("require_d")
def test_what_is_required_comes_after_the_handlers_of_the_manager(heard, listening):
    """The handlers keep the order of the list; the manager shows all of them."""
    manager = CallbackManager([listening("H"), listening("J")])
    entered(manager, None)
    assert (["H", "J", "d"], ["H", "J", "d"]) == (who(heard, "byhand"), who(heard, "step"))
    assert ["H", "J", "d"] == [each.name for each in manager.handlers]


@pytest.mark.usefixtures("require_d")
def test_a_manager_made_by_hand_contributes_what_is_required_once(heard, listening):
    """Passed to a call, it adds its own handlers to those of the operator."""
    STEP.invoke(1, {"callbacks": CallbackManager([listening("H")])})
    assert ["H", "d"] == who(heard, "step")


def test_what_is_required_is_not_filtered_in_a_manager_made_by_hand(heard, listening, monkeypatch):
    """The very object with a policy is told once, and of everything."""
    handler = listening("audit")
    register("audit", lambda: handler)
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "audit")
    entered(CallbackManager([policy(handler, only="errors")]), None)
    assert (["audit"], ["audit"]) == (who(heard, "byhand"), who(heard, "step"))


@pytest.mark.parametrize("required", ["audit", "broken"])
def test_what_is_required_and_missing_allows_no_manager(monkeypatch, listening, required):
    """Unknown or broken, it fails closed: no manager is made that it would not see."""
    register("broken", lambda: 7)
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", required)
    for _ in range(2):
        with pytest.raises((UnknownHandlerError, BrokenPluginError)) as caught:
            CallbackManager([listening("H")])
        assert ("CHAIN_CALLBACKS_REQUIRE", required) == (caught.value.source, caught.value.name)


def test_the_names_of_the_environment_do_not_join(heard, listening, monkeypatch):
    """A manager made by hand has the handlers it was given, and those that are required."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")
    entered(CallbackManager([listening("H")]), None)
    assert (["H"], ["H"]) == (who(heard, "byhand"), who(heard, "step"))


# Disabled


@pytest.mark.usefixtures("disabled")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("callbacks", [None, ["a"], ["none", "a"], "object", "slak"])
def test_disabled_holds_for_managers_made_by_hand(way, callbacks, heard, listening, monkeypatch):
    """Nobody hears their runs, nor those that name or pass handlers below."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "b")
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "d")
    given = {"object": [listening("J")], "slak": ["slak"]}.get(str(callbacks), callbacks)
    manager = CallbackManager([listening("H")])
    for _ in range(2):
        WAYS[way](manager, given)
    assert ([], []) == (heard, manager.handlers)


@pytest.mark.usefixtures("disabled")
def test_disabled_holds_for_all_who_ask(listening):
    """`manager_at`, `resolve`, `explain` and `current_manager` say that nobody listens."""
    handler = listening("H")
    with CallbackManager([handler]).run("chain", "byhand", {}) as run:
        for scope in (None, run, run.get_child(), current_manager(), silent_manager()):
            assert manager_at(scope, ["a", handler]) is None
        for callbacks in (["a", handler], [run.get_child(), "a"], "slak"):
            assert [] == resolve(callbacks).manager.handlers
            assert [] == explain(callbacks=callbacks).as_data()
        with attached("a", handler):
            assert [] == current_manager().handlers


def test_a_run_keeps_the_handlers_that_it_started_with(monkeypatch, heard, listening):
    """Disabled in the middle, nothing joins it; the next root is silent."""
    with CallbackManager([listening("H")]).run("chain", "byhand", {}):
        monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "1")
        STEP.invoke(1, {"callbacks": ["a", listening("J")]})
        shown = [row["text"] for row in explain(callbacks=["a"]).as_data()]
    STEP.invoke(1, {"callbacks": ["a"]})
    assert (["H"], ["Listening"]) == (who(heard, "step"), shown)


@pytest.mark.parametrize(
    ("variable", "value", "hears"),
    [
        ("CHAIN_CALLBACKS_DISABLED", "1", []),
        ("CHAIN_CALLBACKS_REQUIRE", "d", ["a", "d"]),
    ],
)
def test_what_was_resolved_under_other_controls_is_forgotten(monkeypatch, variable, value, hears):
    """Below the manager that tells nobody, each resolution is by the controls of its time."""

    def names() -> list[str]:
        manager = manager_at(silent_manager(), ["a"])
        return [] if manager is None else [each.name for each in manager.handlers]

    assert ["a"] == names()
    monkeypatch.setenv(variable, value)
    assert hears == names()
    monkeypatch.delenv(variable)
    assert ["a"] == names()


# Allow and deny


@pytest.mark.parametrize(
    ("variable", "listed"), [("CHAIN_CALLBACKS_DENY", "a"), ("CHAIN_CALLBACKS_ALLOW", "b")]
)
def test_what_is_denied_cannot_join_below(monkeypatch, heard, listening, variable, listed):
    """Neither at a call, nor at a bridge; objects are the program's own code."""
    monkeypatch.setenv(variable, listed)
    manager = CallbackManager([listening("H")])
    for way in WAYS.values():
        with pytest.raises(HandlerDeniedError):
            way(manager, ["a"])
    for scope in (None, manager, silent_manager()):
        with pytest.raises(HandlerDeniedError):
            manager_at(scope, ["a"])
    heard.clear()
    entered(manager, ["b", listening("J")])
    assert (["H"], ["H", "b", "J"]) == (who(heard, "byhand"), who(heard, "step"))


# While a handler runs, or is made


def test_a_handler_may_make_a_manager_by_hand(monkeypatch, heard, listening):
    """What is required is not told of the runs that it starts itself: it would never end."""

    class Audit(BaseCallbackHandler):
        def on_chain_start(self, serialized, inputs, **kwargs):
            heard.append((serialized["name"], "audit"))
            with CallbackManager([listening("inner")]).run("chain", "by the handler", {}):
                pass

    register("audit", Audit)
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "audit")
    STEP.invoke(1)
    assert (["audit"], ["inner"]) == (who(heard, "step"), who(heard, "by the handler"))


@pytest.mark.parametrize("variable", ["CHAIN_CALLBACKS", "CHAIN_CALLBACKS_REQUIRE"])
@pytest.mark.parametrize("works", ["by hand", "a chain", "asynchronously"])
def test_a_constructor_may_start_runs(monkeypatch, heard, listening, variable, works):
    """The handler is made once, and is not told of what its constructor runs."""
    made: list[int] = []

    class Working(BaseCallbackHandler):
        def __init__(self) -> None:
            made.append(1)
            if works == "by hand":
                entered(CallbackManager([listening("inner")]), None)
            elif works == "a chain":
                STEP.invoke(1, {"callbacks": ["a"]})
            else:
                asyncio.run(STEP.ainvoke(1))

        def on_chain_start(self, serialized, inputs, **kwargs):
            heard.append((serialized["name"], "working"))

    register("working", Working)
    monkeypatch.setenv(variable, "working")
    RunnableLambda(lambda value: value, name="outer").invoke(1)
    assert ([1], [("outer", "working")]) == (made, [e for e in heard if e[1] == "working"])


def test_a_constructor_leaves_the_context_as_it_was(monkeypatch, heard):
    """After a handler was made, or could not be, runs are told as before."""

    def broken() -> None:
        raise ValueError("no")

    register("broken", broken)
    with attached("a"):
        for scope in (nullcontext(), attached("broken"), attached("b")):
            with scope:
                STEP.invoke(1)
    assert ["a", "a", "a", "b"] == who(heard, "step")


def test_the_settings_are_read_before_a_manager_is_made_by_hand(program):
    """How handlers are told holds for the first manager of a process already."""
    done = program(
        "from chain_callbacks import BaseCallbackHandler, CallbackManager, policy\n"
        "import threading\n"
        "class Told(BaseCallbackHandler):\n"
        "    def on_chain_start(self, *args, **kwargs):\n"
        "        print(threading.current_thread() is threading.main_thread())\n"
        "manager = CallbackManager([policy(Told(), delivery='queued')])\n"
        "with manager.run('chain', 'byhand', {}): ...\n",
        CHAIN_CALLBACKS_DELIVERY="inline",
    )
    assert ("True\n", "") == (done.stdout, done.stderr)


def test_the_controls_hold_where_nothing_but_the_manager_is_imported(program):
    """The public manager brings the resolver with it."""
    text = (
        "from chain_callbacks import CallbackManager\n"
        "print(CallbackManager([type('H', (), {'on_chain_start': print})()]).handlers)\n"
    )
    assert "[]\n" == program(text, CHAIN_CALLBACKS_DISABLED="1").stdout
