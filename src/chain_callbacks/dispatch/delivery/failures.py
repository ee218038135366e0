"""Where a handler's exceptions end: logged once with a traceback, then counted."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..routes import Sink

log = logging.getLogger("chain_callbacks")

_PASSES_THROUGH: Final = (KeyboardInterrupt, asyncio.CancelledError)

_lock = threading.Lock()
_failed: Counter[str] = Counter()


def note(sink: Sink, error: BaseException, leaving: BaseException | None) -> BaseException | None:
    """Deal with what *sink* raised; return what shall leave once the other sinks were told.

    Only an interrupt, a cancellation or the exception of a handler that asked for it leaves the
    run. Any other BaseException, ``SystemExit`` included, is a failure of the handler.
    """
    if isinstance(error, _PASSES_THROUGH):
        # An interrupt beats what a handler raised on purpose.
        return leaving if isinstance(leaving, _PASSES_THROUGH) else error
    if sink.raises:
        return leaving or error
    sink.counters.failed += 1
    name = sink.handler_name
    with _lock:
        _failed[name] += 1
        is_first = _failed[name] == 1
        if is_first and len(_failed) == 1:
            atexit.register(_summarise)
    if is_first:
        log.warning(
            "The handler %s failed in %s with %s. The run goes on; more failures of this handler "
            "are counted, not logged.",
            name,
            sink.event,
            type(error).__name__,
            exc_info=error,
        )
    return leaving


def failures() -> dict[str, int]:
    """Return how often each handler failed in this process, by the handler's name."""
    with _lock:
        return dict(_failed)


def reset(**_: Any) -> None:
    """Forget all failures, so that the next one of each handler is logged again."""
    with _lock:
        _failed.clear()


def _summarise() -> None:
    for name, count in failures().items():
        if count > 1:
            log.warning("The handler %s failed %d times in all.", name, count)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  The parent's may be held by a thread that is not here.
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
