"""The terminal event of a run in a task: delivered, whatever happens to the task meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler
from chain_callbacks.runnables import RunnableLambda


class Slow(BaseCallbackHandler):
    """Takes its time with the terminal event."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_inside = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.heard.append("start")

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.is_inside.set()
        await self.may_go_on.wait()
        self.heard.append("end")

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.is_inside.set()
        await self.may_go_on.wait()
        self.heard.append(f"error {type(error).__name__}")


@pytest.mark.parametrize("fails", [False, True])
def test_a_terminal_event_is_delivered_though_its_task_is_cancelled(*, fails: bool) -> None:
    """Cancelled while a handler is told of the end, the task waits for that, then is cancelled."""

    async def work(_: str) -> str:
        if fails:
            raise ValueError
        return "x"

    async def main() -> list[str]:
        handler = Slow()
        task = asyncio.create_task(RunnableLambda(work).ainvoke("x", {"callbacks": [handler]}))
        await handler.is_inside.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert handler.heard == ["start"]
        handler.may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return handler.heard

    assert asyncio.run(main()) == ["start", "error ValueError" if fails else "end"]


def test_a_cancellation_that_comes_with_the_last_delivery_is_not_lost() -> None:
    """A task that is cancelled in the very moment in which the delivery ends is cancelled."""

    class Handler(BaseCallbackHandler):
        async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            task.cancel()

    async def work(_: str) -> str:
        return "x"

    async def main() -> None:
        nonlocal task
        task = asyncio.create_task(RunnableLambda(work).ainvoke("x", {"callbacks": [Handler()]}))
        with pytest.raises(asyncio.CancelledError):
            await task

    task: asyncio.Task[Any]
    asyncio.run(main())
