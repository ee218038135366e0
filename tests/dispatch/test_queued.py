"""Queued delivery: what a handler is told, by whom, in which order, and what is lost, and said."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref
from collections import OrderedDict, defaultdict, deque
from resource import RUSAGE_SELF, getrusage
from typing import Any

import pytest

from chain_callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    flush,
    policy,
    stats,
)
from chain_callbacks.delivery import queue
from chain_callbacks.runnables import HumanMessage, RunnableLambda
from chain_callbacks.testing import RecordingHandler

from .conftest import PATIENCE, Gate, Other, Queued, Told, chain, flushed, workers


def test_queued_handler_is_told_in_the_order_of_the_events():
    """Everything arrives, in the order in which it was issued."""
    handler = Queued()
    manager = CallbackManager([handler])

    for number in range(500):
        chain(manager, number, -number)
    flushed()

    assert handler.heard == [
        each
        for number in range(500)
        for each in (("on_chain_start", number), ("on_chain_end", -number))
    ]


def test_queued_handler_keeps_the_order_of_each_thread():
    """Of eight threads each one's events arrive in its order, and all of them do."""
    handler = Queued()
    run = CallbackManager([handler]).on_chain_start({"name": "shared"}, None)
    barrier = threading.Barrier(8)

    def issue(thread: int) -> None:
        barrier.wait(PATIENCE)
        for number in range(200):
            run.on_text((thread, number))

    threads = [threading.Thread(target=issue, args=(each,)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    flushed()

    texts = [each for name, each in handler.heard if name == "on_text"]
    assert len(texts) == 1_600
    for thread in range(8):
        assert [n for t, n in texts if t == thread] == [*range(200)]


def test_two_queued_handlers_do_not_wait_for_each_other(gate):
    """One that is stuck holds up neither the run nor another one's queue."""
    second = Gate()
    second.open()
    chain(CallbackManager([Told(gate), Other(second)]), 1)
    gate.wait_for_visitor()
    second.wait_for_visitor()

    assert "Told" in flush(0.01).late


def test_worker_starts_with_the_first_event_and_ends_with_its_handler():
    """No thread before the first event; none after the handler; nobody keeps it meanwhile."""

    class Alone(Told):
        """Has no worker that a test before this one may have left."""

    handler, name = Alone(), Alone.__qualname__
    manager = CallbackManager([handler])
    assert workers(name) == []
    chain(manager, 1)
    (worker,) = workers(name)
    flushed()
    assert worker.daemon
    assert [worker] == workers(name)

    gone = weakref.ref(handler)
    del handler, manager
    gc.collect()
    worker.join(PATIENCE)

    assert not worker.is_alive()
    assert gone() is None
    assert [each.name for each in queue.channels() if each.name == name] == []


def test_worker_that_has_just_worked_is_not_woken_for_each_event(monkeypatch):
    """It lets events gather for some milliseconds, here for long; a flush does not wait for it."""
    monkeypatch.setattr(queue, "LINGERING", 20 * PATIENCE)
    handler = Queued()
    manager = CallbackManager([handler])
    chain(manager, 1)
    flushed()
    (channel,) = (each for each in queue.channels() if each.handler is handler)
    while not channel._is_lingering or channel._bell.is_set():
        pass

    chain(manager, 2)

    assert not channel._bell.is_set()
    assert len(handler.heard) == 2
    flushed()
    assert len(handler.heard) == 4


def test_what_was_delivered_is_kept_by_nobody():
    """A worker that has nothing to do holds neither the payload nor the run."""

    class Payload:
        pass

    payload, is_gone = Payload(), threading.Event()
    weakref.finalize(payload, is_gone.set)

    class Told(BaseCallbackHandler):
        delivery = "queued"

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            assert type(inputs) is Payload

    manager = CallbackManager([Told()])
    with manager.run("chain", "run", payload):
        pass
    flushed()
    del payload
    gc.collect()

    assert is_gone.wait(PATIENCE)
    assert stats()[Told.__qualname__].failed == 0


def test_events_that_wait_keep_their_handler_until_they_are_told(gate):
    """Who lets go of a handler loses no event of it: the queue holds it, then lets go too."""
    heard = []

    class Told(BaseCallbackHandler):
        delivery = "queued"

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            gate.enter()
            heard.append(inputs)

    manager = CallbackManager([Told()])
    for number in range(3):
        chain(manager, number)
    gate.wait_for_visitor()
    (worker,) = workers(Told.__qualname__)
    del manager
    gc.collect()

    gate.open()
    worker.join(PATIENCE)
    assert heard == [0, 1, 2]


def test_queued_handler_is_told_quietly_of_what_it_runs_itself():
    """A chain that a queued handler runs is told to nobody, so no event breeds another."""
    recorder = RecordingHandler()

    class Runs(Queued):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            RunnableLambda(abs).invoke(-1, {"callbacks": [recorder, self]})

    handler = Runs()
    chain(CallbackManager([handler]), 1)
    flushed()

    assert recorder.names() == []
    assert [name for name, _ in handler.heard] == ["on_chain_start", "on_chain_end"]


class Lengths(Queued):
    """Keeps how long what it is told is, by the time that it is told."""

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.heard.append(("messages", len(messages[0])))

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, metadata: Any = None, **kwargs: Any
    ) -> None:
        self.heard.append(("state", len(inputs["messages"])))
        self.heard.append(("metadata", len(metadata["seen"])))

    def on_event(self, record: Any) -> None:
        assert self.gate is not None
        self.gate.enter()


@pytest.mark.parametrize("level", ["full", "redacted"])
def test_agent_loop_shows_its_messages_as_they_were_at_each_event(gate, level):
    """A list that grows after the event was issued is shown as it was when it was."""
    handler = Lengths(gate)
    manager = CallbackManager([policy(handler, content=level)])
    messages: list[Any] = []

    for turn in range(4):
        messages.append(HumanMessage(f"turn {turn}"))
        metadata = {"seen": messages}
        with manager.run("chain", "step", {"messages": messages}, metadata=metadata) as step:
            (model,) = step.get_child().on_chat_model_start({"name": "model"}, [messages])
            model.end(None)
        gate.wait_for_visitor()
    gate.open()
    flushed()

    assert handler.heard == [
        (what, turn) for turn in (1, 2, 3, 4) for what in ("state", "metadata", "messages")
    ]


CONTAINERS = [
    ([1], list.append),
    ({1: 1}, lambda value, each: value.update({each: each})),
    (defaultdict(list, {1: 1}), lambda value, each: value.update({each: each})),
    (OrderedDict({1: 1}), lambda value, each: value.update({each: each})),
    ({1}, set.add),
    (deque([1], 5), deque.append),
    (bytearray(b"1"), bytearray.append),
]


@pytest.mark.parametrize(("value", "change"), CONTAINERS, ids=lambda each: type(each).__name__)
def test_container_is_shown_as_it_was_at_full(gate, value, change):
    """At full a queued event has containers of its own, of the same types, however deep."""
    handler = Queued(gate)
    expected = type(value), repr(value)

    chain(CallbackManager([handler]), 1, ([{"x": value}],))
    change(value, 2)
    gate.open()
    flushed()

    kept = handler.heard[1][1][0][0]["x"]
    assert kept is not value
    assert (type(kept), repr(kept)) == expected


def test_payload_that_holds_itself_many_times_is_kept_in_linear_time(gate):
    """Sixteen levels of ten references each cost sixteen copies, not ten to the sixteenth."""
    handler = Queued()
    value: Any = ["leaf"]
    for _ in range(12):
        value = [value] * 10
    looped: list[Any] = []
    looped.extend([looped] * 10)

    chain(CallbackManager([handler]), 1, (value, looped))
    flushed()

    kept, _ = handler.heard[1][1]
    for _ in range(12):
        assert len(kept) == 10
        kept = kept[9]
    assert kept == ["leaf"]


@pytest.mark.parametrize("events", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_stuck_handler_costs_a_bounded_amount_of_memory_and_loses_no_end(gate, events):
    """A handler that hangs keeps memory flat: every drop is counted, ends and errors are kept."""

    class Stuck(BaseCallbackHandler):
        delivery, content = "queued", "none"
        ends = told = 0

        def on_event(self, record: Any) -> None:
            gate.enter()
            self.told += 1
            self.ends += record.name in ("on_llm_end", "on_llm_error")

    handler = Stuck()
    manager = CallbackManager([policy(handler, queue_records=2_000)])
    produced = ends = 0

    def issue(runs: int, tokens: int) -> None:
        nonlocal produced, ends
        for number in range(runs):
            (run,) = manager.on_llm_start({"name": "model"}, ["prompt"])
            for _ in range(tokens):
                run.on_llm_new_token("token")
            if number % 2:
                run.end(None)
            else:
                run.fail(ValueError("refused"))
        produced += runs * (tokens + 2)
        ends += runs

    issue(2, 2_500)
    gate.wait_for_visitor()
    tracemalloc.start()
    try:
        issue(4, 1_000)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        issue(20, 500)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    resident = getrusage(RUSAGE_SELF).ru_maxrss
    while produced < events:
        issue(20, 500)

    grown = (getrusage(RUSAGE_SELF).ru_maxrss - resident) * 1_024
    assert grown < 4_000_000
    assert after - before < 100_000
    assert peak - before < 200_000
    assert stats()[Stuck.__qualname__].queued <= 2_001
    gate.open()
    flushed()
    found = stats()[Stuck.__qualname__]
    assert produced - found.delivered == found.dropped > 0.95 * events
    assert handler.told == found.delivered
    assert handler.ends == ends


def test_queue_is_bounded_by_the_size_of_its_events_too(gate):
    """Large payloads fill a queue long before their number does."""
    handler = Queued(gate)
    manager = CallbackManager([policy(handler, queue_bytes=100_000)])

    chain(manager, 0)
    gate.wait_for_visitor()
    for number in range(20):
        chain(manager, number, "x" * 20_000)

    channel = manager.here.listeners[0].channel
    assert channel is not None
    assert channel._backlog.total <= 100_000
    gate.open()
    flushed()
    ends = [each for name, each in handler.heard if name == "on_chain_end"]
    assert ["x" * 20_000] * 4 == ends
    assert stats()["Queued"].dropped == 42 - len(handler.heard)


def test_full_queue_is_said_once_a_minute_with_what_to_raise(by_hand, clock, caplog):
    """One warning names the handler, how much was dropped since the last one, and the settings."""
    manager = CallbackManager([policy(Queued(), queue_records=2)])

    for number in range(10):
        chain(manager, number)
    clock.now += 59
    chain(manager, 10)
    said = [each.getMessage() for each in caplog.records]
    clock.now += 1
    chain(manager, 11)

    assert len(said) == 1
    assert "The queue of the handler Queued is full: 1 events were dropped" in said[0]
    assert "queue_records (2)" in said[0]
    assert "queue_bytes (67108864)" in said[0]
    (later,) = [each.getMessage() for each in caplog.records[1:]]
    assert "20 events were dropped" in later
    assert stats()["Queued"].dropped == 22


def blocked(manager: CallbackManager) -> threading.Event:
    """Return what is set once somebody waits for room in the manager's queue."""
    channel = manager.here.listeners[0].channel
    assert channel is not None
    is_waiting, wait_for = threading.Event(), channel._room.wait_for

    def waiting(*args: Any) -> bool:
        is_waiting.set()
        return wait_for(*args)

    channel._room.wait_for = waiting  # type: ignore[method-assign]
    return is_waiting


def test_full_queue_that_blocks_makes_its_caller_wait_and_drops_nothing(gate):
    """With when_full=block(...) the caller waits until the worker has made room."""
    handler = Queued(gate)
    manager = CallbackManager([policy(handler, queue_records=1, when_full="block(30)")])
    is_waiting = blocked(manager)
    caller = threading.Thread(target=lambda: [chain(manager, number) for number in range(3)])

    caller.start()
    assert is_waiting.wait(PATIENCE)
    gate.open()
    caller.join(PATIENCE)
    flushed()

    assert len(handler.heard) == 6
    assert stats()["Queued"] == (6, 0, 0, 0, False)


def test_full_queue_blocks_for_the_seconds_that_were_stated_at_most(gate):
    """What still finds no room by then takes the place of what matters less."""
    handler = Queued(gate)
    manager = CallbackManager([policy(handler, queue_records=1, when_full="block(0.001)")])

    chain(manager, 1)
    gate.wait_for_visitor()
    chain(manager, 2)
    gate.open()
    flushed()

    assert stats()["Queued"].dropped == 2
    assert handler.heard[-1] == ("on_chain_end", None)


def test_event_larger_than_its_queue_is_told_without_its_content(by_hand):
    """It would never find room: what it says besides its content is not waited for, nor lost."""
    handler = Queued()
    manager = CallbackManager([policy(handler, queue_bytes=5_000, when_full="block(30)")])
    is_waiting = blocked(manager)

    chain(manager, 1, "x" * 10_000)

    assert not is_waiting.is_set()
    flushed()
    assert stats()["Queued"].dropped == 0
    assert ("on_chain_end", None) in handler.heard


def test_last_policy_that_queues_says_how_long_the_queue_is(by_hand):
    """A handler has one queue; a policy that comes later than its first listener still holds."""

    class Flushes(Queued):
        delivery = "inline"

        def flush(self, timeout: float) -> None: ...

    handler = Flushes()
    chain(CallbackManager([handler]), 1)
    manager = CallbackManager([policy(handler, delivery="queued", queue_records=3)])
    for number in range(10):
        chain(manager, number)

    assert by_hand(manager).pending == 3
    assert len(CallbackManager([handler]).here.listeners) == 1
    assert by_hand(manager).limits.queue_records == 3


class Failing(Queued):
    """Fails as long as it is told to."""

    is_failing = True

    def on_event(self, record: Any) -> None:
        super().on_event(record)
        if self.is_failing:
            raise ValueError("down")


def test_handler_that_keeps_failing_is_left_alone_and_probed(by_hand, clock):
    """After five failures in a row it is told one event a pause, until it is well again."""
    handler = Failing()
    manager = CallbackManager([handler])
    channel = by_hand(manager)
    for number in range(10):
        chain(manager, number)

    pauses = []
    for attempts in range(5, 13):
        pauses.append(channel.work())
        assert channel.work() == pauses[-1], "nothing is tried in a pause"
        assert len(handler.heard) == attempts
        assert stats()["Failing"].is_paused
        clock.now += pauses[-1]

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    handler.is_failing = False
    assert channel.work() is None
    assert len(handler.heard) == 20
    assert stats()["Failing"] == (8, 12, 0, 0, False)


def test_failures_that_are_not_in_a_row_pause_nothing(by_hand):
    """A success between them closes the breaker."""

    class Often(Queued):
        def on_event(self, record: Any) -> None:
            super().on_event(record)
            if len(self.heard) % 5:
                raise ValueError("down")

    handler = Often()
    manager = CallbackManager([handler])
    for number in range(10):
        chain(manager, number)

    assert by_hand(manager).work() is None
    assert len(handler.heard) == 20


def test_queue_of_a_handler_that_is_left_alone_is_bounded_and_counted(by_hand):
    """What comes while the breaker is open waits in the same queue, and is dropped as there."""
    manager = CallbackManager([policy(Failing(), queue_records=10)])
    channel = by_hand(manager)
    for number in range(5):
        chain(manager, number)
    channel.work()

    for number in range(100):
        chain(manager, number)

    assert channel.work() == 1
    assert stats()["Failing"] == (0, 5, 195, 10, True)


def test_flush_of_a_handler_that_is_left_alone_makes_one_attempt_and_gives_up(by_hand):
    """A flush does not wait for a pause to pass, and says that something is left."""
    handler = Failing()
    manager = CallbackManager([handler])
    for number in range(5):
        chain(manager, number)
    by_hand(manager).work()
    told = len(handler.heard)

    report = flush(PATIENCE)

    assert (len(handler.heard), report.late) == (told + 1, ("Failing",))
    assert (report.handlers["Failing"].pending, report.is_complete) == (4, False)
    handler.is_failing = False
    assert flush(PATIENCE).is_complete


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, KeyboardInterrupt, BaseException])
def test_worker_outlives_whatever_its_handler_raises(error):
    """It is a failure like any other, and the next event is told."""

    class Raises(Queued):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            if inputs == 1:
                raise error("gone")

    handler = Raises()
    manager = CallbackManager([handler])
    chain(manager, 1)
    flushed()
    chain(manager, 2)
    flushed()

    assert stats()[Raises.__qualname__].failed == 1
    assert len(handler.heard) == 4
    assert len(workers(Raises.__qualname__)) == 1
