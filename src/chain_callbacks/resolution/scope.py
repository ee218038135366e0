"""The scope that the calling code is in: its manager, and handlers attached to a block of it."""

from __future__ import annotations

from typing import Any

from ..context import Attached, current, here
from ..dispatch.around import manager_around
from ..dispatch.manager import CallbackManager
from .resolver import enter
from .sources import Attachments


def current_manager() -> CallbackManager:
    """Return the manager of the code that calls: for what is started by hand, and other threads.

    Inside a run its child manager, with what was attached since; outside of one, that of the
    environment. Pass it on as ``config={"callbacks": current_manager()}``.
    """
    return enter(None, None) or manager_around()


class attached:  # noqa: N801  It is used as a function.
    """Attach handlers, by name or object, to all runs that start in a ``with`` block.

    They come after those of the environment, or after what is inherited where a run is around.
    Names and objects are checked on entering.

    Raises:
        ChainCallbacksError: One of them cannot be used.
    """

    def __init__(self, *callbacks: Any) -> None:
        self._attachments = Attachments(callbacks, "attached()")

    def __enter__(self) -> None:
        scope = Attached(here(), self._attachments, current.get())
        token = current.set(scope)
        try:
            enter(None, None)
        except BaseException:
            current.reset(token)
            raise

    def __exit__(self, *_: object) -> None:
        # No token is kept: one object may be entered by many threads and tasks at once.
        scope = current.get()
        if isinstance(scope, Attached) and scope.entries is self._attachments:
            current.set(scope.before)
