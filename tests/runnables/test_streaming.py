"""Streams: chunks flow on at once, the run is there during a step and gone between two."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, attached, current_manager
from chain_callbacks.context import current
from chain_callbacks.runnables import (
    AIMessageChunk,
    BaseChatModel,
    BaseMessage,
    FakeListChatModel,
    Runnable,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnableSequence,
    StrOutputParser,
)
from chain_callbacks.testing import RecordingHandler

LONG = 10.0


class CountingModel(BaseChatModel):
    """Streams the words of its text; counts how many were pulled, and whether it was closed."""

    def __init__(self, text: str = "one two three", *, fails_after: int | None = None) -> None:
        super().__init__()
        self.words = text.split()
        self.fails_after = fails_after
        self.pulled = 0
        self.is_closed = False

    def _stream(self, messages: list[BaseMessage], **kwargs: Any) -> Iterator[AIMessageChunk]:
        try:
            for word in self.words:
                if self.pulled == self.fails_after:
                    raise ConnectionError("lost")
                self.pulled += 1
                yield AIMessageChunk(f"{word} ")
        finally:
            self.is_closed = True


def shouting(chunks: Iterator[str]) -> Iterator[str]:
    for chunk in chunks:
        yield chunk.upper()


def ends(recorder: RecordingHandler) -> list[tuple[str, str | None]]:
    """Return the terminal events in their order: whose, and with what status."""
    return [(r.run_name, r.status) for r in recorder.records if r.status is not None]


def last(recorder: RecordingHandler, name: str) -> dict[str, Any]:
    """Return the payload of the last event of that run."""
    return dict([r for r in recorder.records if r.run_name == name][-1].payload)


@pytest.mark.parametrize("is_heard", [True, False])
def test_the_first_chunk_comes_before_the_input_is_complete(
    *, is_heard: bool, recorder: RecordingHandler
) -> None:
    """A chunk passes through all steps that let it before the model is asked for the next one."""
    model = CountingModel()
    chain = RunnablePassthrough() | model | StrOutputParser() | shouting | RunnablePassthrough()
    stream = chain.stream("x", {"callbacks": [recorder] if is_heard else []})
    pulled = [(chunk, model.pulled) for chunk in stream]
    assert pulled == [("ONE ", 1), ("TWO ", 2), ("THREE ", 3)]


def test_a_parallel_in_the_middle_lets_chunks_through() -> None:
    """The branches of a parallel share one input, and give what they make of it chunk by chunk."""
    model = CountingModel()
    branches = {"low": RunnablePassthrough[str](), "loud": shouting}
    chain = model | StrOutputParser() | branches
    stream = chain.stream("x")
    first = next(stream)
    assert first in ({"low": "one "}, {"loud": "ONE "})
    rest = list(stream)
    assert model.pulled == 3
    assert {"low": "three "} in rest
    assert {"loud": "THREE "} in rest


def test_a_step_that_needs_all_gets_all(recorder: RecordingHandler) -> None:
    """A plain function behind a model is called once, with the chunks added up."""
    seen: list[str] = []
    chain = CountingModel() | StrOutputParser() | RunnableLambda(seen.append, name="sink")
    list(chain.stream("x", {"callbacks": [recorder]}))
    assert seen == ["one two three "]
    starts = [r for r in recorder.records if r.run_name == "sink"]
    assert starts[0].payload["inputs"] == "one two three "


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_stream_that_is_closed_early_pulls_nothing_more(
    *, is_heard: bool, recorder: RecordingHandler
) -> None:
    """Closing a stream closes the model's too, at once, and asks it for nothing."""
    model = CountingModel()
    stream = (model | StrOutputParser()).stream("x", {"callbacks": [recorder] * is_heard})
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert (model.pulled, model.is_closed) == (1, True)
    assert list(stream) == []


def test_a_closed_stream_ends_its_runs_with_what_was_read(recorder: RecordingHandler) -> None:
    """Each run of a stream that is left ends as closed, its end event having the output so far."""
    stream = (CountingModel() | StrOutputParser()).stream("x", {"callbacks": [recorder]})
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert recorder.tree() == (
        "chain RunnableSequence closed\n"
        "  chat_model CountingModel [seq:step:1] closed tokens=2\n"
        "  parser StrOutputParser [seq:step:2] closed"
    )
    assert last(recorder, "RunnableSequence") == {"outputs": "one two "}
    assert last(recorder, "CountingModel")["response"].generations[0][0].text == "one two "
    assert recorder.problems() == []


