"""Queued delivery: a handler's own bounded queue, and the worker thread that empties it.

The worker starts with the first event and ends when its handler is gone. While there is nothing to
do it holds neither the handler nor its queue.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from inspect import isawaitable, iscoroutinefunction
from typing import Any, ClassVar, Final
from weakref import WeakValueDictionary

from ..context import SUPPRESSED, current
from ..forks import in_child
from ..handler import BaseCallbackHandler, RunFacts
from ..loops import load
from ..policies import Manner
from ..sink import Sink
from .backlog import Backlog
from .breaker import Breaker
from .counters import HAS_GIL, Counters
from .failures import count, count_elsewhere
from .loop_thread import loop_thread
from .options import options
from .threads import call_in_thread, reserve, start

log = logging.getLogger("chain_callbacks")

PATIENCE: Final = 5
"""Failures in a row after which a handler is left alone for a while."""
WARNING_INTERVAL: Final = 60.0
"""Seconds between two warnings of one handler that its queue is full."""
LONGEST_SILENCE: Final = 1.0
"""Seconds after which ``deliver`` is called though events keep coming."""
LINGERING: Final = 0.005
"""Seconds that an idle worker waits before it sleeps; waking it for each event is expensive."""
SHORTEST_REST: Final = 0.01
"""Seconds between two calls of ``deliver`` at least, whatever it returns."""
LONGEST_REST: Final = 3_600.0
"""Seconds at most: a thread cannot wait for as long as a number may say."""


Event = tuple[RunFacts, tuple[Any, ...], Mapping[str, Any]]
"""What a sink is called with: a run, the event's positional arguments and its keywords."""


class Flush:
    """A request to send everything that was issued until now; *done* is set when that is over.

    *left* is how many things the handler says it could not send.
    """

    __slots__ = ("deadline", "done", "is_given_up", "left", "until")

    def __init__(self, until: int, deadline: float) -> None:
        self.until = until
        self.deadline = deadline
        self.done = threading.Event()
        self.left = 0
        self.is_given_up = False


