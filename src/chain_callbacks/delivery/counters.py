"""How often each handler was told, failed or missed something, by the handler's name."""

from __future__ import annotations

import sys
import threading
from typing import Final

from ..forks import in_child


class Counters:
    """The counts of one handler; those of one name share them.

    *name* is ``slack:audit`` for a handler that was named, its class for one that was passed.
    """

    __slots__ = ("delivered", "dropped", "failed", "lock", "name")

    def __init__(self, name: str = "") -> None:
        self.name = name
        # Reentrant: a signal's handler may run a chain while its thread is in here.
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin again at zero."""
        self.delivered = self.failed = self.dropped = 0

    def add(self, *, delivered: int = 0, failed: int = 0, dropped: int = 0) -> int:
        """Add to the counts, exactly, from any thread; return how often it has failed by now."""
        with self.lock:
            self.delivered += delivered
            self.failed += failed
            self.dropped += dropped
            return self.failed

    def is_held_here(self) -> bool:
        """Tell whether this thread has interrupted itself while it was counting."""
        return self.lock._is_owned()  # type: ignore[attr-defined, no-any-return]


HAS_GIL: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether ``counters.delivered += 1`` is exact: no thread is switched in the middle of it.

CPython with a GIL switches at calls and at the ends of loops only.
"""

_by_name: Final[dict[str, Counters]] = {}


def counters_of(name: str) -> Counters:
    """Return the counters of all handlers of that name."""
    return _by_name.get(name) or _by_name.setdefault(name, Counters(name))


def all_counters() -> tuple[Counters, ...]:
    """Return the counters of every name that was ever listened to."""
    return tuple(_by_name.values())


def clear() -> None:
    """Begin all counts again at zero."""
    for counters in all_counters():
        counters.clear()


@in_child
def _renew() -> None:
    for counters in all_counters():
        counters.lock = threading.RLock()
        counters.clear()
