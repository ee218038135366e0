"""The end of a named handler: what is queued for it is told, then it is closed."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping

from ..delivery.flush import flush_handlers
from ..delivery.loop_thread import loop_thread
from ..delivery.queue import forget

log = logging.getLogger("chain_callbacks")


def retire(handlers: Mapping[str, object]) -> None:
    """Tell handlers what is queued for them, and close them; *handlers* has them by name."""
    if handlers:
        late = flush_handlers(handlers.values()).late
        for name in late:
            log.warning("The handler %s is closed, and did not send everything before.", name)
    close(handlers)


def close(handlers: Mapping[str, object]) -> None:
    """Close handlers, each in isolation; they are never flushed or closed again."""
    interrupt: KeyboardInterrupt | None = None
    for name, handler in handlers.items():
        forget(handler)
        method = getattr(handler, "close", None)
        if not callable(method):
            continue
        try:
            closed = method()
            if inspect.isawaitable(closed):
                loop_thread.run(closed)
        except KeyboardInterrupt as error:
            interrupt = error  # The others are closed all the same.
        except BaseException as error:
            log.warning("Closing the handler %s failed with %s.", name, type(error).__name__)
    if interrupt is not None:
        raise interrupt
