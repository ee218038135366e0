"""The counts of every handler: exact, and all that a failure leaves behind."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

import pytest

from chain_callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    flush,
    policy,
    stats,
)
from chain_callbacks.delivery import counters, inline
from chain_callbacks.testing import RecordingHandler

from .conftest import PATIENCE, Queued, chain, flushed


def test_stats_tell_what_was_delivered_failed_dropped_and_waits(gate):
    """One row a name, each number what a handler itself can count."""

    class Half(Queued):
        def on_event(self, record: Any) -> None:
            super().on_event(record)
            if record.name == "on_chain_end":
                raise ValueError

    inline_handler, handler = RecordingHandler(), Half(gate)
    manager = CallbackManager([inline_handler, policy(handler, queue_records=4)])
    chain(manager, 0)
    gate.wait_for_visitor()
    for number in range(5):
        chain(manager, number)

    found = stats()
    assert found["RecordingHandler"] == (12, 0, 0, 0, False)
    assert found[Half.__qualname__] == (0, 0, 7, 5, False)
    gate.open()
    flush(PATIENCE)
    assert stats()[Half.__qualname__] == (1, 4, 7, 0, False)
    assert len(handler.heard) == 5


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("has_gil", [True, False])
def test_counts_are_exact_with_eight_threads(monkeypatch, delivery, has_gil):
    """Every event of every thread is counted once, also where there is no GIL to rely on."""
    if has_gil and not counters.HAS_GIL:
        pytest.skip("this interpreter has none")
    monkeypatch.setattr(inline, "HAS_GIL", has_gil)

    class Told(BaseCallbackHandler):
        def on_text(self, text: str, **kwargs: Any) -> None:
            if text == "fail":
                raise ValueError

    run = CallbackManager([policy(Told(), delivery=delivery)]).on_chain_start({"name": "run"}, 1)
    barrier = threading.Barrier(8)

    def issue() -> None:
        barrier.wait(PATIENCE)
        for number in range(500):
            run.on_text("fail" if number % 10 == 9 and delivery == "inline" else "text")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=issue) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE)
    finally:
        sys.setswitchinterval(before)
    flushed()

    failed = 400 if delivery == "inline" else 0
    assert stats()[Told.__qualname__] == (4_000 - failed, failed, 0, 0, False)


def test_first_failure_is_logged_with_its_traceback_and_the_others_are_counted(caplog):
    """Ten thousand failures: one traceback, and a number."""
    caplog.set_level(logging.DEBUG, "chain_callbacks")

    class Fails(BaseCallbackHandler):
        def on_text(self, text: str, **kwargs: Any) -> None:
            raise ValueError(text)

    run = CallbackManager([Fails()]).on_chain_start({"name": "run"}, 1)
    for number in range(10_000):
        run.on_text(f"failure {number}")

    (said,) = caplog.records
    assert "failed in on_text with ValueError" in said.getMessage()
    assert said.exc_info is not None
    assert stats()[Fails.__qualname__].failed == 10_000
