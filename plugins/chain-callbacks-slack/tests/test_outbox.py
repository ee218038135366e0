"""The outbox: what is bounded, in order, dropped, given up, and left to the parent of a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from chain_callbacks_slack.message import Message
from chain_callbacks_slack.outbox import Outbox


def messages(count: int) -> list[Message]:
    return [Message(str(number), []) for number in range(count)]


class Held:
    """A way to send that waits until it is released."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.threads: set[str] = set()
        self.busy, self.release = threading.Event(), threading.Event()

    def send(self, message: Message) -> None:
        self.busy.set()
        assert self.release.wait(10)
        self.threads.add(threading.current_thread().name)
        self.sent.append(message)

    def connect(self) -> object:
        return self.send


def test_messages_are_sent_in_their_order_by_one_thread() -> None:
    """Whatever was put is sent, first come first served, off the caller's thread."""
    held = Held()
    outbox = Outbox(lambda: held.send)
    for message in messages(50):
        outbox.put(message)
    held.release.set()
    outbox.close()
    assert messages(50) == held.sent
    assert {"chain-callbacks-slack"} == held.threads


def test_full_outbox_drops_counts_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """What comes while it is full is dropped; one line says that, one more how many."""
    held = Held()
    outbox = Outbox(lambda: held.send, capacity=2)
    for message in messages(5):
        outbox.put(message)
    held.release.set()
    outbox.close()
    assert messages(2) == held.sent
    first, last = caplog.messages
    assert first.startswith("The slack handler drops messages: 2 wait for Slack")
    assert last == "The slack handler lost messages: 3 dropped."


def test_failing_connection_is_tried_again_for_each_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where connecting fails, the class of the error is logged, and nothing of its text."""
    held, tries = Held(), []
    held.release.set()

    def connect() -> object:
        tries.append(1)
        if len(tries) == 1:
            raise ImportError("c4n4ry")
        return held.send

    outbox = Outbox(connect)  # type: ignore[arg-type]
    for message in messages(3):
        outbox.put(message)
    outbox.close()
    assert messages(3)[1:] == held.sent
    assert len(tries) == 2
    (line,) = caplog.messages
    assert "could not send a message: ImportError. " in line


def test_worker_that_was_given_up_sends_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    """Once closed, it sends at most what it was just sending; the next message has its own turn."""
    held = Held()
    outbox = Outbox(lambda: held.send)
    for message in messages(3):
        outbox.put(message)
    assert held.busy.wait(10)
    stuck = [each for each in threading.enumerate() if each.name == "chain-callbacks-slack"]
    outbox.close(timeout=0)
    assert caplog.messages == ["The slack handler lost messages: 3 not sent in time."]
    outbox.put(Message("later", []))
    held.release.set()
    outbox.close()
    for thread in stuck:
        thread.join(10)
    assert sorted(message.text for message in held.sent) == ["0", "later"]


def test_interrupt_ends_the_waiting_and_says_what_is_lost(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C during close() leaves it at once; the line is logged all the same."""

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    held = Held()
    outbox = Outbox(lambda: held.send)
    outbox.put(Message("1", []))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            outbox.close()
    held.release.set()
    assert caplog.messages == ["The slack handler lost messages: 1 not sent in time."]


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


PRELUDE = """
import os, sys, threading
from chain_callbacks_slack.message import Message
from chain_callbacks_slack import outbox
gate = threading.Event()
def send(message):
    assert gate.wait(10)
    os.write(1, f"{who} {message.text}\\n".encode())
who, box = "parent", outbox.Outbox(lambda: send)
box.put(Message("1", []))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_child_of_a_fork_starts_empty_and_the_parent_sends_its_own() -> None:
    """What waits at a fork is sent once, by the parent; the child sends what it puts itself."""
    code = """
pid = os.fork()
if pid == 0:
    who = "child"
    gate.set()
    box.close()
    box.put(Message("2", []))
    box.close()
    os._exit(0)
os.waitpid(pid, 0)
gate.set()
"""
    # Python 3.12 warns of a fork beside threads: that is what is tried here.
    ended = run(PRELUDE + code, "-W", "ignore::DeprecationWarning")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("child 2\nparent 1\n", "", 0)


def test_end_of_the_process_waits_for_what_can_be_sent() -> None:
    """A program that ends by an exception sends its messages first, and keeps its exit code."""
    ended = run(PRELUDE + "import atexit; atexit.register(gate.set); raise ValueError('mine')")
    assert ended.stdout == "parent 1\n"
    assert ended.stderr.endswith("ValueError: mine\n")
    assert ended.returncode == 1


def test_end_of_the_process_gives_up_in_time_with_one_line() -> None:
    """A Slack that is stuck holds the process no longer than the timeout for all outboxes."""
    code = """
outbox.EXIT_TIMEOUT = 0.1
other = outbox.Outbox(lambda: send)
other.put(Message("2", []))
sys.exit(3)
"""
    ended = run(PRELUDE + code)
    assert ended.returncode == 3
    assert ended.stderr.splitlines() == ["The slack handler lost messages: 1 not sent in time."] * 2
