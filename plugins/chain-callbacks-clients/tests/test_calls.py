"""One call of a client of any build: a run from the request to the end of its answer."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, attached, flush, policy, traced
from chain_callbacks.runnables import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_clients import Call, Piece, Vendor, begin

BODY = {"model": "bee-1", "prompt": "Where is honey?"}
WORDS = ("In ", "the ", "hive.")


class Words:
    """Requests have a prompt, answers a text, events a word; the last one says so."""

    name = "beehive.words"
    answer = "words"
    content = frozenset({"prompt"})

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        return [HumanMessage(body["prompt"])]

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        return [AIMessage(answer["text"], response_metadata={"id": "1"})]

    def reader(self) -> WordReader:
        return WordReader()


class WordReader:
    def __init__(self) -> None:
        self.is_complete = False

    def read(self, event: Mapping[str, Any]) -> Iterable[Piece]:
        self.is_complete = event.get("is_last", False)
        yield Piece(AIMessageChunk(event["word"]))


BEEHIVE = Vendor(provider="beehive", package="beehive")


def started() -> Call:
    """Return a call that somebody hears."""
    call = begin(BEEHIVE, Words(), BODY)
    assert call is not None
    return call


def events(words: Iterable[str] = WORDS) -> Iterator[dict[str, Any]]:
    for word in words:
        yield {"word": word}


async def aevents(words: Iterable[str] = WORDS) -> AsyncIterator[dict[str, Any]]:
    for word in words:
        yield {"word": word}


def tokens(recorder: RecordingHandler) -> list[str]:
    return [r.payload["token"] for r in recorder.records if r.name == "on_llm_new_token"]


def text_of(recorder: RecordingHandler) -> str:
    """Return the text of the last event's response."""
    return "".join(each.text for each in recorder.records[-1].payload["response"].generations[0])


def assert_answered(recorder: RecordingHandler) -> None:
    start, end = recorder.records
    assert [[HumanMessage("Where is honey?")]] == start.payload["messages"]
    assert {"_type": "beehive-chat", "model": "bee-1"} == start.payload["invocation_params"]
    assert ("beehive", "bee-1") == (start.metadata["ls_provider"], start.metadata["ls_model_name"])
    assert "In the hive." == text_of(recorder)
    assert "on_llm_end" == end.name
    assert ["chat_model beehive.words"] == recorder.trees()


@pytest.mark.parametrize("answer", [{"text": "In the hive."}, b'{"text": "In the hive."}'])
def test_call_is_a_run_with_what_was_asked_and_answered(
    recorder: RecordingHandler, answer: Any
) -> None:
    """The answer is the client's object or bytes of JSON."""
    with attached(recorder), started() as call:
        call.take(answer)
    assert_answered(recorder)


def test_asynchronous_call_is_the_same_run(recorder: RecordingHandler) -> None:
    """``async with`` tells what ``with`` tells, and awaits asynchronous handlers on its loop."""
    loops = []

    class Handler(BaseCallbackHandler):
        async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            loops.append(asyncio.get_running_loop())

    async def ask() -> None:
        async with started() as call:
            call.take({"text": "In the hive."})
        assert [asyncio.get_running_loop()] == loops

    with attached(recorder, Handler()):
        asyncio.run(ask())
    assert_answered(recorder)


def test_no_call_begins_if_nobody_listens() -> None:
    """The client is left alone."""
    assert begin(BEEHIVE, Words(), BODY) is None


def test_no_call_begins_inside_the_run_of_a_model(recorder: RecordingHandler) -> None:
    """The model's run is the run of the call."""

    @traced("chat_model")
    def model() -> Call | None:
        return begin(BEEHIVE, Words(), BODY)

    with attached(recorder):
        assert model() is None
    assert ["chat_model model"] == recorder.trees()


def test_later_parts_of_a_body_replace_earlier_ones(recorder: RecordingHandler) -> None:
    """A part that is no mapping is left to the server to refuse."""
    with attached(recorder):
        call = begin(BEEHIVE, Words(), BODY, None, {"prompt": "Who?"}, ["no mapping"])
    assert call is not None
    with call:
        pass
    assert [[HumanMessage("Who?")]] == recorder.records[0].payload["messages"]


def test_what_runs_while_a_request_is_sent_is_nested_in_its_run(
    recorder: RecordingHandler,
) -> None:
    """A function that the client calls back is a child, one called later is not."""

    @traced
    def called_back() -> None:
        pass

    with attached(recorder):
        with started():
            called_back()
        called_back()

    assert [
        "chat_model beehive.words\n  chain called_back",
        "chain called_back",
    ] == recorder.trees()


