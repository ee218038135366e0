"""The handler: errors of root runs become messages, which the core's worker has it send."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from chain_callbacks import BaseCallbackHandler

from .digest import Digest, Pending
from .failure import Failure
from .sending import RefusedError, SendingError, UnreachableError, Way
from .settings import SlackSettings

log = logging.getLogger("chain_callbacks")

_PAUSE: Final = 1.0
"""Seconds between two messages: what a channel of Slack takes."""
_AT_THE_END: Final = 5
"""Groups that a flush tells one by one; the rest it tells in one message."""
_REASONS_LOGGED: Final = 20


class SlackHandler(BaseCallbackHandler):
    """Sends a message for a root run that fails, and digests for more failures of its sort.

    A message has names, the class of the error, times and ids: no text of an exception, no input
    and no output. There is none for a run that was cancelled or paused.

    Args:
        settings: Where messages go, and how often there is a digest.
        clock: Seconds that only grow; for tests.
        sleep: Waits for as many seconds, in ``flush`` alone; for tests.
    """

    settings_model = SlackSettings
    sends_to = "Slack"
    content = "none"
    delivery = "queued"

    def __init__(
        self,
        settings: SlackSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._reasons: set[str] = set()
        self.after_fork()

    def after_fork(self) -> None:
        """Forget, in a child process, what the parent will send, and make new locks."""
        # Reentrant: a signal's handler may fail a run while its thread is in here.
        self._lock = threading.RLock()
        self._sending = threading.Lock()
        self._way = Way(self._settings)
        self._digest = Digest(
            window=self._settings.digest_seconds,
            clock=self._clock,
            service=self._settings.service,
        )
        self._next_at = self._asked_until = self._clock()

    def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        name: str | None = None,
        status: str = "error",
        started: datetime | None = None,
        duration: float | None = None,
        error_id: UUID | None = None,
        origin: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        if parent_run_id is not None or status != "error":
            return
        failed_at = datetime.now(UTC)
        if started is not None and duration is not None:
            failed_at = started + timedelta(seconds=duration)  # It waited in the queue since.
        failure = Failure.of(
            name=name or "run",
            error_class=type(error).__name__,
            origin=origin,
            run_id=run_id,
            error_id=error_id,
            failed_at=failed_at,
            duration=duration,
        )
        with self._lock:
            self._digest.add(failure)

    on_llm_error = on_chain_error
    on_tool_error = on_chain_error
    on_retriever_error = on_chain_error
    on_embeddings_error = on_chain_error

    def deliver(self) -> float | None:
        """Send the message that is due for longest; return the seconds until the next may be sent.

        Raises:
            UnreachableError: Slack was not reached; the message is kept for the next call.
            RefusedError: Slack will never take the message, which is dropped.
        """
        if not self._sending.acquire(blocking=False):
            return _PAUSE  # A flush is sending everything.
        try:
            if self._clock() >= self._next_at:
                with self._lock:
                    pending = self._digest.take()
                if pending is not None:
                    self._send(pending, self._settings.timeout)
            with self._lock:
                seconds = self._digest.seconds_left()
            return None if seconds is None else max(seconds, self._next_at - self._clock())
        finally:
            self._sending.release()

    def flush(self, timeout: float) -> int:
        """Send all that is held within *timeout* seconds; return how many messages are left.

        It does not keep to one message a second, but to what Slack asks for. Where many sorts of
        failures are held, it tells most of them in one message. What is left is kept.

        Raises:
            RefusedError: Nothing is left, and Slack will never take some message that was.
        """
        deadline = self._clock() + timeout
        if timeout <= 0 or not self._sending.acquire(timeout=timeout):
            return self._count()
        try:
            return self._flush(deadline)
        finally:
            self._sending.release()

    def _flush(self, deadline: float) -> int:
        refused: RefusedError | None = None
        with self._lock:
            self._digest.fold(_AT_THE_END)
        while True:
            wait = max(0.0, self._asked_until - self._clock())
            left = deadline - self._clock() - wait
            if left <= 0 or not self._count():
                break
            if wait:
                self._sleep(wait)
            with self._lock:
                pending = self._digest.take(is_all=True)
            if pending is None:
                break
            try:
                self._send(pending, min(left, self._settings.timeout))
            except RefusedError as error:
                refused = error
            except UnreachableError:
                break
        left = self._count()
        if refused is not None and not left:
            raise refused
        return left

    def _count(self) -> int:
        with self._lock:
            return len(self._digest)

    def _send(self, pending: Pending, timeout: float) -> None:
        is_held = True
        try:
            seconds = self._way.send(pending.message, timeout)
            is_held = seconds > 0
            self._asked_until = self._clock() + seconds
        except SendingError as error:
            is_held = isinstance(error, UnreachableError)
            self._say(str(error))
            raise
        finally:
            self._next_at = max(self._asked_until, self._clock() + _PAUSE)
            with self._lock:
                (self._digest.give_back if is_held else self._digest.settle)(pending)

    def _say(self, reason: str) -> None:
        # The core logs the class of what is raised, and no text: the reason is ours to tell.
        if reason not in self._reasons and len(self._reasons) < _REASONS_LOGGED:
            self._reasons.add(reason)
            log.warning(
                "The slack handler could not send a message: %s. The run is not affected; more "
                "failures of this sort are counted, not logged.",
                reason,
            )

    def close(self) -> None:
        """Let go of the way to Slack; a message that comes later makes a new one."""
        self._way = Way(self._settings)
