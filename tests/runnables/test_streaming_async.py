"""Asynchronous streams: the same promises, and those about tasks, cancellation and threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, current_manager
from chain_callbacks.context import current
from chain_callbacks.runnables import (
    AIMessageChunk,
    BaseChatModel,
    BaseMessage,
    FakeListChatModel,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    StrOutputParser,
)
from chain_callbacks.testing import RecordingHandler

LONG = 10.0


class CountingModel(BaseChatModel):
    """Streams words; counts how many were pulled, and whether it was closed. May wait forever."""

    def __init__(self, text: str = "one two three", *, waits_after: int | None = None) -> None:
        super().__init__()
        self.words = text.split()
        self.waits_after = waits_after
        self.pulled = 0
        self.is_closed = False
        self.is_waiting = asyncio.Event()

    async def _astream(
        self, messages: list[BaseMessage], **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        try:
            for word in self.words:
                if self.pulled == self.waits_after:
                    self.is_waiting.set()
                    await asyncio.Event().wait()
                self.pulled += 1
                yield AIMessageChunk(f"{word} ")
        finally:
            self.is_closed = True


async def shouting(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    async for chunk in chunks:
        yield chunk.upper()


def last(recorder: RecordingHandler, name: str) -> dict[str, Any]:
    return dict([r for r in recorder.records if r.run_name == name][-1].payload)


@pytest.mark.parametrize("is_heard", [True, False])
def test_the_first_chunk_comes_before_the_input_is_complete(
    *, is_heard: bool, recorder: RecordingHandler
) -> None:
    """A chunk passes through all steps that let it before the model is asked for the next one."""

    async def main() -> list[tuple[str, int]]:
        model = CountingModel()
        chain = RunnablePassthrough() | model | StrOutputParser() | shouting
        stream = chain.astream("x", {"callbacks": [recorder] * is_heard})
        return [(chunk, model.pulled) async for chunk in stream]

    assert asyncio.run(main()) == [("ONE ", 1), ("TWO ", 2), ("THREE ", 3)]


@pytest.mark.parametrize("is_heard", [True, False])
def test_closing_pulls_nothing_more(*, is_heard: bool, recorder: RecordingHandler) -> None:
    """``aclose`` closes the model's own stream before it returns, and asks it for nothing."""

    async def main() -> tuple[int, bool]:
        model = CountingModel()
        stream: Any = (model | StrOutputParser() | shouting).astream(
            "x", {"callbacks": [recorder] * is_heard}
        )
        await anext(stream)
        await stream.aclose()
        return model.pulled, model.is_closed

    assert asyncio.run(main()) == (1, True)


def test_a_closed_stream_ends_its_runs_with_what_was_read(recorder: RecordingHandler) -> None:
    """Each run of a stream that is left ends as closed, its end event having the output so far."""

    async def main() -> None:
        stream: Any = (CountingModel() | StrOutputParser()).astream("x", {"callbacks": [recorder]})
        await anext(stream)
        await anext(stream)
        await stream.aclose()

    asyncio.run(main())
    assert recorder.tree() == (
        "chain RunnableSequence closed\n"
        "  chat_model CountingModel [seq:step:1] closed tokens=2\n"
        "  parser StrOutputParser [seq:step:2] closed"
    )
    assert last(recorder, "RunnableSequence") == {"outputs": "one two "}
    assert recorder.problems() == []


def test_a_stream_that_is_left_is_ended_by_the_loop(recorder: RecordingHandler) -> None:
    """A consumer that breaks and forgets the stream leaves no run open."""

    async def main() -> None:
        async for _ in (CountingModel() | StrOutputParser()).astream(
            "x", {"callbacks": [recorder]}
        ):
            break

    asyncio.run(main())
    assert recorder.tree().splitlines()[0] == "chain RunnableSequence closed"
    assert recorder.problems() == []


def test_a_stream_that_nobody_reads_makes_no_events(recorder: RecordingHandler) -> None:
    """A stream starts at the first ``anext``, not at the call."""

    async def main() -> None:
        stream: Any = CountingModel().astream("x", {"callbacks": [recorder]})
        await stream.aclose()

    asyncio.run(main())
    assert recorder.records == ()


def test_a_cancelled_consumer_cancels_the_runs(recorder: RecordingHandler) -> None:
    """A task that is cancelled while it waits for a chunk ends its runs with what had come."""

    async def main() -> CountingModel:
        model = CountingModel(waits_after=2)

        async def consume() -> None:
            async for _ in (model | StrOutputParser()).astream("x", {"callbacks": [recorder]}):
                pass

        task = asyncio.create_task(consume())
        await model.is_waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return model

    model = asyncio.run(main())
    assert (model.pulled, model.is_closed) == (2, True)
    assert recorder.tree() == (
        "chain RunnableSequence cancelled\n"
        "  chat_model CountingModel [seq:step:1] cancelled tokens=2\n"
        "  parser StrOutputParser [seq:step:2] cancelled"
    )
    assert last(recorder, "CountingModel")["response"].generations[0][0].text == "one two "
    assert recorder.problems() == []


