"""A runnable of another framework as a step of a chain of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..context import current, leave
from ..dispatch.manager import CallbackManager
from ..resolution.config import RunnableConfig
from ..resolution.config import check as check_config
from ..resolution.resolver import enter
from . import streaming
from .base import Input, Output, Runnable


class ForeignRunnable(Runnable[Input, Output]):
    """A runnable of LangChain's, or one that has its methods; what is called is *step* itself.

    It makes no run, so that a host that is bridged has one for each of its own and not two. What
    the chain hands down is around it, for the bridge to find and for what else of ours it calls.
    """

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def get_name(self) -> str:
        """Return what the step calls itself."""
        named = getattr(self.step, "get_name", None)
        return str(named()) if callable(named) else type(self.step).__name__

    def _entered(self, config: RunnableConfig | None) -> CallbackManager | None:
        if config is not None:
            check_config(config)
        return enter(self.attachments, config)

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:
        """Invoke the step."""
        token = current.set(self._entered(config) or current.get())
        try:
            output: Output = self.step.invoke(input, **kwargs)
        finally:
            leave(token)
        return output

    async def ainvoke(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Output:
        """Invoke the step."""
        token = current.set(self._entered(config) or current.get())
        try:
            output: Output = await self.step.ainvoke(input, **kwargs)
        finally:
            leave(token)
        return output

    def transform(
        self, chunks: Iterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Output]:
        """Stream the step on an input that comes in chunks."""
        manager = self._entered(config)
        flow = _closable(self.step.transform(chunks, **kwargs))
        return flow if manager is None else streaming.within(manager, flow)

    def atransform(
        self, chunks: AsyncIterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Output]:
        """Stream the step on an input that comes in chunks."""
        manager = self._entered(config)
        flow: AsyncIterator[Output] = aiter(self.step.atransform(chunks, **kwargs))
        return flow if manager is None else streaming.awithin(manager, flow)

    def _is_flowing(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"ForeignRunnable({self.step!r})"


def _closable(chunks: Iterator[Output]) -> Iterator[Output]:
    # Theirs may be an iterator that cannot be closed.
    yield from chunks
