"""What a flush says, and flushes in unusual places."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, FlushReport, flush, register, reload, stats
from chain_callbacks.delivery import queue
from chain_callbacks.delivery.backlog import Backlog
from chain_callbacks.delivery.flush import HandlerReport
from chain_callbacks.delivery.lifecycle import lifecycle
from chain_callbacks.delivery.threads import sweeper
from chain_callbacks.policies import policy
from chain_callbacks.runnables import FakeListChatModel, RunnableLambda

PATIENCE = 30.0

step: RunnableLambda[Any, Any] = RunnableLambda(lambda value: value, name="step")


@pytest.fixture(autouse=True)
def _own_channels(isolated_callbacks: None) -> Iterator[None]:
    queue._channels.clear()
    queue._holding.clear()
    yield
    queue._channels.clear()
    queue._busy.clear()
    queue._holding.clear()


class Stuck(BaseCallbackHandler):
    """Stands in its first event until it is let go."""

    delivery = "queued"

    def __init__(self) -> None:
        self.is_entered, self.may_go_on = threading.Event(), threading.Event()
        self.told: list[Any] = []

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.is_entered.set()
        assert self.may_go_on.wait(PATIENCE)
        self.told.append(outputs)


class Holding(BaseCallbackHandler):
    """Holds what it is told until it is flushed."""

    def __init__(self, sent: list[Any]) -> None:
        self.held: list[Any] = []
        self.sent = sent

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.held.append(outputs)

    def flush(self, timeout: float) -> int:
        self.sent += self.held
        self.held = []
        return 0


def run(*values: Any, to: Any) -> None:
    for value in values:
        step.invoke(value, {"callbacks": [to]})


def test_report_says_of_each_handler_what_became_of_its_events():
    """A line for each, with who did not finish; it is for people to read."""
    report = FlushReport(
        {"slack": HandlerReport(3, 0, 1, 0), "audit": HandlerReport(0, 7, 0, 2)}, ("audit",)
    )

    assert str(report) == (
        "slack: 3 delivered, 0 pending, 1 failed, 0 dropped\n"
        "audit: 0 delivered, 7 pending, 0 failed, 2 dropped (not finished)"
    )
    assert not report.is_complete
    assert "No handler was listened to." == str(FlushReport({}))
    assert FlushReport({}).is_complete


def test_what_a_handler_lets_go_itself_is_counted_with_the_rest(isolated_callbacks: None):
    """Something behind it has a queue too, such as a batch of spans: its drops are in stats()."""
    handler = Holding([])
    run(1, to=handler)
    handler.dropped = 3

    assert 3 == stats()["Holding"].dropped
    assert 3 == flush(PATIENCE).handlers["Holding"].dropped


def test_flush_without_seconds_to_wait_says_what_is_left_and_loses_nothing():
    """flush(0) returns at once; what was left is told later all the same."""
    handler = Stuck()
    run(1, 2, 3, to=handler)
    assert handler.is_entered.wait(PATIENCE)

    report = flush(0)
    handler.may_go_on.set()

    assert ("Stuck",) == report.late
    assert 3 == report.handlers["Stuck"].pending
    assert not report.is_complete
    assert flush(PATIENCE).is_complete
    assert [1, 2, 3] == handler.told


def test_flushes_of_a_stuck_handler_gather_nothing():
    """Whoever flushes every second beside a dead backend keeps one request of it, not thousands."""
    handler = Stuck()
    manager = step.with_config(callbacks=[handler])
    manager.invoke(1)
    assert handler.is_entered.wait(PATIENCE)

    for _ in range(100):
        flush(0)

    [channel] = queue.channels()
    assert len(channel._requests) <= 1
    handler.may_go_on.set()
    assert flush(PATIENCE).is_complete


def test_flush_counts_what_is_left_of_all_handlers_of_one_name():
    """Two objects of one class are one name in the report, with what both have left."""

    class Leaving(Holding):
        def flush(self, timeout: float) -> int:
            return len(self.held)

    handlers = [Leaving([]), Leaving([])]
    for handler in handlers:
        run(1, 2, to=handler)

    name = Leaving.__qualname__
    assert 4 == flush(PATIENCE).handlers[name].pending


def test_handlers_of_single_requests_are_flushed_and_let_go():
    """One that is made for each request, and holds something, is neither lost nor kept for ever."""
    sent: list[Any] = []
    count = queue.HELD + 50

    for number in range(count):
        run(number, to=Holding(sent))

    assert queue.HELD == len(queue._holding)
    deadline = time.monotonic() + PATIENCE
    while len(sent) < 50 and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    assert {*range(50)} == {*sent}
    assert flush(PATIENCE).is_complete
    assert [*range(count)] == sorted(sent)


def test_flush_waits_for_streams_that_were_dropped():
    """The end of a collected stream comes from a thread of its own; it counts as issued."""
    is_entered, may_go_on = threading.Event(), threading.Event()
    handler = Stuck()
    handler.may_go_on.set()

    def hold() -> None:
        is_entered.set()
        assert may_go_on.wait(PATIENCE)

    sweeper.take(hold)
    assert is_entered.wait(PATIENCE)
    stream = (FakeListChatModel(["one two three"]) | step).stream("x", {"callbacks": [handler]})
    next(stream)
    del stream
    threading.Timer(0.05, may_go_on.set).start()

    assert flush(PATIENCE).is_complete
    assert 0 < len(handler.told)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this platform has no POSIX signals")
def test_flush_in_a_signal_handler_on_top_of_put_returns(monkeypatch):
    """It cannot be complete, as the worker waits for what it interrupted, and says so at once."""
    handler = Stuck()
    handler.may_go_on.set()
    chain = step.with_config(callbacks=[handler])
    chain.invoke(1)
    assert flush(PATIENCE).is_complete
    reports: list[FlushReport] = []
    real = Backlog.put

    def put(backlog: Backlog, *arguments: Any) -> int:
        dropped = real(backlog, *arguments)
        signal.raise_signal(signal.SIGUSR1)
        return dropped

    before = signal.signal(signal.SIGUSR1, lambda *_: reports.append(flush(PATIENCE)))
    began = time.monotonic()
    try:
        monkeypatch.setattr(Backlog, "put", put)
        chain.invoke(2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    monkeypatch.undo()

    assert ("Stuck",) == reports[0].late
    assert time.monotonic() - began < PATIENCE / 2
    assert flush(PATIENCE).is_complete
    assert [1, 2] == handler.told


def test_stats_know_what_waits_and_who_is_left_alone():
    """The counts are those of the process, by name, at any time."""
    handler = Stuck()
    run(1, 2, to=handler)
    assert handler.is_entered.wait(PATIENCE)

    waiting = stats()["Stuck"]
    handler.may_go_on.set()
    assert flush(PATIENCE).is_complete
    after = stats()["Stuck"]

    assert (2, False) == (waiting.queued, waiting.is_paused)
    assert (waiting.delivered + 2, 0) == (after.delivered, after.queued)


def test_sigterm_is_left_to_the_main_thread():
    """Called elsewhere, flush_on_sigterm says that it cannot be done, and changes nothing."""
    before = signal.getsignal(signal.SIGTERM)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            lifecycle.flush_on_sigterm()
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(PATIENCE)

    assert 1 == len(raised)
    assert before is signal.getsignal(signal.SIGTERM)


def test_first_run_in_another_thread_says_that_sigterm_is_not_watched(monkeypatch, caplog):
    """The setting cannot be kept there: a warning names the call that can."""
    monkeypatch.setenv("CHAIN_CALLBACKS_FLUSH_ON_SIGTERM", "1")
    thread = threading.Thread(target=step.invoke, args=(1,))
    thread.start()
    thread.join(PATIENCE)

    told = [each.getMessage() for each in caplog.records if "SIGTERM" in each.getMessage()]
    assert 1 == len(told)
    assert "chain_callbacks.flush_on_sigterm() in the main thread" in told[0]


def test_policy_that_blocks_does_not_block_a_flush():
    """A caller that waits for room does not keep the report from being made."""
    handler = Stuck()
    listened = policy(handler, queue_records=1, when_full="block(20)")
    run(1, to=listened)
    assert handler.is_entered.wait(PATIENCE)
    waiting = threading.Thread(target=run, args=(2, 3), kwargs={"to": listened})
    waiting.start()

    report = flush(0.05)
    handler.may_go_on.set()
    waiting.join(PATIENCE)

    assert ("Stuck",) == report.late
    assert flush(PATIENCE).is_complete
    assert [1, 2, 3] == handler.told


@pytest.mark.parametrize("delivery", ["queued", "inline"])
def test_a_closed_handler_is_forgotten(delivery):
    """After `reload()` nothing of it is called, and a flush is complete without it."""
    calls = []

    class Holding(BaseCallbackHandler):
        def on_chain_end(self, outputs, **kwargs):
            calls.append("end")

        def flush(self, timeout):
            calls.append("flush")
            return 3

        def close(self):
            calls.append("close")

    Holding.delivery = delivery
    register("holding", Holding)
    step = RunnableLambda(abs)

    def outer(value):
        step.invoke(value)
        reload()
        return step.invoke(value)

    RunnableLambda(outer).invoke(-1, {"callbacks": ["holding"]})
    assert ["end", "flush", "close"] == calls[:3]
    calls.clear()
    report = flush(5)
    assert ((), True) == (report.late, report.is_complete)
    assert "flush" not in calls
    assert "close" not in calls
    reload()
    assert "close" not in calls