def test_exception_of_the_request_is_that_of_the_run(recorder: RecordingHandler) -> None:
    """The caller gets the same object, and the run one end."""
    error = OSError("no bees")

    def ask() -> None:
        with started():
            raise error

    async def aask() -> None:
        async with started():
            raise error

    with attached(recorder):
        for call in (ask, lambda: asyncio.run(aask())):
            with pytest.raises(OSError, match="no bees") as raised:
                call()
            assert error is raised.value

    failed = [r.payload["error"] for r in recorder.records if r.name == "on_llm_error"]
    assert [error, error] == failed
    assert [("error", 1)] * 2 == [(run.status, run.ends) for run in recorder.runs]


def test_guard_stops_a_call_before_its_request_is_sent(recorder: RecordingHandler) -> None:
    """A handler that raises on purpose leaves one end, and no request."""

    class Guard(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            raise PermissionError("not today")

    sent = []
    guard = policy(Guard(), on_error="raise")

    async def aask() -> None:
        async with started():
            sent.append("asynchronously")

    with attached(guard, recorder):
        with pytest.raises(PermissionError), started():
            sent.append("synchronously")
        with pytest.raises(PermissionError):
            asyncio.run(aask())

    assert [] == sent
    assert [("error", 1)] * 2 == [(run.status, run.ends) for run in recorder.runs]


def test_stream_is_told_as_it_is_read(recorder: RecordingHandler) -> None:
    """Each item is told before its reader gets it; the sum of them is the answer."""
    with attached(recorder), started() as call:
        stream = call.observe(events())

    assert ["on_chat_model_start"] == recorder.names()
    for number, item in enumerate(stream, 1):
        assert {"word": WORDS[number - 1]} == item
        assert [*WORDS[:number]] == tokens(recorder)
    assert "In the hive." == text_of(recorder)
    assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]


def test_asynchronous_stream_is_told_as_it_is_read(recorder: RecordingHandler) -> None:
    """The same, item by item."""

    async def ask() -> None:
        with attached(recorder):
            async with started() as call:
                stream = call.observe(aevents())
        number = 0
        async for item in stream:
            number += 1
            assert {"word": WORDS[number - 1]} == item
            assert [*WORDS[:number]] == tokens(recorder)
        assert 3 == number

    asyncio.run(ask())
    assert "In the hive." == text_of(recorder)
    assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]


def test_items_of_any_form_are_read_as_events(recorder: RecordingHandler) -> None:
    """A client whose items are no JSON says how to read one, which may hold several events."""

    def read(item: str) -> Iterable[dict[str, str]]:
        return ({"word": word} for word in item.split())

    with attached(recorder), started() as call:
        stream = call.observe(iter(["In the", "", "hive."]), read)

    assert ["In the", "", "hive."] == list(stream)
    assert ["In", "the", "hive."] == tokens(recorder)


def test_stream_that_breaks_is_an_error_with_what_came(recorder: RecordingHandler) -> None:
    """The reader gets the exception, handlers the words before it."""
    error = ConnectionError("gone")

    def broken() -> Iterator[dict[str, Any]]:
        yield from events(WORDS[:2])
        raise error

    async def abroken() -> AsyncIterator[dict[str, Any]]:
        for each in events(WORDS[:2]):
            yield each
        raise error

    async def aread() -> None:
        async with started() as call:
            stream = call.observe(abroken())
        async for _ in stream:
            pass

    def read() -> None:
        with started() as call:
            stream = call.observe(broken())
        for _ in stream:
            pass

    for way in (read, lambda: asyncio.run(aread())):
        recorder.clear()
        with attached(recorder), pytest.raises(ConnectionError) as raised:
            way()
        assert error is raised.value
        assert "In the " == text_of(recorder)
        assert [("error", 1)] == [(run.status, run.ends) for run in recorder.runs]


def test_stream_that_says_it_is_complete_has_ended(recorder: RecordingHandler) -> None:
    """A reader that stops after the last event has not stopped early."""
    items = [{"word": "Honey"}, {"word": ".", "is_last": True}, {"word": "!"}]
    with attached(recorder), started() as call:
        stream = call.observe(iter(items))
    next(stream), next(stream)

    assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]
    assert "Honey." == text_of(recorder)


