"""Handlers that attack the program they watch: its result and the other handlers stay the same."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import re
import subprocess
import sys
import textwrap
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import cache
from pprint import pformat
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, attached, flush, policy, stats
from chain_callbacks.delivery import inline
from chain_callbacks.events import EVENTS
from chain_callbacks.runnables import (
    FakeListChatModel,
    PromptTemplate,
    Runnable,
    RunnableLambda,
    RunnableParallel,
    StrOutputParser,
    tool,
)
from chain_callbacks.testing import RecordingHandler

from .conftest import PATIENCE, Gate

FORMS = ("invoke", "ainvoke", "stream", "astream", "batch")
CONTENTS = ("full", "redacted", "none")
DELIVERIES = ("inline", "queued")
LIMIT = inline.SLOW  # Tests have none; the one of slow handlers has this.
Act = Callable[..., Any]

_ADDRESS_OR_ID = re.compile(r" at 0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}")


def make_chain() -> Runnable[Any, Any]:
    """Return a chain with a prompt, a model, a tool, a retry and branches side by side."""

    @tool
    def shout(text: str) -> str:
        return text.upper()

    attempts: Counter[str] = Counter()

    def flaky(text: str) -> str:
        attempts[text] += 1
        if attempts[text] == 1:
            raise ValueError("the first time")
        return text[::-1]

    turned = RunnableLambda(flaky).with_retry(wait_exponential_jitter=False)
    steps = PromptTemplate("say {x}") | FakeListChatModel(["one two"]) | StrOutputParser()
    return steps | RunnableParallel({"loud": shout, "turned": turned})


def call(form: str, callbacks: list[Any]) -> Any:
    chain, given = make_chain(), {"x": "it", "list": [1, {"deep": [2]}]}
    config: Any = {
        "callbacks": callbacks,
        "tags": ["tag"],
        "metadata": {"key": ["value"]},
        "max_concurrency": 1 if form == "batch" else None,
    }

    async def collect() -> list[Any]:
        return [chunk async for chunk in chain.astream(given, config)]

    results = {
        "invoke": lambda: chain.invoke(given, config),
        "ainvoke": lambda: asyncio.run(chain.ainvoke(given, config)),
        "stream": lambda: sorted(map(repr, chain.stream(given, config))),
        "astream": lambda: sorted(map(repr, asyncio.run(collect()))),
        "batch": lambda: chain.batch([given, given], config),
    }
    return results[form](), repr(given)


class Later(RecordingHandler):
    """Keeps what it is told from a queue."""

    delivery = "queued"


def heard_by(recorder: RecordingHandler) -> Any:
    """Return all that it heard: the trees, and every payload, in an order that threads keep."""
    assert recorder.problems() == []
    events = [
        f"{each.name} {each.run_name} {each.status} {each.tags} {dict(each.metadata)} "
        f"{_ADDRESS_OR_ID.sub('', pformat(dict(each.payload), width=1_000_000))}"
        for each in recorder.records
    ]
    return sorted(recorder.trees()), sorted(events)


@cache
def alone(form: str) -> Any:
    """Return what happens without a hostile handler: the result, and what two others hear."""
    first, later = RecordingHandler(), Later()
    result = call(form, [first, later])
    assert flush(PATIENCE).is_complete
    return result, heard_by(first), heard_by(later)


def hostile(act: Act, *, is_async: bool = False) -> BaseCallbackHandler:
    """Return a handler that acts at every event, in the event's own method and as a record."""

    def method(name: str) -> Callable[..., Any]:
        if is_async:

            async def atell(self: Any, *args: Any, **kwargs: Any) -> Any:
                await asyncio.sleep(0)
                return act(self, name, args, kwargs)

            return atell
        return lambda self, *args, **kwargs: act(self, name, args, kwargs)

    members = {name: method(name) for name in (*EVENTS, "on_event")}
    handler: BaseCallbackHandler = type("Hostile", (BaseCallbackHandler,), members)()
    return handler


def assert_unharmed(
    form: str, handler: Any, *, then: Callable[[], Any] = lambda: None, **stated: str
) -> None:
    """Check that a run, and what others hear, are the same with *handler* and without it."""
    expected, inline, queued = alone(form)
    first, last, later = RecordingHandler(), RecordingHandler(), Later()
    callbacks = [first, policy(handler, **stated), last, later]

    result = call(form, callbacks)
    then()
    flush(PATIENCE)

    assert result == expected
    assert heard_by(first) == inline
    assert heard_by(last) == inline
    assert heard_by(later) == queued


