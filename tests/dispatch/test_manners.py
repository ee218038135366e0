"""How a handler is told: what its failures do, whose word holds, and where coroutines run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from chain_callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    policy,
    register,
    stats,
)
from chain_callbacks.delivery.loop_thread import loop_thread
from chain_callbacks.errors import ConfigurationErrors, InvalidPolicyError
from chain_callbacks.resolution.resolver import resolve
from chain_callbacks.runnables import RunnableLambda
from chain_callbacks.testing import RecordingHandler

from .conftest import PATIENCE, Gate, Queued, Told, flushed, workers


class Detached(Queued):
    """Fails at the first start of each tree, and keeps the names of the runs."""

    on_error = "detach"

    def __init__(self) -> None:
        super().__init__()
        self.failing = {"root 1"}

    def on_event(self, record: Any) -> None:
        self.heard.append((record.name, record.run.name))
        if record.run.name in self.failing:
            raise ValueError("no more of this")


def tree(manager: CallbackManager, number: int) -> None:
    with manager.run("chain", f"root {number}", None) as root:
        for name in "ab":
            with root.get_child().run("chain", name, None):
                pass


WHOLE = [
    ("on_chain_start", "a"),
    ("on_chain_end", "a"),
    ("on_chain_start", "b"),
    ("on_chain_end", "b"),
]


@pytest.mark.parametrize("delivery", ["inline", "queued"])
def test_handler_that_is_detached_hears_no_more_of_this_tree_and_all_of_the_next(delivery):
    """Its failure ends its listening to the tree in which it happened, what is queued included."""
    gate = Gate()
    handler, other, recorder = Detached(), Queued(gate), RecordingHandler()
    manager = CallbackManager([policy(handler, delivery=delivery), recorder])
    if delivery == "queued":
        # Everything waits before the first of it is told.
        with manager.here.listeners[0].channel._lock:  # type: ignore[union-attr]
            tree(manager, 1)
    else:
        tree(manager, 1)
    tree(manager, 2)
    flushed()

    root = [("on_chain_start", "root 2"), *WHOLE, ("on_chain_end", "root 2")]
    assert handler.heard == [("on_chain_start", "root 1"), *root]
    assert recorder.problems() == []
    assert len(recorder.records) == 12
    assert stats()["Detached"] == (6, 1, 0, 0, False)
    assert other.heard == []


def test_handler_attached_below_the_root_is_detached_from_the_whole_tree():
    """A failure in one branch ends its listening in the branches beside it too."""
    handler = Detached()
    handler.failing = {"one"}
    with CallbackManager().run("chain", "root", None) as root:
        for name in ("one", "two"):
            RunnableLambda(abs, name=name).invoke(
                -1, {"callbacks": [root.get_child(), policy(handler, delivery="inline")]}
            )

    assert handler.heard == [("on_chain_start", "one")]


@pytest.mark.parametrize("form", ["sync", "async"])
def test_handler_that_raises_on_purpose_stops_the_run_once_all_have_heard(form):
    """All hear the start, then the first exception leaves, then all hear that the run failed."""
    heard = []

    class Guard(BaseCallbackHandler):
        on_error = "raise"

        def __init__(self, name: str) -> None:
            self.name = name

        def on_event(self, record: Any) -> None:
            heard.append((self.name, record.name))
            if record.name.endswith("_start"):
                raise PermissionError(self.name)

    class Watcher(BaseCallbackHandler):
        async def on_event(self, record: Any) -> None:
            heard.append(("watcher", record.name))

    handlers = [Guard("first"), Guard("second"), Watcher()]
    step = RunnableLambda(lambda _: heard.append(("step", "ran")))

    def call() -> Any:
        config = {"callbacks": handlers}
        return step.invoke(1, config) if form == "sync" else asyncio.run(step.ainvoke(1, config))

    with pytest.raises(PermissionError, match="first"):
        call()

    names = ("first", "second", "watcher")
    assert heard == [(name, f"on_chain_{at}") for at in ("start", "error") for name in names]


def test_coroutine_of_another_handler_is_awaited_before_an_exception_leaves():
    """A lambda that returns a coroutine is told of the start and of the error like all others."""
    heard = []

    async def hear(name: str) -> None:
        heard.append(name)

    class Guard(BaseCallbackHandler):
        on_error = "raise"

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            raise PermissionError

    watcher: Any = BaseCallbackHandler()
    watcher.on_chain_start = lambda *_, **__: hear("start")
    watcher.on_chain_error = lambda *_, **__: hear("error")

    with pytest.raises(PermissionError):
        RunnableLambda(abs).invoke(1, {"callbacks": [watcher, Guard()]})

    assert heard == ["start", "error"]


class Guard(BaseCallbackHandler):
    """Would stop a run."""

    on_error = "raise"

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        raise PermissionError


QUEUED_GUARD = (
    "delivery=queued is not possible: on_error=raise is to stop the run, and a queue is read when "
    "it has gone on; {} states it. Valid: 'inline'."
)


@pytest.mark.parametrize(
    ("make", "source"),
    [(CallbackManager, "policy()"), (resolve, 'policy() in config["callbacks"][0]')],
    ids=["by hand", "resolved"],
)
def test_guard_that_is_queued_in_code_is_refused(make, source):
    """It could stop nothing: the message says why, who states it and what is valid."""
    with pytest.raises(InvalidPolicyError) as caught:
        make([policy(Guard(), delivery="queued")])

    assert str(caught.value) == QUEUED_GUARD.format(source)
    with pytest.raises(InvalidPolicyError):
        make([policy(Queued(), on_error="raise")])


def test_guard_that_is_queued_by_the_environment_is_refused_with_a_warning(monkeypatch, caplog):
    """The run goes on without it, and one warning names the variable."""
    register("guard", Guard)
    monkeypatch.setenv("CHAIN_CALLBACKS", "guard")
    monkeypatch.setenv("CHAIN_CALLBACKS_GUARD__DELIVERY", "queued")

    assert [RunnableLambda(abs).invoke(-1) for _ in range(2)] == [1, 1]

    (said,) = caplog.records
    expected = QUEUED_GUARD.format("CHAIN_CALLBACKS_GUARD__DELIVERY")
    assert said.getMessage() == f"{expected}\nThe run goes on without it."


def test_guard_that_is_queued_by_the_environment_is_an_error_where_that_is_strict(monkeypatch):
    """Strict, nothing runs: the guard would be missing."""
    register("guard", Guard)
    monkeypatch.setenv("CHAIN_CALLBACKS", "guard")
    monkeypatch.setenv("CHAIN_CALLBACKS_GUARD__DELIVERY", "queued")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")

    with pytest.raises(ConfigurationErrors) as caught:
        RunnableLambda(abs).invoke(-1)

    (problem,) = caught.value.exceptions
    assert isinstance(problem, InvalidPolicyError)


@pytest.mark.parametrize(
    ("name", "value"), [("delivery", "queue"), ("on_error", "rasie"), ("content", "nothing")]
)
def test_class_with_a_misspelt_default_is_refused(name, value):
    """A handler that is not told as its author meant is an error, not a silent default."""
    cls = type("Odd", (BaseCallbackHandler,), {name: value, "on_text": print})

    with pytest.raises(
        InvalidPolicyError, match=f"'{value}' is not a value .* the class Odd states"
    ):
        CallbackManager([cls()])


def test_everything_is_inline_where_the_operator_says_so(monkeypatch):
    """With CHAIN_CALLBACKS_DELIVERY=inline no handler has a worker, whatever it or code says."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DELIVERY", "inline")

    class Alone(Told):
        """Has no worker that a test before this one may have left."""

    handler, other = Alone(), Alone()
    config = {"callbacks": [handler, policy(other, delivery="queued")]}

    assert RunnableLambda(abs).invoke(-1, config) == 1
    assert [name for name, _ in handler.heard] == ["on_chain_start", "on_chain_end"]
    assert handler.heard == other.heard
    assert workers(Alone.__qualname__) == []