def test_a_loop_that_breaks_ends_the_runs(recorder: RecordingHandler) -> None:
    """A consumer that breaks and lets go of the stream leaves no run open."""
    done = threading.Event()

    class Waiting(BaseCallbackHandler):
        def on_chain_end(self, outputs: Any, *, status: str, **kwargs: Any) -> None:
            done.set()

    for _ in RunnableLambda(shouting).stream("x", {"callbacks": [recorder, Waiting()]}):
        break
    gc.collect()
    assert done.wait(LONG)
    assert recorder.tree() == "chain shouting closed"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_collected_stream_is_ended_on_another_thread(*, is_async: bool) -> None:
    """No handler is called in a finaliser: somebody's lock may be held there."""
    heard: list[tuple[str, bool]] = []
    done = threading.Event()
    here = threading.current_thread()

    def note(status: str) -> None:
        heard.append((status, threading.current_thread() is here))
        done.set()

    class Plain(BaseCallbackHandler):
        def on_llm_end(self, response: Any, *, status: str, **kwargs: Any) -> None:
            note(status)

    class Awaited(BaseCallbackHandler):
        async def on_llm_end(self, response: Any, *, status: str, **kwargs: Any) -> None:
            note(status)

    model = CountingModel()
    stream = model.stream("x", {"callbacks": [Awaited() if is_async else Plain()]})
    next(stream)
    del stream
    gc.collect()
    assert done.wait(LONG)
    assert heard == [("closed", False)]
    assert (model.pulled, model.is_closed) == (1, True)


def test_a_collected_stream_of_which_only_a_step_is_heard() -> None:
    """A handler of an inner step is not called in a finaliser either."""
    threads: list[threading.Thread] = []
    done = threading.Event()

    class Handler(BaseCallbackHandler):
        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            threads.append(threading.current_thread())
            done.set()

    model = FakeListChatModel(["one two"], callbacks=[Handler()])
    stream = (RunnablePassthrough() | model).stream("x")
    next(stream)
    del stream
    gc.collect()
    assert done.wait(LONG)
    assert threads != [threading.current_thread()]


def test_an_exception_amid_a_stream_is_one_error_with_what_had_come(
    recorder: RecordingHandler,
) -> None:
    """A model that breaks off ends with one error event, which has the answer until then."""
    chain = CountingModel(fails_after=2) | StrOutputParser()
    got: list[str] = []
    with pytest.raises(ConnectionError):
        got.extend(chain.stream("x", {"callbacks": [recorder]}))
    assert recorder.tree() == (
        "chain RunnableSequence error ConnectionError\n"
        "  chat_model CountingModel [seq:step:1] error ConnectionError tokens=2\n"
        "  parser StrOutputParser [seq:step:2] error ConnectionError"
    )
    failure = last(recorder, "CountingModel")
    assert failure["response"].generations[0][0].text == "one two "
    assert recorder.problems() == []


def test_a_failing_cleanup_ends_the_run_as_an_error(recorder: RecordingHandler) -> None:
    """What a generator raises when it is closed leaves, and its run ends all the same."""

    def untidy(chunks: Iterator[str]) -> Iterator[str]:
        try:
            yield "a"
        finally:
            raise ValueError("cleanup")

    stream = (RunnableLambda(untidy) | RunnablePassthrough()).stream("x", {"callbacks": [recorder]})
    next(stream)
    with pytest.raises(ValueError, match="cleanup"):
        stream.close()  # type: ignore[attr-defined]
    assert recorder.tree().splitlines()[1] == "  chain untidy [seq:step:1] error ValueError"
    assert recorder.problems() == []


def test_a_stream_that_nobody_reads_makes_no_events(recorder: RecordingHandler) -> None:
    """A stream starts at the first ``next``, not at the call."""
    stream = (CountingModel() | StrOutputParser()).stream("x", {"callbacks": [recorder]})
    stream.close()  # type: ignore[attr-defined]
    del stream
    assert recorder.records == ()


def test_a_stream_is_resolved_where_it_is_called(recorder: RecordingHandler) -> None:
    """Who hears a stream, and its parent, are settled by the call and not by the first read."""

    def outer(_: str) -> Any:
        return RunnablePassthrough(name="inner").stream("x")

    stream = RunnableLambda(outer).invoke("x", {"callbacks": [recorder]})
    assert list(stream) == ["x"]
    assert [run.name for run in recorder.runs] == ["outer", "inner"]
    assert recorder.runs[1].parent_id == recorder.runs[0].id


def test_the_consumer_never_sees_the_run_of_a_stream(recorder: RecordingHandler) -> None:
    """Between two items the context is the consumer's own: what it starts is not nested."""
    before = current.get()
    stream = RunnableLambda(shouting).stream("x", {"callbacks": [recorder]})
    for _ in stream:
        assert current.get() is before
        assert current_manager().parent is None
        RunnablePassthrough(name="apart").invoke("y", {"callbacks": [recorder]})
    assert recorder.tree() == "chain shouting\nchain apart"


def test_a_step_sees_its_run(recorder: RecordingHandler) -> None:
    """Between two items of its own a generator is in its run: what it starts is nested."""

    def calling(chunks: Iterator[str]) -> Iterator[str]:
        for _ in range(2):
            yield RunnablePassthrough(name="inner").invoke("x")

    list(RunnableLambda(calling).stream("x", {"callbacks": [recorder]}))
    assert recorder.tree() == "chain calling\n  chain inner\n  chain inner"


