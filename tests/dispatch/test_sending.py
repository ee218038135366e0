"""Handlers that hold something back, and a flush: what is sent, when, and what is left."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from chain_callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    aflush,
    flush,
    stats,
)
from chain_callbacks.delivery import counters, queue
from chain_callbacks.delivery.loop_thread import loop_thread
from chain_callbacks.runnables import RunnableLambda

from .conftest import PATIENCE, Queued, Told, chain, flushed, workers


class Batching(Queued):
    """Holds what it is told, and sends it when it is asked to; fails as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []
        self.answers: list[Any] = []

    def deliver(self) -> float | None:
        self.sent.append(len(self.heard))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_deliver_is_called_when_the_queue_is_empty_and_again_when_it_said(by_hand, clock):
    """Once for all that waited; then after the seconds it returned; then not before an event."""
    handler = Batching()
    handler.answers = [7.5, 2, None]
    manager = CallbackManager([handler])
    channel = by_hand(manager)
    for number in range(3):
        chain(manager, number)

    assert channel.work() == 7.5
    assert handler.sent == [6]
    clock.now += 7.5
    assert channel.work() == 2
    clock.now += 2
    assert channel.work() is None
    assert handler.sent == [6, 6, 6]
    assert channel not in queue._busy


def test_deliver_is_called_though_events_keep_coming(by_hand, clock):
    """A queue that never runs empty does not keep a handler from sending for over a second."""
    handler = Batching()
    manager = CallbackManager([handler])
    channel = by_hand(manager)
    hear = handler.on_event

    def slowly(record: Any) -> None:
        hear(record)
        clock.now += 0.4

    handler.on_event = slowly  # type: ignore[method-assign]
    manager = CallbackManager([handler])
    for number in range(4):
        chain(manager, number)

    channel.work()

    assert handler.sent == [4, 7, 8]


def test_deliver_that_raises_is_counted_and_asked_again_after_a_growing_pause(by_hand, clock):
    """One, two, four seconds and so on, up to a minute; it is logged once, without its text."""
    handler = Batching()
    handler.answers = [ConnectionError("sk-secret-in-here")] * 8
    manager = CallbackManager([handler])
    channel = by_hand(manager)
    chain(manager, 1)

    pauses = []
    for _ in range(8):
        pauses.append(channel.work())
        assert channel.work() <= pauses[-1]
        assert len(handler.sent) == len(pauses)
        clock.now += pauses[-1]

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert stats()["Batching"].failed == 8
    assert stats()["Batching"].is_paused
    assert channel.work() is None
    assert not stats()["Batching"].is_paused


def test_what_deliver_raises_is_logged_once_and_not_its_text(by_hand, clock, caplog):
    """Where and with which class it failed is for everybody; what it says may be the payload."""
    handler = Batching()
    handler.answers = [ConnectionError("to https://user:canary@host")] * 3
    manager = CallbackManager([handler])
    chain(manager, 1)
    for _ in range(3):
        clock.now += by_hand(manager).work() or 0

    (said,) = caplog.records
    assert "The handler Batching failed in deliver with ConnectionError." in said.getMessage()
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (float("inf"), 3_600),
        (1e300, 3_600),
        (float("nan"), 0.01),
        (0, 0.01),
        (-5, 0.01),
        (True, 1),
    ],
)
def test_seconds_that_deliver_returns_are_held_within_bounds(by_hand, answer, expected):
    """No number ends the worker or makes it spin."""
    handler = Batching()
    handler.answers = [answer]
    manager = CallbackManager([handler])
    chain(manager, 1)

    assert by_hand(manager).work() == expected


@pytest.mark.parametrize("answer", ["sk-canary", object(), [1]])
def test_deliver_that_returns_no_number_has_failed(by_hand, caplog, answer):
    """It is a failure like any other, and what it returned is not logged."""
    handler = Batching()
    handler.answers = [answer]
    manager = CallbackManager([handler])
    chain(manager, 1)

    assert by_hand(manager).work() == 1
    assert stats()["Batching"].failed == 1
    assert "canary" not in caplog.text


def test_worker_goes_on_after_an_endless_rest():
    """A handler that asks to be left alone for ever is told of the next event all the same."""
    handler = Batching()
    handler.answers = [float("inf")] * 4
    manager = CallbackManager([handler])
    chain(manager, 1)
    flush(PATIENCE)
    chain(manager, 2)
    flush(PATIENCE)

    assert len(handler.heard) == 4