def test_stream_that_is_closed_ends_its_run_as_closed(recorder: RecordingHandler) -> None:
    """The client says that its response was closed, at once, from either world."""

    async def ask() -> None:
        async with started() as call:
            stream = call.observe(aevents())
        await anext(stream)
        await call.aclose()
        await call.aclose()

    with attached(recorder):
        asyncio.run(ask())
        with started() as call:
            stream = call.observe(events())
        next(stream)
        call.close()
        call.close()

    assert [("closed", 1)] * 2 == [(run.status, run.ends) for run in recorder.runs]
    assert ["In "] * 2 == [
        r.payload["response"].generations[0][0].text
        for r in recorder.records
        if r.name == "on_llm_end"
    ]


@pytest.mark.parametrize("is_read", [True, False], ids=["read", "never read"])
def test_stream_that_is_dropped_ends_its_run_as_closed(
    recorder: RecordingHandler, *, is_read: bool
) -> None:
    """The end is told on a thread of ours, and a flush waits for it."""
    with attached(recorder), started() as call:
        stream = call.observe(events())
    if is_read:
        next(stream)
    del stream, call
    gc.collect()
    flush()

    assert [("closed", 1)] == [(run.status, run.ends) for run in recorder.runs]


def test_handlers_of_a_start_alone_have_no_stream_read_for_them() -> None:
    """No item is translated if no handler gets the result."""

    class Starts(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            pass

    def read(item: Any) -> Iterable[Any]:
        raise AssertionError(item)

    with attached(Starts()), started() as call:
        stream = call.observe(events(), read)
    assert [{"word": word} for word in WORDS] == list(stream)
    assert "ok" == call.run.status


class Hostile:
    """A client's object that cannot be read."""

    def model_dump(self, **kwargs: Any) -> Any:
        raise RuntimeError("no")


def test_request_that_cannot_be_read_harms_nobody(recorder: RecordingHandler) -> None:
    """It is sent as it is, and its run starts without it."""
    with attached(recorder):
        call = begin(BEEHIVE, Words(), {"prompt": Hostile()})
    assert call is not None
    with call:
        pass

    assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]
    assert [[]] == recorder.records[0].payload["messages"]


def test_call_may_be_left_in_another_context(recorder: RecordingHandler) -> None:
    """A generator around a call is resumed wherever its reader is."""

    def around() -> Iterator[None]:
        with started():
            yield

    with attached(recorder):
        steps = around()
        copy_context().run(next, steps)
        copy_context().run(next, steps, None)

    assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]


def test_event_that_cannot_be_read_is_left_out_alone(recorder: RecordingHandler) -> None:
    """The events beside it are told, also where one piece of bytes has them all."""
    received = b'data: {"word": "In "}\n\ndata: {"no": "word"}\n\ndata: {"word": "vain"}\n\n'
    with attached(recorder), started() as call:
        stream = call.observe_bytes(iter([received]), is_events=True)

    assert [received] == list(stream)
    assert ["In ", "vain"] == tokens(recorder)
    assert "In vain" == text_of(recorder)


@pytest.mark.parametrize(
    "use",
    [
        lambda call: call.take({"no": "text"}),
        lambda call: call.take(b"<html>"),
        lambda call: call.take(Hostile()),
        lambda call: [*call.observe(iter([{"no": "word"}]))],
        lambda call: [*call.observe(iter([Hostile()]))],
    ],
    ids=["answer", "bytes", "hostile answer", "event", "hostile event"],
)
def test_answer_that_cannot_be_read_harms_nobody(
    recorder: RecordingHandler, use: Callable[[Call], Any]
) -> None:
    """The program goes on, and the run ends without the answer."""
    with attached(recorder), started() as call:
        use(call)

    assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]
    assert "" == text_of(recorder)


HOLDING = """
import asyncio
from chain_callbacks_clients import Piece, Vendor, begin
from test_calls import BEEHIVE, BODY, Words, aevents, events

IS_ASYNC = {is_async}

async def ask():
    async with begin(BEEHIVE, Words(), BODY) as call:
        stream = call.observe(aevents())
    await anext(stream)
    return stream

if IS_ASYNC:
    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(ask())
else:
    with begin(BEEHIVE, Words(), BODY) as call:
        held = call.observe(events())
    next(held)
"""


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_stream_that_is_held_at_exit_has_its_end(delivery: str, *, is_async: bool) -> None:
    """A process that ends with an open stream tells its end, once."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("CHAIN_CALLBACKS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HOLDING.format(is_async=is_async)],
        env={
            **outside,
            "PYTHONPATH": str(Path(__file__).parent),
            "CHAIN_CALLBACKS": "structlog",
            "CHAIN_CALLBACKS_STRUCTLOG__DELIVERY": delivery,
        },
        capture_output=True,
        check=True,
        text=True,
    )
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [("chat_model_start", None), ("llm_end", "closed")] == [
        (each["event"], each.get("status")) for each in told
    ]