STATED = [
    # The class, the operator, the code; and what holds.
    ("content", None, None, None, "redacted"),
    ("content", "none", None, None, "none"),
    ("content", "none", "full", None, "full"),
    ("content", "full", None, "redacted", "redacted"),
    ("content", "full", "redacted", "full", "redacted"),
    ("content", None, "full", "none", "none"),
    ("content", "none", None, "full", "full"),
    ("delivery", None, None, None, "inline"),
    ("delivery", "queued", None, None, "queued"),
    ("delivery", None, "queued", "inline", "queued"),
    ("delivery", "queued", "inline", "queued", "inline"),
    ("delivery", "queued", None, "inline", "inline"),
    ("on_error", None, None, None, "log"),
    ("on_error", None, "detach", "raise", "detach"),
    ("on_error", "raise", "log", None, "log"),
    ("on_error", "detach", None, "log", "log"),
    ("when_full", None, "block(2)", "drop", "block(2)"),
    ("when_full", None, None, "block(0.5)", "block(0.5)"),
    ("queue_records", None, "7", "9", "7"),
    ("queue_bytes", None, None, "900", "900"),
]


@pytest.mark.parametrize(("name", "own", "operator", "code", "expected"), STATED)
def test_operators_word_beats_that_of_code_which_beats_the_class(
    monkeypatch, name, own, operator, code, expected
):
    """For content the stricter of two policies holds; for all else the operator's."""
    cls = type("Named", (RecordingHandler,), {} if own is None else {name: own})
    register("named", cls)
    if operator is not None:
        monkeypatch.setenv(f"CHAIN_CALLBACKS_NAMED__{name.upper()}", operator)

    manager = resolve([policy("named", **({} if code is None else {name: code}))]).manager

    (listener,) = manager.here.listeners
    assert str(getattr(listener.manner, name)) == expected


