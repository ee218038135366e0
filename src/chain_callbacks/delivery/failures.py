"""Where a handler's exceptions end: logged once with where it was, then counted."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ..forks import no_fork
from ..handler import RunFacts
from ..loops import is_cancellation
from ..sink import Sink
from .counters import Counters, all_counters

log = logging.getLogger("chain_callbacks")


def _handle(record: logging.LogRecord, handle: Callable[[logging.LogRecord], None]) -> None:
    with no_fork():  # The program's handlers write to its streams.
        handle(record)


log.handle = partial(_handle, handle=log.handle)  # type: ignore[method-assign]


def _passes_through(error: BaseException | None) -> bool:
    return isinstance(error, KeyboardInterrupt) or is_cancellation(error)


def note(
    sink: Sink, run: RunFacts, error: BaseException, leaving: BaseException | None
) -> BaseException | None:
    """Deal with what *sink* raised; return what shall leave once the other sinks were told.

    Only an interrupt, a cancellation or the exception of a handler that asked for it leaves the
    run. Any other BaseException, ``SystemExit`` included, is a failure of the handler.
    """
    try:
        if _passes_through(error):
            # An interrupt beats what a handler raised on purpose.
            return leaving if _passes_through(leaving) else error
        if sink.on_error == "raise":
            return leaving or error
        count(sink, run, error)
    except RecursionError:
        # The stack of the program is full, and has no room for more than this.
        sink.counters.failed += 1
    return leaving


def count(sink: Sink, run: RunFacts, error: BaseException) -> None:
    """Count a failure and log the first; where the handler is to be detached, detach it."""
    if sink.on_error == "detach":
        run.detached.add(sink.handler_id)
    if sink.counters.add(failed=1) > 1:
        return
    after = "The run goes on; more failures of this handler are counted, not logged."
    if sink.on_error == "detach":
        after = "It gets no more events of this tree; more failures are counted, not logged."
    with suppress(RecursionError):
        _log(sink.counters.name, sink.event, error, after, shows_text=sink.shows_text)


def count_elsewhere(counters: Counters, method: str, error: BaseException) -> None:
    """Count a failure in a method that is told of no event; log the first of each handler."""
    if counters.add(failed=1) == 1:
        after = "Nothing else is affected; more failures of this handler are counted, not logged."
        _log(counters.name, method, error, after, shows_text=False)


def _log(name: str, where: str, error: BaseException, after: str, *, shows_text: bool) -> None:
    # The text of an exception, and of what it was raised from, may quote the payload: it is for
    # those who see the payload anyway. Where it was raised is for everybody.
    frames = traceback.format_tb(error.__traceback__)
    log.warning(
        "The handler %s failed in %s with %s. %s%s",
        name,
        where,
        type(error).__name__,
        after,
        "" if shows_text else "\n" + "".join(frames).rstrip(),
        exc_info=error if shows_text else None,
    )


def summarise() -> None:
    """Log how often each handler failed that failed more than once."""
    for counters in all_counters():
        if counters.failed > 1:
            log.warning("The handler %s failed %d times in all.", counters.name, counters.failed)