class Flushing(Queued):
    """Answers a flush with what the test gives it."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.answer = answer
        self.timeouts: list[float] = []

    def flush(self, timeout: float) -> Any:
        self.timeouts.append(timeout)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_flush_is_called_once_the_queue_is_empty_with_the_seconds_that_are_left():
    """A handler that holds something sends it last, in what is left of the one budget."""
    handler = Flushing()
    chain(CallbackManager([handler]), 1)

    report = flush(PATIENCE)

    assert len(handler.heard) == 2
    (seconds,) = handler.timeouts
    assert 0 < seconds < PATIENCE
    assert report.is_complete


@pytest.mark.parametrize(
    ("answer", "pending", "is_complete"),
    [(None, 0, True), (0, 0, True), (3, 3, False), ("garbage", 0, True)],
)
def test_flush_reports_how_much_the_handler_says_is_left(answer, pending, is_complete):
    """What a handler could not send is pending in the report, and the flush is not complete."""
    chain(CallbackManager([Flushing(answer)]), 1)

    report = flush(PATIENCE)

    assert (report.handlers["Flushing"].pending, report.is_complete) == (pending, is_complete)
    assert report.handlers["Flushing"].delivered == 2


@pytest.mark.parametrize("error", [ConnectionError, SystemExit])
def test_flush_that_raises_is_late_and_counted(caplog, error):
    """It did not send everything, for all we know; its text is not logged."""
    chain(CallbackManager([Flushing(error("canary"))]), 1)

    report = flush(PATIENCE)

    assert (report.late, report.handlers["Flushing"].failed) == (("Flushing",), 1)
    assert f"failed in flush with {error.__name__}" in caplog.text
    assert "canary" not in caplog.text


def test_flush_may_be_asynchronous():
    """It is awaited on the loop on which asynchronous handlers are."""
    loops = []

    class Asynchronous(Queued):
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            loops.append(asyncio.get_running_loop())

        async def flush(self, timeout: float) -> int:
            loops.append(asyncio.get_running_loop())
            return 2

    chain(CallbackManager([Asynchronous()]), 1)
    report = flush(PATIENCE)

    assert loops == [loop_thread._loop] * 2
    assert report.handlers[Asynchronous.__qualname__].pending == 2


def test_flush_has_a_handler_deliver_that_cannot_flush():
    """What it has to send is sent before the flush is done."""
    handler = Batching()
    chain(CallbackManager([handler]), 1)

    flushed()

    assert 2 in handler.sent


@pytest.mark.parametrize("is_failing", [True, False])
def test_flush_is_not_complete_where_deliver_fails_or_holds_something_back(by_hand, is_failing):
    """A handler that sends later, and has no way to send now, is named."""
    handler = Batching()
    handler.answers = [ConnectionError() if is_failing else 30.0] * 2
    chain(CallbackManager([handler]), 1)

    assert flush(PATIENCE).late == ("Batching",)


def test_flush_from_inside_a_handler_returns():
    """A handler that flushes does not wait for itself; what others have to send is sent."""
    reports = []
    other = Queued()

    class Flushes(Queued):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            reports.append(flush(PATIENCE))

    chain(CallbackManager([other, Flushes()]), 1)
    flushed()

    (report,) = reports
    assert report.late == ()
    assert report.handlers[Flushes.__qualname__].pending >= 1
    assert len(other.heard) == 2


def test_flush_from_inside_an_asynchronous_handler_returns():
    """aflush() in a queued handler does not wait for the handler either."""
    reports = []

    class Flushes(BaseCallbackHandler):
        delivery = "queued"

        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            reports.append(await aflush(PATIENCE))

    chain(CallbackManager([Flushes()]), 1)
    flushed()

    (report,) = reports
    assert report.late == ()
    assert report.handlers[Flushes.__qualname__].pending >= 1


def test_flush_ends_though_events_keep_coming():
    """It waits for what was issued before it, and for nothing that comes later."""
    handler = Queued()
    manager = CallbackManager([handler])
    is_over, is_running = threading.Event(), threading.Event()

    def issue() -> None:
        number = 0
        while not is_over.is_set():
            chain(manager, number)
            number += 1
            if number > 100:
                is_running.set()

    producer = threading.Thread(target=issue)
    producer.start()
    try:
        assert is_running.wait(PATIENCE)
        report = flush(PATIENCE)
        told = len(handler.heard)
    finally:
        is_over.set()
        producer.join(PATIENCE)

    assert report.is_complete
    assert told >= 200


def test_flush_gives_up_at_its_timeout_and_names_who_hangs(gate):
    """The budget is kept, the culprit named, and everybody else's events are told."""
    chain(CallbackManager([Told(gate)]), 1)
    gate.wait_for_visitor()

    report = flush(0.01)

    assert report.late == ("Told",)
    assert not report.is_complete
    assert report.handlers["Told"] == (0, 2, 0, 0)
    assert "Told: 0 delivered, 2 pending, 0 failed, 0 dropped (not finished)" in str(report)
    gate.open()
    assert flush(PATIENCE).handlers["Told"].delivered == 2


def test_flush_of_nothing_is_complete():
    """Where nobody was told of anything there is nothing to wait for, and no thread is started."""

    class Idle(Told):
        """Has no worker that a test before this one may have left."""

    handler = Idle()
    manager = CallbackManager([handler])

    assert flush(PATIENCE).is_complete
    assert workers(Idle.__qualname__) == []
    assert manager.handlers == [handler]


def test_aflush_lets_the_loop_go_on(gate):
    """Other tasks run while it waits: here the one that lets the handler go on."""
    handler = Queued(gate)

    async def main() -> bool:
        await RunnableLambda(abs).ainvoke(1, {"callbacks": [handler]})
        flushing = asyncio.ensure_future(aflush(PATIENCE))
        await asyncio.sleep(0)
        gate.open()
        return (await flushing).is_complete

    assert asyncio.run(main())
    assert len(handler.heard) == 2


def test_flush_on_the_thread_that_looks_a_channel_up_does_not_hang():
    """A SIGTERM may come there: its handler flushes on the same thread."""
    chain(CallbackManager([Queued()]), 1)
    done = threading.Event()

    def interrupted() -> None:
        with queue._lock:
            flush(PATIENCE)
            with counters.counters_of("Queued").lock:
                counters.counters_of("Queued").add(failed=0)
        done.set()

    threading.Thread(target=interrupted, daemon=True).start()

    assert done.wait(PATIENCE)
