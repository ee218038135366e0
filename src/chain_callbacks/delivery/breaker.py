"""A circuit breaker: a handler that keeps failing is left alone for a while."""

from __future__ import annotations

from typing import Final


class Breaker:
    """Holds back from a handler that keeps failing: *patience* failures in a row open it.

    After a pause, in seconds, one attempt is made; each that fails doubles the pause.
    """

    __slots__ = ("_failures", "_patience", "pause", "until")

    SHORTEST: Final = 1.0
    LONGEST: Final = 60.0

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the handler failed too often in a row, and has not succeeded since."""
        return self._failures >= self._patience

    @property
    def has_failed(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def close(self) -> None:
        """Note a success."""
        self._failures = 0
        self.pause = 0.0
        self.until = 0.0

    def fail(self, now: float) -> None:
        """Note a failure; *now* is in seconds, by the clock that ``wait`` is asked with."""
        self._failures += 1
        if self.is_open:
            self.pause = min(max(self.SHORTEST, self.pause * 2), self.LONGEST)
            self.until = now + self.pause

    def wait(self, now: float) -> float:
        """Return the seconds until an attempt may be made; 0 where one may be made now."""
        return max(0.0, self.until - now) if self.is_open else 0.0
