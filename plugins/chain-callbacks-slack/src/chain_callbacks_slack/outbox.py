"""The outbox: messages wait in it for a thread of its own, so that no run waits for Slack.

The core's queued delivery will take its place.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias
from weakref import WeakSet

from .message import Message

log = logging.getLogger("chain_callbacks")

Send: TypeAlias = Callable[[Message], str | None]
"""Sends a message; returns why Slack did not take it, None where it did."""

EXIT_TIMEOUT: Final = 5.0
"""Seconds that a process waits at its end for what is not sent yet."""


class Outbox:
    """Sends messages in their order; its thread lives while there is something to send.

    *connect* is called on that thread before the first message. At most *capacity* messages wait;
    what comes then is dropped, counted and told. In a child process after a fork it is empty: the
    parent sends what it had.
    """

    def __init__(self, connect: Callable[[], Send], *, capacity: int = 1_000) -> None:
        self._connect = connect
        self._capacity = capacity
        self._reset()

    def _reset(self) -> None:
        # Reentrant: a signal's handler may fail a run while its thread is in here.
        self._lock = threading.RLock()
        self._waiting: deque[Message] = deque()
        self._worker: threading.Thread | None = None
        self._send: Send | None = None
        self._reasons: set[str] = set()
        self._failed = self._dropped = 0

    def put(self, message: Message) -> None:
        """Leave *message* to be sent, at once and without an answer."""
        with self._lock:
            is_full = len(self._waiting) >= self._capacity
            self._dropped += is_full
            is_first = is_full and self._dropped == 1
            if not is_full:
                self._waiting.append(message)
                if self._worker is None:
                    self._start()
        if is_first:
            log.warning(
                "The slack handler drops messages: %d wait for Slack, which takes them too slowly. "
                "More that are dropped are counted, not logged.",
                self._capacity,
            )

    def _start(self) -> None:
        _outboxes.add(self)
        _watch_process()
        worker = threading.Thread(target=self._work, name="chain-callbacks-slack", daemon=True)
        worker.start()
        self._worker = worker  # The thread waits for the lock until this is done.

    def _work(self) -> None:
        this = threading.current_thread()
        while True:
            with self._lock:
                if self._worker is not this:
                    return  # It was given up.
                if not self._waiting:
                    self._worker = None
                    return
                message = self._waiting[0]
            reason = self._why_unsent(message)
            with self._lock:
                if self._worker is not this:
                    return
                self._waiting.popleft()
                self._failed += reason is not None
                is_new = reason is not None and reason not in self._reasons
                if reason is not None:
                    self._reasons.add(reason)
            if is_new:
                log.warning(
                    "The slack handler could not send a message: %s. The run is not affected; more "
                    "failures of this sort are counted, not logged.",
                    reason,
                )

    def _why_unsent(self, message: Message) -> str | None:
        try:
            if self._send is None:
                self._send = self._connect()
            return self._send(message)
        except BaseException as error:
            # Classes alone: the text may hold the URL or the token, and so may the frames.
            cause = getattr(error, "reason", None)
            why = f" ({type(cause).__name__})" if isinstance(cause, BaseException) else ""
            return type(error).__name__ + why

    def close(self, timeout: float = EXIT_TIMEOUT) -> None:
        """Wait until all is sent, *timeout* seconds at most; give up the rest and say so.

        An interrupt ends the waiting. A message that comes later is sent all the same.
        """
        worker = self._worker
        try:
            if worker is not None:
                worker.join(timeout)
        finally:
            self._give_up()

    def _give_up(self) -> None:
        with self._lock:
            counts = {
                "not sent in time": len(self._waiting),
                "dropped": self._dropped,
                "not taken": self._failed if self._failed > len(self._reasons) else 0,
            }
            self._waiting.clear()
            self._worker = None
            self._reasons.clear()
            self._failed = self._dropped = 0
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        if told:
            log.warning("The slack handler lost messages: %s.", told)


_outboxes: Final[WeakSet[Outbox]] = WeakSet()
"""Those that ever had something to send; one that still has is kept alive by its thread."""


@functools.cache
def _watch_process() -> None:
    """See to the end of this process and to its children, from the first message on."""
    atexit.register(_close_all)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_reset_all)


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_TIMEOUT
    for outbox in list(_outboxes):
        outbox.close(max(0.0, deadline - time.monotonic()))


def _reset_all() -> None:
    for outbox in list(_outboxes):
        outbox._reset()
