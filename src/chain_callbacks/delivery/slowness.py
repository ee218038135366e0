"""Handlers that hold up an event loop: each is named once, with the remedy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ..sink import Sink
from .failures import log

LIMIT: Final = 0.05
"""Seconds that a synchronous handler may take on an event loop."""

clock: Callable[[], float] = time.perf_counter
"""Seconds; not the clock of runs, on which a test counts the looks."""

_warned: Final[set[str]] = set()


def warn(sink: Sink, seconds: float) -> None:
    """Say once of each handler that it held up an event loop for *seconds*."""
    if sink.counters.name in _warned:
        return
    _warned.add(sink.counters.name)
    log.warning(
        "The handler %s held up the event loop for %d ms in %s: it is synchronous and its caller "
        "is not. Set delivery=queued for it, or make its methods asynchronous.",
        sink.counters.name,
        round(seconds * 1000),
        sink.event,
    )


def clear() -> None:
    """Forget who was named."""
    _warned.clear()
