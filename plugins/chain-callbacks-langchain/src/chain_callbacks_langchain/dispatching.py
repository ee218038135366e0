"""What LangChain's dispatch is doing while it calls a handler: whom else it tells, and if it waits.

A LangChain handler is told of an event, and not of the list that it stands in; and one object is
called by synchronous and by asynchronous managers alike. Both are read from the calling frame.
Where LangChain's dispatch is not found there, the answer is the modest one: nobody else, no.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import CodeType, FrameType
from typing import Any, Final

from langchain_core.callbacks import manager as langchain_manager

_FARTHEST: Final = 8


def _code_of(name: str) -> CodeType | None:
    return getattr(getattr(langchain_manager, name, None), "__code__", None)


_TELLING: Final = frozenset(filter(None, map(_code_of, ("handle_event", "ahandle_event"))))
_WAITING: Final = _code_of("_ahandle_event_for_handler")


def is_waited_for() -> bool:
    """Tell whether whoever asks our caller for something is LangChain's asynchronous dispatch."""
    return sys._getframe(2).f_code is _WAITING


def told_beside() -> Sequence[Any]:
    """Return the handlers that LangChain tells of the event that is being told, in its order."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_FARTHEST):
        if frame is None:
            break
        if frame.f_code in _TELLING:
            handlers: Sequence[Any] = frame.f_locals.get("handlers", ())
            return handlers
        frame = frame.f_back
    return ()
