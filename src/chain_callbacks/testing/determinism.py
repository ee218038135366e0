"""Runs whose ids and times are the same in every test run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from ..dispatch.identity import source
from ..forks import renew_in_child

_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0x2 << 62
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_START: Final = datetime(2030, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that goes on by a step whenever a run starts or ends, and when it is told to."""

    def __init__(self, start: datetime, step: float) -> None:
        self._start_ns = (start - _EPOCH) // timedelta(microseconds=1) * 1000
        self._step_ns = round(step * 1e9)
        self._passed_ns = 0
        self._ids = 0
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Have a lock of this process: in a forked child the parent's may be held forever."""
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        with self._lock:
            self._passed_ns += round(seconds * 1e9)

    def wall(self) -> int:
        """Return the time in nanoseconds since 1970; looking costs no time."""
        return self._start_ns + self._passed_ns

    def monotonic(self) -> float:
        """Return the seconds that have passed, one step included for looking."""
        with self._lock:
            self._passed_ns += self._step_ns
            return self._passed_ns / 1e9

    def make_id(self) -> UUID:
        """Return the next id: ``00000000-0000-7000-8000-000000000001`` is the first."""
        with self._lock:
            self._ids += 1
            return UUID(int=_VERSION_AND_VARIANT | self._ids)


@contextmanager
def deterministic(*, start: datetime = _START, step: float = 0.001) -> Iterator[FakeClock]:
    """Give runs ids that count from one, and times that depend on nothing but what happens.

    Each start and each end of a run takes *step* seconds, everything else none, so a run without
    nested ones has a duration of one step::

        with deterministic() as clock:
            chain.invoke(...)

    It holds for all threads of the process; what was there before comes back on leaving.

    Args:
        start: An aware time, at which the first run starts.
        step: Seconds.
    """
    clock = FakeClock(start, step)
    before = source.make_id, source.wall, source.monotonic
    source.make_id, source.wall, source.monotonic = clock.make_id, clock.wall, clock.monotonic
    try:
        yield clock
    finally:
        source.make_id, source.wall, source.monotonic = before