class Channel:
    """The queue of one handler and its worker; made by ``channel_of``."""

    send_at_once: ClassVar[Callable[[Channel], None] | None] = None
    """Sends what is put on a queue after the end of the process, which sets it."""

    def __init__(
        self, handler: object, counters: Counters, manner: Manner, overrides: frozenset[str]
    ) -> None:
        self.handler = handler
        self.counters = counters
        self.limits = manner
        self._delivers = "deliver" in overrides
        self._flushes = "flush" in overrides
        self._minds_forks = "after_fork" in overrides
        if any(iscoroutinefunction(getattr(handler, name, None)) for name in ("flush", "close")):
            load()
        self.is_closed = False
        self._reset()

    def _reset(self) -> None:
        # Reentrant: a signal's handler may run a chain while its thread is in here.
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._bell = threading.Event()
        self._backlog = Backlog(self.limits.queue_records, self.limits.queue_bytes)
        self._requests: list[Flush] = []
        self._worker: threading.Thread | None = None
        self._telling = Breaker(PATIENCE)
        self._sending = Breaker(1)
        self._due_at: float | None = None
        self._is_in_hand = self._is_busy = self._is_lingering = False
        self._warned_at: float | None = None
        self._unwarned = self._waiting = 0
        self._pid = os.getpid()

    @property
    def name(self) -> str:
        """The name of the handler."""
        return self.counters.name

    @property
    def pending(self) -> int:
        """How many events wait, the one that is being told included."""
        return len(self._backlog) + self._is_in_hand

    @property
    def let_go(self) -> int:
        """How much the handler says that it took and could not send."""
        try:
            return int(self.handler.dropped) if isinstance(self.handler, BaseCallbackHandler) else 0
        except Exception:  # Whatever it does to be counted: the others' counts are told.
            return 0

    @property
    def is_paused(self) -> bool:
        """Whether the handler failed so often that it is left alone for a while."""
        return self._telling.is_open or self._sending.is_open

    def put(self, sink: Sink, rank: int, event: Event, size: int, seconds: float = 0.0) -> None:
        """Leave an event to be told; wait for room for *seconds* at most."""
        if self.is_closed:
            self.counters.add(dropped=1)
            return
        if self._pid != os.getpid():
            self._reset()  # A fork that no hook of Python's was told of.
        with self._lock:
            if (
                seconds
                and size <= self._backlog.size  # Else it is waited for in vain.
                and not self._backlog.has_room(size)
                and threading.current_thread() is not self._worker
            ):
                self._waiting += 1
                try:
                    self._room.wait_for(lambda: self._backlog.has_room(size), seconds)
                finally:
                    self._waiting -= 1
            dropped = self._backlog.put(rank, size, (sink, event))
            self._wake()
        if dropped:
            self._dropped(dropped)
        if Channel.send_at_once is not None:
            Channel.send_at_once(self)

    def _wake(self, *, is_urgent: bool = False) -> None:
        if not self._is_busy:
            # What waits holds the channel, and the channel holds what waits: the worker does not.
            self._is_busy = True
            _busy.add(self)
        if self._worker is None:
            self.start()
        if (is_urgent or not self._is_lingering) and not self._bell.is_set():
            self._bell.set()

    def limit(self, manner: Manner) -> None:
        """Hold what is put from now on to the bounds of *manner*."""
        with self._lock:
            self.limits = manner
            self._backlog.records, self._backlog.size = manner.queue_records, manner.queue_bytes
            self._room.notify_all()

    def start(self) -> None:
        """Start the worker, if the interpreter still starts threads."""
        bell = self._bell
        reference = weakref.ref(self, lambda _: bell.set())
        worker = threading.Thread(
            target=_work, args=(reference, bell), name=f"chain-callbacks-{self.name}", daemon=True
        )
        self._worker = worker
        if not start(worker):
            self._worker = None

    def _dropped(self, dropped: int) -> None:
        self.counters.add(dropped=dropped)
        now = time.monotonic()
        with self._lock:
            self._unwarned += dropped
            if self._warned_at is not None and now - self._warned_at < WARNING_INTERVAL:
                return
            self._warned_at, unwarned, self._unwarned = now, self._unwarned, 0
        log.warning(
            "The queue of the handler %s is full: %d events were dropped, tokens first, ends and "
            "errors last. It is told too slowly, or not at all; raise its settings queue_records "
            "(%d) and queue_bytes (%d) if it will catch up.",
            self.name,
            unwarned,
            self.limits.queue_records,
            self.limits.queue_bytes,
        )

    def deliver_here(self) -> None:
        """Have the handler send what is due, on the caller's thread: where nothing is queued."""
        if self._delivers and self._is_due(now := time.monotonic()):
            self._send(now)

    def request_flush(self, deadline: float, *, in_thread: bool = False) -> Flush | None:
        """Ask for everything to be sent; None if there is nothing to send.

        *deadline* is a time of ``time.monotonic``. At the end of the process it is sent *in_thread*
        whatever the settings say, so that a handler that hangs does not hold it.
        """
        if self.is_held_here():
            # A signal's handler asks, on top of what it interrupted: the worker waits for that.
            request = Flush(self._backlog.last(), deadline)
            request.is_given_up = True
            request.done.set()
            return request
        with self._lock:
            is_told = self._worker is not None or self.limits.delivery == "inline"
            is_needed = self.pending or (is_told and (self._delivers or self._flushes))
            is_inside = threading.current_thread() is self._worker or _telling.get() is self._bell
            if is_inside or not is_needed:
                return None  # It would wait for itself.
            request = Flush(self._backlog.last(), deadline)
            # Whoever asked before has gone where its time is over: a stuck handler gathers none.
            now = time.monotonic()
            self._requests = [each for each in self._requests if each.deadline > now]
            self._requests.append(request)
            is_alone = options.is_inline and self._worker is None and not in_thread
            if not is_alone:
                self._wake(is_urgent=True)
            worker = self._worker
        if is_alone or (worker is None and not call_in_thread(self.work, self.name)):
            self.work()  # Nothing is to be done in threads, or the interpreter starts no more.
        return request

    def is_held_here(self) -> bool:
        """Tell whether this thread has interrupted itself in here, where the worker needs to be."""
        return self._room._is_owned() or self.counters.is_held_here()  # type: ignore[attr-defined]

    def work(self) -> float | None:
        """Do what there is to do; return the seconds until there is more, None if nothing is held.

        Only the worker calls it, or who finds that there can be none.
        """
        told = 0.0
        while True:
            # What is told by the thousand is asked for the time only where that matters.
            now = time.monotonic() if self._delivers or self._telling.is_open else 0.0
            with self._lock:
                request = self._requests[0] if self._requests else None
                if request is None and (wait := self._telling.wait(now)):
                    return wait
                item = (
                    self._backlog.take() if request is None else self._backlog.take(request.until)
                )
                self._is_in_hand = item is not None
                if item is None and request is not None:
                    self._requests.remove(request)
                elif self._waiting:
                    self._room.notify_all()
            if item is not None:
                self._tell(*item)
                told = told or now
                if now - told > LONGEST_SILENCE and self._is_due(now):
                    self._send(now)
                    told = now
            elif request is not None:
                self._flush(request)
            elif self._delivers and self._is_due(now):
                return self._rest(self._send(now))
            else:
                return self._rest(None if self._due_at is None else max(0.0, self._due_at - now))

    def _rest(self, seconds: float | None) -> float | None:
        with self._lock:
            if len(self._backlog) or self._requests:
                return 0.0
            if seconds is None:
                self._is_busy = False
                _busy.discard(self)
        return seconds

    def leave_off_lingering(self) -> bool:
        """Tell whether nothing came meanwhile; from now on the worker is woken for what comes."""
        with self._lock:
            self._is_lingering = False
            return not self._is_busy

    def _tell(self, sink: Sink, event: Event) -> None:
        if sink.handler_id in event[0].detached:
            self._is_in_hand = False  # It failed after this was put here.
            return
        try:
            result = sink.tell(*event)
            if result is not None and isawaitable(result):
                loop_thread.run(result)
        except BaseException as error:
            count(sink, event[0], error)
            self._telling.fail(time.monotonic())
            if self._telling.is_open:
                self._give_up_flushes()
        else:
            if HAS_GIL:
                sink.counters.delivered += 1
            else:
                sink.counters.add(delivered=1)
            if self._telling.has_failed:
                self._telling.close()
        self._is_in_hand = False

    def _is_due(self, now: float) -> bool:
        return self._delivers and not self._sending.wait(now)

    def _send(self, now: float) -> float | None:
        handler: Any = self.handler
        seconds: float | None
        try:
            seconds = handler.deliver()
            if seconds is not None:
                seconds = min(max(SHORTEST_REST, float(seconds)), LONGEST_REST)
        except BaseException as error:
            count_elsewhere(self.counters, "deliver", error)
            self._sending.fail(now)
            seconds = self._sending.pause
        else:
            self._sending.close()
        self._due_at = None if seconds is None else time.monotonic() + seconds
        return seconds

    def _flush(self, request: Flush) -> None:
        if self._flushes:
            handler: Any = self.handler
            try:
                left = handler.flush(max(0.0, request.deadline - time.monotonic()))
                if left is not None and isawaitable(left):
                    left = loop_thread.run(left)
            except BaseException as error:
                count_elsewhere(self.counters, "flush", error)
                request.is_given_up = True
            else:
                request.left = left if isinstance(left, int) else 0
        elif self._delivers:
            # It has no other way to send; what it still holds then is not sent.
            request.is_given_up = self._send(time.monotonic()) is not None
        request.done.set()

    def _give_up_flushes(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, []
        for request in requests:
            request.is_given_up = True
            request.done.set()

    def after_fork(self) -> None:
        """Forget what the parent will send."""
        self._reset()
        if self._minds_forks:
            handler: Any = self.handler
            try:
                handler.after_fork()
            except Exception as error:
                count_elsewhere(self.counters, "after_fork", error)


_telling: Final[ContextVar[threading.Event | None]] = ContextVar(
    "chain_callbacks_telling", default=None
)
"""The bell of the worker that called the code that runs now, also where that is asynchronous."""


def _work(reference: Callable[[], Channel | None], bell: threading.Event) -> None:
    current.set(SUPPRESSED)
    _telling.set(bell)
    while True:
        bell.clear()
        channel = reference()
        if channel is None or channel._bell is not bell:
            return
        try:
            seconds = channel.work()
        except BaseException:
            # A failure of ours, since a handler's end in there; the worker goes on.
            log.exception("The worker of the handler %s failed.", channel.name)
            seconds = LONGEST_SILENCE
        if seconds is None:
            channel._is_lingering = True
            del channel
            bell.wait(LINGERING)
            channel = reference()
            if channel is None:
                return
            if not channel.leave_off_lingering():
                continue
            del channel
        bell.wait(seconds)


# Reentrant: SIGTERM may have everything flushed while its thread is in here.
_lock = threading.RLock()
_channels: Final[WeakValueDictionary[int, Channel]] = WeakValueDictionary()
_busy: Final[set[Channel]] = set()
_holding: Final[dict[Channel, None]] = {}

HELD: Final = 64
"""Handlers that may hold something back, and are remembered though nobody listens any more."""


def channel_of(
    handler: object, counters: Counters, manner: Manner, overrides: frozenset[str]
) -> Channel:
    """Return the channel of *handler*, the same at each call while one holds it.

    *overrides* names the methods of a handler's life that do something. Of several manners the
    last one that queues says what the bounds are.
    """
    with _lock:
        channel = _channels.get(id(handler))
        if channel is None:
            # It holds the handler, so that no other one gets this id.
            channel = _channels[id(handler)] = Channel(handler, counters, manner, overrides)
            if not options.is_inline:
                reserve.fill()
        elif manner.delivery == "queued" and manner != channel.limits:
            channel.limit(manner)
    if not overrides.isdisjoint(("flush", "after_fork")):
        _remember(channel)
    return channel


def _remember(channel: Channel) -> None:
    """Hold the channel of a handler that is to be flushed, or told of a fork, later.

    The chain that it was passed to may be gone by then. Of handlers that are made for one request
    each, an older one sends what it holds and is let go.
    """
    with _lock:
        _holding.pop(channel, None)
        _holding[channel] = None
        oldest = next(iter(_holding)) if len(_holding) > HELD else None
        if oldest is not None:
            del _holding[oldest]
    if oldest is not None:
        oldest.request_flush(time.monotonic() + options.exit_timeout)


def forget(handler: object) -> None:
    """Never flush *handler* again, nor tell it of a fork: it was closed.

    What a run that goes on has for it is counted as dropped.
    """
    with _lock:
        channel = _channels.pop(id(handler), None)
        if channel is not None:
            channel.is_closed = True
            _holding.pop(channel, None)
            _busy.discard(channel)


def channels() -> list[Channel]:
    """Return the channels of all handlers that are listened to."""
    with _lock:
        return list(_channels.values())


@in_child
def _renew() -> None:
    global _lock  # noqa: PLW0603  The parent's may be held by a thread that is not here.
    _lock = threading.RLock()
    _busy.clear()
    for channel in channels():
        channel.after_fork()
