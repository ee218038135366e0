"""An open HTTP response that tells its call how it is read, and is otherwise what it was."""

from __future__ import annotations

import functools
from typing import Any, Final

from .calls import Call, sending

_CALL: Final = "__chain_callbacks_call__"


def attach(response: Any) -> None:
    """Have the call that is being sent observe *response*, or take its body if it was read."""
    call = sending.get()
    if call is None or response is None or not response.is_success:
        return
    if response.is_closed:
        call.take(response.content)
        return
    call.keep_open()
    vars(response)[_CALL] = call
    own: Any = type(response)
    response.__class__ = _watched_kind(own)


def call_of(response: Any) -> Call | None:
    """Return the call that observes *response*; None if none does."""
    # A test's stand-in for a response may have no attributes of its own.
    return getattr(response, "__dict__", {}).get(_CALL)


@functools.cache
def _watched_kind(kind: Any) -> type:
    """Return the class that a response of *kind* has until it is closed.

    A class, and not attributes that know the response: these would make a cycle, and the collector
    would close a stream that was dropped at some later time, instead of at once.
    """
    base: Any = kind

    class Watched(base):  # type: ignore[misc]
        def close(self) -> None:
            super().close()
            call = _restored(self, kind)
            if call is not None:
                call.close()

        async def aclose(self) -> None:
            await super().aclose()
            call = _restored(self, kind)
            if call is not None:
                await call.aclose()

        def iter_bytes(self, *args: Any, **kwargs: Any) -> Any:
            return _observed(self, super().iter_bytes(*args, **kwargs))

        def aiter_bytes(self, *args: Any, **kwargs: Any) -> Any:
            return _observed(self, super().aiter_bytes(*args, **kwargs))

        def __reduce_ex__(self, protocol: Any) -> Any:
            return _as_own(kind, super().__reduce_ex__(protocol))

    watched: type = Watched
    watched.__name__, watched.__qualname__ = kind.__name__, kind.__qualname__
    watched.__module__ = kind.__module__
    return watched


def _observed(response: Any, received: Any) -> Any:
    call: Call = vars(response)[_CALL]
    is_events = "event-stream" in response.headers.get("content-type", "")
    return call.observe_bytes(received, is_events=is_events)


def _restored(response: Any, kind: type) -> Call | None:
    """Give *response* its own class again; return its call, to the first who closes it."""
    response.__class__ = kind
    call: Call | None = vars(response).pop(_CALL, None)
    return call


def _as_own(kind: type, reduced: Any) -> Any:
    """Return how a response is copied or pickled, which may fail as it would without us."""
    # Pickle refuses the usual maker for a class that is not the object's.
    _, _, state, *rest = reduced
    return (object.__new__, (kind,), {k: v for k, v in state.items() if k != _CALL}, *rest)