def test_interleaved_streams_are_two_trees(recorder: RecordingHandler) -> None:
    """Two streams that are read in turn keep their own runs, children and tokens."""
    model = FakeListChatModel(["one two"])

    def asking(chunks: Iterator[str]) -> Iterator[str]:
        for chunk in model.stream("x"):
            yield chunk.text

    config: Any = {"callbacks": [recorder]}
    one, two = (RunnableLambda(asking, name=n).stream("x", config) for n in ("one", "two"))
    merged = [chunk for pair in zip(one, two, strict=True) for chunk in pair]
    assert merged == ["one ", "one ", "two", "two"]
    child = "\n  chat_model FakeListChatModel tokens=2"
    assert recorder.trees() == [f"chain one{child}", f"chain two{child}"]


def test_parallel_streams_end_before_their_parent(recorder: RecordingHandler) -> None:
    """A parallel that is left ends its branches, all of them, and then itself."""
    models = {"a": FakeListChatModel(["1 2 3"]), "b": FakeListChatModel(["4 5 6"])}
    stream = RunnableParallel(models).stream("x", {"callbacks": [recorder]})
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    statuses = ends(recorder)
    assert statuses[-1] == ("RunnableParallel<a,b>", "closed")
    assert {status for _, status in statuses} == {"closed"}
    assert recorder.problems() == []


def test_a_broken_input_breaks_all_branches(recorder: RecordingHandler) -> None:
    """No branch takes a stream that broke off for one that is complete."""
    completed: list[str] = []

    def counting(name: str) -> Any:
        def count(chunks: Iterator[str]) -> Iterator[str]:
            yield from chunks
            completed.append(name)

        return count

    chain: Runnable[Any, Any] = (
        CountingModel(fails_after=1)
        | StrOutputParser()
        | {name: counting(name) for name in ("a", "b", "c")}
    )
    with pytest.raises(ConnectionError):
        list(chain.stream("x", {"callbacks": [recorder]}))
    assert completed == []
    assert recorder.problems() == []


def test_a_flowing_first_step_is_told_of_no_input(recorder: RecordingHandler) -> None:
    """A step that begins before its input is complete starts with LangChain's empty input."""
    chain = CountingModel() | StrOutputParser()
    list(chain.stream("x", {"callbacks": [recorder]}))
    starts = {r.run_name: r.payload for r in recorder.records if r.name == "on_chain_start"}
    assert starts["RunnableSequence"]["inputs"] == "x"
    assert starts["StrOutputParser"]["inputs"] == {"input": ""}


def test_chunks_that_nobody_listens_to_are_not_kept(recorder: RecordingHandler) -> None:
    """Chunks are added up for an end event that somebody hears, and for nothing else."""

    class Unaddable:
        def __add__(self, other: object) -> object:
            raise AssertionError("added up for nobody")

    class StartsOnly(BaseCallbackHandler):
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None: ...

    def giving(chunks: Iterator[str]) -> Iterator[Unaddable]:
        yield Unaddable()
        yield Unaddable()

    assert len(list(RunnableLambda(giving).stream("x", {"callbacks": [StartsOnly()]}))) == 2


def test_what_cannot_be_added_is_a_list(recorder: RecordingHandler) -> None:
    """Numbers are no parts of a number: the output of such a stream is a list of them."""

    def counting(chunks: Iterator[str]) -> Iterator[int]:
        yield from (1, 2, 3)

    list(RunnableLambda(counting).stream("x", {"callbacks": [recorder]}))
    assert last(recorder, "counting") == {"outputs": [1, 2, 3]}


def test_a_silent_scope_is_not_seen_by_the_consumer() -> None:
    """Tags that a stream hands down, though nobody listens, are gone between two items."""
    stream = RunnableLambda(shouting).stream("x", {"tags": ["a"]})
    assert [current_manager().tags for _ in stream] == [()]


def test_a_stream_attached_to_a_scope_outlives_it(recorder: RecordingHandler) -> None:
    """A stream that was made in an ``attached`` block is heard after the block is left."""
    with attached(recorder):
        stream = RunnableLambda(shouting).stream("x")
    assert list(stream) == ["X"]
    assert recorder.tree() == "chain shouting"


def test_a_sequence_closes_all_its_steps(recorder: RecordingHandler) -> None:
    """Of a sequence that is left each generator is closed, the last one first."""
    closed: list[str] = []

    def passing(name: str) -> Any:
        def step(chunks: Iterator[str]) -> Iterator[str]:
            with contextlib.ExitStack() as stack:
                stack.callback(closed.append, name)
                yield from (chunk for chunk in chunks)

        return RunnableLambda(step, name=name)

    stream = RunnableSequence(*map(passing, "abc")).stream("x", {"callbacks": [recorder]})
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert closed == ["c", "b", "a"]


def test_handler_that_ignores_chat_models_hears_none_of_their_tokens():
    """The flag silences the whole run of a chat model: its start, its tokens and its end."""
    heard = []

    class Handler(BaseCallbackHandler):
        ignore_chat_model = True

        def on_chat_model_start(self, serialized, messages, **kwargs):
            heard.append("start")

        def on_llm_new_token(self, token, **kwargs):
            heard.append(token)

        def on_llm_end(self, response, **kwargs):
            heard.append("end")

    list(FakeListChatModel(["two words"]).stream("hello", {"callbacks": [Handler()]}))

    assert heard == []
