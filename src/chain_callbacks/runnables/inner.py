"""Asynchronous generators that a stream of ours owns and closes itself, out of the loop's sight.

A loop that ends closes every asynchronous generator it has seen, all at once. Those inside a
stream would be closed under the hands of the one that reads them, which then meets "already
running", and its run ends in an error or not at all.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from types import AsyncGeneratorType, TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Inner(AsyncIterator[T]):
    """An asynchronous generator that its loop does not know of; whoever reads it closes it."""

    __slots__ = ("_flow", "_is_begun")

    def __init__(self, flow: Any) -> None:
        self._flow = flow
        self._is_begun = False

    def _call(self, method: Callable[..., Awaitable[Any]], *arguments: Any) -> Awaitable[Any]:
        if self._is_begun:
            return method(*arguments)
        # A generator tells its loop of itself when it is first asked for something.
        self._is_begun = True
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return method(*arguments)
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def __anext__(self) -> Awaitable[T]:
        if self._is_begun:  # As `_call` does, without another call: this is done for every item.
            return self._flow.__anext__()  # type: ignore[no-any-return]
        return self._call(self._flow.__anext__)

    def asend(self, value: Any) -> Awaitable[T]:
        """Return what gives the next item, *value* being what the last one is answered with."""
        return self._call(self._flow.asend, value)

    def athrow(self, error: BaseException) -> Awaitable[T]:
        """Return what gives the next item after *error* was raised where the last one was given."""
        return self._call(self._flow.athrow, error)

    def aclose(self) -> Awaitable[None]:
        """Return what closes it."""
        return self._call(self._flow.aclose)


def inside(flow: Any) -> Any:
    """Return *flow* as a stream of ours reads it; what is no generator is left alone."""
    return Inner(flow) if isinstance(flow, AsyncGeneratorType) else flow


class aclosed_after(Generic[T]):  # noqa: N801  It is used as a function.
    """Give *flow* to be read, and close it on leaving: now, not when the loop comes round to it."""

    def __init__(self, flow: AsyncIterator[T]) -> None:
        self._flow: Any = inside(flow)

    async def __aenter__(self) -> AsyncIterator[T]:
        return self._flow  # type: ignore[no-any-return]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        close = getattr(self._flow, "aclose", None)
        if close is not None:
            await close()
