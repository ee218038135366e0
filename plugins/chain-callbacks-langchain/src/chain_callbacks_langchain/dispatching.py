"""What LangChain is doing while it calls us: whom else it tells, if it waits, for which model.

A LangChain handler is told of an event, and not of the list that it stands in; and one object is
called by synchronous and by asynchronous managers alike. Both are read from the calling frame.
Where LangChain's dispatch is not found there, the answer is the modest one: nobody else, no. Which
of its models calls a client is in no context at all: it stands in the frames of that model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import CodeType, FrameType
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseRunManager,
    CallbackManagerForLLMRun,
)
from langchain_core.callbacks import manager as langchain_manager

_FARTHEST: Final = 8
_OF_MODELS: Final = (CallbackManagerForLLMRun, AsyncCallbackManagerForLLMRun)


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


def model_run_id() -> UUID | None:
    """Return the id of the model's run that the calling code answers for; None where it is of none.

    The innermost of LangChain's runs tells, which may be a tool's inside of a model's.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if "run_manager" in frame.f_code.co_varnames:
            found = frame.f_locals.get("run_manager")
            if isinstance(found, BaseRunManager):
                is_model = isinstance(found, _OF_MODELS)
                return found.run_id if is_model else None
        frame = frame.f_back
    return None