@pytest.mark.parametrize("form", ["sync", "async"])
def test_asynchronous_handler_on_a_queue_is_awaited_in_order_on_one_loop(form):
    """Sync caller or async one, asyncio.run again and again: one loop, one event after another."""
    heard, loops = [], set()

    class Asynchronous(BaseCallbackHandler):
        delivery = "queued"

        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            heard.append((inputs, "begins"))
            await asyncio.sleep(0)
            loops.add(asyncio.get_running_loop())
            heard.append((inputs, "ends"))

    step = RunnableLambda(abs, callbacks=[Asynchronous()])
    for number in range(20):
        if form == "sync":
            step.invoke(number)
        else:
            asyncio.run(step.ainvoke(number))
    flushed()

    assert heard == [(number, at) for number in range(20) for at in ("begins", "ends")]
    assert loops == {loop_thread._loop}


@pytest.mark.parametrize("culprit", ["exit", "stop"])
def test_loop_of_asynchronous_handlers_outlives_what_a_handler_does_to_it(culprit, caplog):
    """A task left behind that raises SystemExit, or a stop of the loop, holds up no later run."""
    handled = []

    async def leave() -> None:
        raise SystemExit(3)

    class Hostile(BaseCallbackHandler):
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            loop = asyncio.get_running_loop()
            if culprit == "exit":
                handled.append(loop.create_task(leave()))
            else:
                loop.stop()
            await asyncio.sleep(0)
            handled.append(inputs)

    step = RunnableLambda(abs, callbacks=[Hostile()])
    answers: list[int] = []
    caller = threading.Thread(
        target=lambda: answers.extend(step.invoke(-n) for n in range(1, 4)), daemon=True
    )
    caller.start()
    caller.join(PATIENCE)

    assert answers == [1, 2, 3]
    assert [each for each in handled if isinstance(each, int)] == [-1, -2, -3]
    for task in handled:
        if isinstance(task, asyncio.Task):
            assert isinstance(task.exception(), SystemExit)


def test_unmarked_coroutine_at_the_end_of_a_cancelled_run_is_awaited_to_its_end():
    """A lambda's coroutine is told of the end like an async method is: a cancellation waits."""
    heard = []

    async def main() -> None:
        is_told, may_go = asyncio.Event(), asyncio.Event()

        async def hear() -> None:
            is_told.set()
            await may_go.wait()
            heard.append("end")

        watcher: Any = BaseCallbackHandler()
        watcher.on_chain_end = lambda *_, **__: hear()
        task = asyncio.ensure_future(RunnableLambda(abs).ainvoke(1, {"callbacks": [watcher]}))
        await is_told.wait()
        task.cancel()
        await asyncio.sleep(0)
        may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert heard == ["end"]
