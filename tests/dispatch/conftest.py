"""What the tests of delivery share: handlers that wait for the test, and clocks that it moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager, flush
from chain_callbacks.delivery import queue
from chain_callbacks.delivery.options import options
from chain_callbacks.delivery.queue import Channel
from chain_callbacks.dispatch.views import in_force
from chain_callbacks.redaction import DefaultRedactor

PATIENCE = 30.0
"""Seconds that a test waits for what takes milliseconds, before it says that it hangs."""


class Gate:
    """Where a handler stands until the test lets it go on."""

    def __init__(self) -> None:
        self.is_entered, self.is_open = threading.Event(), threading.Event()

    def enter(self) -> None:
        self.is_entered.set()
        assert self.is_open.wait(20 * PATIENCE)  # A soak issues a million events meanwhile.

    def wait_for_visitor(self) -> None:
        assert self.is_entered.wait(PATIENCE)

    def open(self) -> None:
        self.is_open.set()


class Queued(BaseCallbackHandler):
    """Keeps what it is told on its queue, as (event, first argument); stands at a gate if given."""

    delivery = "queued"

    def __init__(self, gate: Gate | None = None) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.gate = gate

    def on_event(self, record: Any) -> None:
        if self.gate is not None:
            self.gate.enter()
        payload = {name: each for name, each in record.payload.items() if name != "serialized"}
        self.heard.append((record.name, next(iter(payload.values()), None)))


class Told(Queued):
    """Has counts, and a worker, of its own name."""


class Other(Queued):
    """Has others."""


def chain(manager: CallbackManager, number: int, output: Any = None) -> None:
    """Issue the two events of one run."""
    with manager.run("chain", f"run {number}", number) as run:
        run.end(output)


def workers(name: str) -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == f"chain-callbacks-{name}"]


def flushed(timeout: float = PATIENCE) -> None:
    report = flush(timeout)
    assert report.is_complete, str(report)


class Clock:
    """Seconds, as many as the test says."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _own_options(isolated_callbacks: None) -> Iterator[None]:
    """Have what one test said, and left in queues, forgotten by the next."""
    yield
    for channel in queue.channels():
        bell, worker = channel._bell, channel._worker
        channel._reset()
        bell.set()  # Its worker finds another one in its place, and ends.
        if worker is not None:
            worker.join(PATIENCE)  # What it still tells is this test's, and counted as such.
    queue._channels.clear()
    queue._busy.clear()
    options.is_inline, in_force.redactor = False, DefaultRedactor()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open at the end of the test at the latest."""
    made = Gate()
    yield made
    made.open()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of queues."""
    made = Clock()
    monkeypatch.setattr(queue, "time", SimpleNamespace(monotonic=made))
    return made


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Callable[[CallbackManager], Channel]:
    """Queues without workers and with a clock: the channel of a manager, whose `work` is called."""
    monkeypatch.setattr(Channel, "start", lambda channel: None)

    def channel(manager: CallbackManager) -> Channel:
        found = manager.here.listeners[0].channel
        assert found is not None
        return found

    return channel