def test_the_consumer_never_sees_the_run_of_a_stream(recorder: RecordingHandler) -> None:
    """Between two items the context is the consumer's own: what it starts is not nested."""

    async def main() -> None:
        before = current.get()
        async for _ in RunnableLambda(shouting).astream("x", {"callbacks": [recorder]}):
            assert current.get() is before
            assert current_manager().parent is None
            await RunnablePassthrough(name="apart").ainvoke("y", {"callbacks": [recorder]})

    asyncio.run(main())
    assert recorder.tree() == "chain shouting\nchain apart"


def test_a_stream_may_be_read_and_closed_by_several_tasks(recorder: RecordingHandler) -> None:
    """Each item may be asked for, and the stream closed, in another task and context."""

    async def calling(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        for _ in range(3):
            yield await RunnablePassthrough(name="inner").ainvoke("x")

    async def main() -> None:
        stream: Any = RunnableLambda(calling).astream("x", {"callbacks": [recorder]})
        for step in (anext(stream), anext(stream), stream.aclose()):
            await asyncio.create_task(_awaiting(step))

    asyncio.run(main())
    assert recorder.tree() == "chain calling closed\n  chain inner\n  chain inner"


async def _awaiting(awaitable: Any) -> Any:
    return await awaitable


def test_interleaved_streams_are_two_trees(recorder: RecordingHandler) -> None:
    """Streams that are read in turn by one task keep their own runs, children and tokens."""
    model = FakeListChatModel(["one two"])

    async def asking(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in model.astream("x"):
            yield chunk.text

    async def main() -> None:
        config: Any = {"callbacks": [recorder]}
        one, two = (RunnableLambda(asking, name=n).astream("x", config) for n in ("one", "two"))
        async for _ in one:
            await anext(two, None)
        assert await anext(two, None) is None

    asyncio.run(main())
    child = "\n  chat_model FakeListChatModel tokens=2"
    assert recorder.trees() == [f"chain one{child}", f"chain two{child}"]


def test_a_parallel_that_is_left_ends_all_branches_first(recorder: RecordingHandler) -> None:
    """Closing a parallel ends each branch, whatever it is at, and then the parallel."""

    async def main() -> None:
        waiting = CountingModel(waits_after=0)
        branches = {"quick": CountingModel(), "slow": waiting}
        stream: Any = RunnableParallel(branches, name="both").astream(
            "x", {"callbacks": [recorder]}
        )
        await anext(stream)
        await waiting.is_waiting.wait()
        await stream.aclose()

    asyncio.run(main())
    assert recorder.problems() == []
    names = [r.run_name for r in recorder.records if r.status is not None]
    assert (len(names), names[-1]) == (3, "both")
    assert {run.name: run.status for run in recorder.runs}["both"] == "closed"


def test_one_failing_branch_ends_the_others_first(recorder: RecordingHandler) -> None:
    """Where a branch fails, the waiting one is cancelled and awaited; the bare error leaves."""

    async def failing(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        await waiting.is_waiting.wait()
        raise ValueError("no")
        yield ""

    async def main() -> None:
        branches = {"slow": waiting, "bad": failing}
        async for _ in RunnableParallel(branches, name="both").astream(
            "x", {"callbacks": [recorder]}
        ):
            pass

    waiting = CountingModel(waits_after=0)
    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())
    assert recorder.tree() == (
        "chain both error ValueError\n"
        "  chain failing [map:key:bad] error ValueError\n"
        "  chat_model CountingModel [map:key:slow] cancelled"
    )
    assert [r.run_name for r in recorder.records if r.status is not None][-1] == "both"


def test_a_cleanup_that_is_cancelled_leaves_no_run_open(recorder: RecordingHandler) -> None:
    """A task that is cancelled while it closes a stream still ends the stream's run."""

    async def main() -> None:
        is_closing = asyncio.Event()

        async def tidy(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
            try:
                yield "a"
                yield "b"
            finally:
                is_closing.set()
                await asyncio.Event().wait()

        async def consume() -> None:
            stream: Any = RunnableLambda(tidy).astream("x", {"callbacks": [recorder]})
            await anext(stream)
            await stream.aclose()

        task = asyncio.create_task(consume())
        await is_closing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert recorder.tree() == "chain tidy cancelled"
    assert recorder.problems() == []


def test_an_asynchronous_handler_hears_a_stream_in_order() -> None:
    """Tokens and ends reach an ``async def`` handler one after the other, as they are issued."""
    heard: list[str] = []

    class Handler(BaseCallbackHandler):
        async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            heard.append("start")

        async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            heard.append(token)

        async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            heard.append("end")

    model, config = FakeListChatModel(["one two"]), {"callbacks": [Handler()]}

    async def main() -> None:
        nonlocal heard
        async for chunk in model.astream("x", config):  # type: ignore[arg-type]
            heard += [f"read {chunk.text}"]

    asyncio.run(main())
    assert heard == ["start", "one ", "read one ", "two", "read two", "end"]
    heard.clear()
    for chunk in model.stream("x", config):  # type: ignore[arg-type]
        heard += [f"read {chunk.text}"]
    assert heard == ["start", "one ", "read one ", "two", "read two", "end"]