class OwnExit(BaseException):
    """Neither an Exception nor one of Python's own."""


ERRORS = (RuntimeError, SystemExit, GeneratorExit, OwnExit, StopIteration, StopAsyncIteration)


# Whatever the error, and at whatever level: the other dimensions are all there in both.
RAISING = [(error, "full") for error in ERRORS] + [(OwnExit, "redacted"), (OwnExit, "none")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("error", "content"), RAISING)
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_handler_that_raises_in_every_event_changes_nothing(
    error, is_async, delivery, content, form
):
    """Whatever it raises is its own failure: logged once, counted, and kept from the run."""

    def act(self: Any, name: str, *_: Any) -> Any:
        raise error(name)

    handler = hostile(act, is_async=is_async)

    assert_unharmed(form, handler, content=content, delivery=delivery)

    assert stats()["Hostile"].delivered == 0
    assert stats()["Hostile"].failed >= 5


class Odd:
    """Raises when anybody asks what it is."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("nobody's business")


class Garbled:
    """Can be awaited, or so it says."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __await__(self) -> Any:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


async def _raising(error: BaseException) -> Any:
    await asyncio.sleep(0)
    raise error


async def _returning() -> int:
    return 1


RETURNS: dict[str, Callable[[], Any]] = {
    "number": lambda: 42,
    "class": lambda: int,
    "odd": Odd,
    "generator": lambda: (each for each in "abc"),
    "coroutine": _returning,
    "raising coroutine": lambda: _raising(RuntimeError("late")),
    "exiting coroutine": lambda: _raising(SystemExit("late")),
    "closing coroutine": lambda: _raising(GeneratorExit("late")),
    "garbled": lambda: Garbled(42),
    "raising awaitable": lambda: Garbled(OwnExit()),
    "bad yield": lambda: Garbled(iter([42])),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("kind", RETURNS)
def test_handler_that_returns_garbage_changes_nothing(kind, delivery, form):
    """What it returns is ignored, or awaited where it can be, and what that raises is its own."""
    handler = hostile(lambda *_: RETURNS[kind]())

    assert_unharmed(form, handler, delivery=delivery)

    gc.collect()  # Here, so that a coroutine that nobody awaited is this test's failure.


def spoil(value: Any, seen: set[int]) -> None:
    """Change whatever can be changed in *value*, however deep."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, Mapping):
        inner = [*value.values()]
    elif isinstance(value, list | tuple | set | deque):
        inner = [*value]
    elif isinstance(value, BaseException):
        inner = [*value.args]
    elif not isinstance(value, type | str):
        names = getattr(type(value), "__slots__", None) or getattr(value, "__dict__", ())
        inner = [getattr(value, name, None) for name in [*names]]
    for each in inner:
        spoil(each, seen)
    with contextlib.suppress(Exception):
        value.clear()
    with contextlib.suppress(Exception):
        value["spoilt"] = "spoilt"
    with contextlib.suppress(Exception):
        value.append("spoilt")
    if dataclasses.is_dataclass(value) or isinstance(value, BaseException):
        for name in [*getattr(value, "__dict__", ()), *getattr(value, "__slots__", ())]:
            with contextlib.suppress(Exception):
                setattr(value, name, "spoilt")
    if isinstance(value, BaseException):
        value.args = ("spoilt",)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("content", ["redacted", "none"])
def test_handler_that_changes_all_it_is_given_changes_nothing_of_the_run(content, delivery, form):
    """Below full it gets nothing of the run's own, nor of what those at full are shown."""

    def act(self: Any, name: str, args: Any, kwargs: Any) -> None:
        seen: set[int] = set()
        if name == "on_event":
            (record,) = args
            args = (dict(record.payload), record.run.metadata, record.run.tags)
        spoil([args, kwargs], seen)

    assert_unharmed(form, hostile(act), content=content, delivery=delivery)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_handler_that_calls_back_into_the_chain_changes_nothing(is_async, delivery, content, form):
    """What it runs itself is told to nobody, itself included, and gives what it gives."""
    answers = []

    def act(self: Any, name: str, *_: Any) -> None:
        if name in ("on_chain_start", "on_llm_end"):
            result, _ = call("invoke", [self, RecordingHandler()])
            answers.append(result)

    handler = hostile(act, is_async=is_async)

    assert_unharmed(form, handler, content=content, delivery=delivery)

    assert all(each == {"loud": "ONE TWO", "turned": "owt eno"} for each in answers)
    assert len(answers) >= 6
    assert stats()["Hostile"].failed == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_handler_that_is_collected_meanwhile_changes_nothing(delivery, form):
    """The run keeps who listens to it until it is over, whoever else lets go."""
    kept: list[Any] = []

    def act(self: Any, name: str, *_: Any) -> None:
        kept.clear()
        if name == "on_chat_model_start":
            gc.collect()

    kept.append(hostile(act))

    assert_unharmed(form, kept[0], delivery=delivery)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_handler_that_changes_who_listens_meanwhile_changes_nothing_of_this_run(delivery, form):
    """Who hears a run is settled when it starts: lists and scopes that change come too late."""
    stranger = RecordingHandler()
    given: list[Any] = []

    def act(self: Any, name: str, *_: Any) -> None:
        attached(stranger).__enter__()
        for each in (*EVENTS, "on_event"):
            setattr(self, each, None)
            setattr(type(self), each, None)
        given.clear()

    handler = hostile(act)
    given.append(handler)

    assert_unharmed(form, handler, delivery=delivery)

    assert stranger.names() == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_queued_handler_that_hangs_changes_nothing(is_async, content, form):
    """The run does not wait for it, nor does any other handler."""
    gate = Gate()

    def act(*_: Any) -> None:
        gate.enter()

    expected, inline, _ = alone(form)
    handler = hostile(act, is_async=is_async)
    first = RecordingHandler()
    try:
        result = call(form, [policy(handler, content=content, delivery="queued"), first])
    finally:
        gate.open()
    flush(PATIENCE)

    assert (result, heard_by(first)) == (expected, inline)


@pytest.mark.parametrize("form", ["invoke", "ainvoke"])
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("seconds", [0.046875, 0.0625])
def test_slow_handler_is_named_once_where_it_holds_up_a_loop(
    monkeypatch, caplog, seconds, delivery, content, form
):
    """Over 50 ms inline under an asynchronous caller: one warning with the remedy; else none."""
    now = [0.0]
    monkeypatch.setattr(inline, "SLOW", LIMIT)
    monkeypatch.setattr(inline, "clock", lambda: now[0])

    def act(*_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            now[0] += seconds  # What a worker takes for it is nobody's time but its own.

    async def answer(value: int) -> int:
        return -value

    def answer_at_once(value: int) -> int:
        return -value

    recorder = RecordingHandler()
    callbacks = [policy(hostile(act), content=content, delivery=delivery), recorder]
    step = RunnableLambda(answer) if form == "ainvoke" else RunnableLambda(answer_at_once)
    for _ in range(3):
        if form == "ainvoke":
            assert asyncio.run(step.ainvoke(1, {"callbacks": callbacks})) == -1
        else:
            assert step.invoke(1, {"callbacks": callbacks}) == -1
    assert flush(PATIENCE).is_complete

    assert recorder.names() == ["on_chain_start", "on_chain_end"] * 3
    said = [each.getMessage() for each in caplog.records]
    if (delivery, form, seconds) == ("inline", "ainvoke", 0.0625):
        (only,) = said
        assert only == (
            "The handler Hostile held up the event loop for 62 ms in on_chain_start: it is "
            "synchronous and its caller is not. Set delivery=queued for it, or make its methods "
            "asynchronous."
        )
    else:
        assert said == []


@pytest.mark.parametrize("form", ["invoke", "ainvoke"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_interrupt_passes_through_a_handler_once_the_others_were_told(error, is_async, form):
    """Ctrl-C and a cancellation are nobody's failure: they leave the run, which has its end."""

    def act(self: Any, name: str, *_: Any) -> None:
        if name == "on_llm_end":
            raise error

    last = RecordingHandler()

    with pytest.raises(error):
        call(form, [hostile(act, is_async=is_async), last])

    assert "on_llm_end" in last.names()
    assert last.problems() == []
    assert stats()["Hostile"].failed == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_interrupt_of_a_queued_handler_does_not_reach_the_run(error):
    """It was raised elsewhere and later, so it is the handler's failure."""

    def act(*_: Any) -> None:
        raise error

    assert_unharmed("invoke", hostile(act), delivery="queued")

    assert stats()["Hostile"].failed >= 5


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_generator_exit_of_one_handler_does_not_keep_an_asynchronous_one_from_its_event(is_async):
    """It is no sign that the run's own generators are closed."""
    heard = []

    def act(self: Any, name: str, *_: Any) -> None:
        raise GeneratorExit

    class Asynchronous(BaseCallbackHandler):
        async def on_event(self, record: Any) -> None:
            await asyncio.sleep(0)
            heard.append(record.name)

    handlers = [hostile(act, is_async=is_async), Asynchronous()]

    assert RunnableLambda(abs).invoke(-1, {"callbacks": handlers}) == 1
    assert asyncio.run(RunnableLambda(abs).ainvoke(-1, {"callbacks": handlers})) == 1
    assert heard == ["on_chain_start", "on_chain_end"] * 2


NESTED = """
    import asyncio, contextvars, faulthandler, sys

    faulthandler.dump_traceback_later(100, exit=True)

    from chain_callbacks import BaseCallbackHandler, flush, policy
    from chain_callbacks.runnables import RunnableLambda

    plain = RunnableLambda(abs)
    counts = {"events": 0, "inner": 0}

    class Runs(BaseCallbackHandler):
        async def on_chain_start(self, serialized, inputs, **kwargs):
            counts["events"] += 1
            await asyncio.sleep(0)
            counts["inner"] += plain.invoke(-1, {"callbacks": [self]})
            counts["inner"] += await plain.ainvoke(-1, {"callbacks": [self]})

    handler = policy(Runs(), delivery=sys.argv[2])

    def nest(depth):
        def sync(value):
            inner = nest(depth - 1)
            return value if inner is None else inner.invoke(value + 1)

        async def coroutine(value):
            inner = nest(depth - 1)
            return value if inner is None else await inner.ainvoke(value + 1)

        def loop(value):
            inner = nest(depth - 1)
            return value if inner is None else asyncio.run(inner.ainvoke(value + 1))

        steps = {"sync": sync, "async": coroutine, "loops": loop}
        if not depth:
            return None
        return RunnableLambda(steps[sys.argv[1]], callbacks=[handler])

    chain = nest(50)
    for _ in range(3):
        result = chain.invoke(0) if sys.argv[1] == "sync" else asyncio.run(chain.ainvoke(0))
    assert flush(60).is_complete
    print(result, counts)
"""


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("form", ["sync", "async", "loops"])
def test_chains_fifty_deep_whose_handler_runs_chains_lock_nothing_up(form, delivery):
    """Sync callers, async ones, a loop in each level's thread; asyncio.run again and again."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NESTED), form, delivery],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, "")
    # Each level is a run, and so is each of its constructor's handler's: it hears those below too.
    assert done.stdout == "49 {'events': 150, 'inner': 300}\n"


FRESH = """
    import asyncio, contextvars, faulthandler

    faulthandler.dump_traceback_later(100, exit=True)

    from chain_callbacks import BaseCallbackHandler, stats
    from chain_callbacks.runnables import RunnableLambda

    class Runs(BaseCallbackHandler):
        depth = 0

        async def on_chain_start(self, serialized, inputs, **kwargs):
            Runs.depth += 1
            if Runs.depth < 50:
                contextvars.Context().run(RunnableLambda(abs).invoke, -1, {"callbacks": [Runs()]})

    print(RunnableLambda(abs).invoke(-1, {"callbacks": [Runs()]}))
    print(asyncio.run(RunnableLambda(abs).ainvoke(-1, {"callbacks": [Runs()]})))
    print(stats()["Runs"].failed > 0)
"""


def test_handler_that_leaves_the_context_on_the_loop_of_handlers_fails_and_locks_nothing_up():
    """Handlers of a chain that it runs there cannot be waited for: that is said, and not tried."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FRESH)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=120,
    )

    assert (done.returncode, done.stdout) == (0, "1\n1\nTrue\n")
    assert "an asynchronous handler cannot be waited for on its own loop" in done.stderr


THREADS = """
    import asyncio, contextvars, faulthandler

    faulthandler.dump_traceback_later(100, exit=True)

    from chain_callbacks import BaseCallbackHandler
    from chain_callbacks.runnables import RunnableLambda

    class Runs(BaseCallbackHandler):
        depth = 0

        async def on_chain_start(self, serialized, inputs, **kwargs):
            Runs.depth += 1
            if Runs.depth < 50:
                config = {"callbacks": [Runs()]}
                fresh = contextvars.Context()
                await asyncio.to_thread(fresh.run, RunnableLambda(abs).invoke, -1, config)

    print(RunnableLambda(abs).invoke(-1, {"callbacks": [Runs()]}), Runs.depth)
"""


def test_handlers_that_wait_fifty_deep_for_each_others_chains_lock_nothing_up():
    """Each leaves the context, runs a chain in a thread and waits for it: all of them get one."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(THREADS)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=120,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "1 50\n", "")
