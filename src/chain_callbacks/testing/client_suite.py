"""What every plugin for a vendor's client must do: a plugin's tests subclass ``ClientSuite``.

The subclass says how its vendor's server answers; the suite has the real client talk to a scripted
server on loopback, natively and as a host, synchronously and asynchronously.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
import pickle
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

import pytest

from ..clients import ClientChatModel, MissingKeyError, NoAnswerError
from ..resolution.scope import attached
from ..runnables import (
    AIMessage,
    ChatPromptTemplate,
    HumanMessage,
    LLMResult,
    RunnableLambda,
    SystemMessage,
    ToolMessage,
    create_agent,
    tool,
)
from ..runnables.chunks import combined
from .recorder import RecordingHandler
from .servers import Reply, ScriptedServer

KEY: Final = "sk-c4n4ry-0123456789"
QUESTION: Final = "What is 1 + 2?"
WORDS: Final = ("1 + ", "2 = ", "3")
ANSWER: Final = "".join(WORDS)
QUICKLY: Final = {"retry-after-ms": "1"}

Call = tuple[str, str, Mapping[str, Any]]
"""A call of a tool in an answer: its id, the tool's name, its arguments."""


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make an asynchronous test one that pytest calls."""

    @functools.wraps(test)
    def call(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return call


each_way = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


async def got(value: Any) -> Any:
    """Return *value*, awaited where it is to be."""
    return await value if inspect.isawaitable(value) else value


async def all_of(stream: Any) -> list[Any]:
    """Return the items of a stream of either sort."""
    if hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


@tool
def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is mild in {city}."


@tool
def clock(city: str) -> str:
    """Return the time in a city."""
    return f"It is noon in {city}."


TWO_CALLS: Final[Sequence[Call]] = (
    ("call_1", "weather", {"city": "Lisbon"}),
    ("call_2", "clock", {"city": "Porto"}),
)


class ClientSuite:
    """The promises of a vendor's plugin; a subclass answers as the vendor does.

    Attributes:
        run_name: What a run of the client as a host is called.
        usage: The counts of tokens of each answer, as ours.
    """

    run_name: ClassVar[str]
    usage: ClassVar[Mapping[str, Any]]

    @abstractmethod
    def make_model(self, url: str, **options: Any) -> ClientChatModel:
        """Return the native model for a server."""

    @abstractmethod
    def make_client(self, url: str, *, is_async: bool, **options: Any) -> Any:
        """Return the vendor's client for a server."""

    @abstractmethod
    def instrument(self, client: Any) -> Any:
        """Make the calls of *client* runs."""

    @abstractmethod
    def answer(self, text: str, calls: Sequence[Call] = ()) -> dict[str, Any]:
        """Return the body of an answer."""

    @abstractmethod
    def events(self, words: Sequence[str], calls: Sequence[Call] = ()) -> list[Any]:
        """Return the events of a streamed answer, the arguments of each call in two of them."""

    @abstractmethod
    def first_words(self, events: Sequence[Any], count: int) -> list[Any]:
        """Return *events* up to the one with the word *count*."""

    @abstractmethod
    def ask(self, resource: Any, **more: Any) -> Any:
        """Ask ``QUESTION`` by ``create`` of a resource: of the client, or of its raw face."""

    @abstractmethod
    def resource(self, client: Any) -> Any:
        """Return the resource of *client* that has ``create``, ``stream`` and ``parse``."""

    @abstractmethod
    def helper_stream(self, client: Any) -> Any:
        """Return the context manager of the client's own helper for streams, asking the same."""

    @abstractmethod
    def text_of(self, answer: Any) -> str:
        """Return the text of a client's answer."""

    # What the tests share.

    @pytest.fixture
    def server(self) -> Iterator[ScriptedServer]:
        """A server whose script the test writes."""
        with ScriptedServer() as server:
            yield server

    @asynccontextmanager
    async def model(self, server: ScriptedServer, **options: Any) -> AsyncIterator[ClientChatModel]:
        """Give a native model, and close it."""
        model = self.make_model(server.url, **{"api_key": KEY, **options})
        try:
            yield model
        finally:
            await model.aclose()

    @asynccontextmanager
    async def client(
        self, server: ScriptedServer, *, is_async: bool, **options: Any
    ) -> AsyncIterator[Any]:
        """Give the vendor's client, its calls being runs, and close it."""
        client = self.make_client(server.url, is_async=is_async, api_key=KEY, **options)
        try:
            yield self.instrument(client)
        finally:
            await got(client.close())

    def streamed(self, **options: Any) -> Reply:
        """Return the answer as a stream."""
        return Reply(events=self.events(WORDS), **options)

    # The native model.

    @each_way
    @in_loop
    async def test_answer_has_its_text_counts_and_metadata(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """What the server says of its answer is in the message, and handlers hear the same."""
        server.will(Reply(self.answer(ANSWER)))
        async with self.model(server) as model:
            config: Any = {"callbacks": [recorder]}
            ask = model.ainvoke if is_async else model.invoke
            message = await got(ask(QUESTION, config))

        assert ANSWER == message.text
        assert self.usage == message.usage_metadata
        assert {"id", "model", "stop_reason"} <= message.response_metadata.keys()
        assert ["on_chat_model_start", "on_llm_end"] == recorder.names()
        (generation,) = recorder.records[-1].payload["response"].generations[0]
        assert message == generation.message

    @each_way
    @in_loop
    async def test_stream_adds_up_to_the_answer(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The chunks make the message that would have come in one piece, counts included."""
        server.will(Reply(self.answer(ANSWER)), self.streamed())
        async with self.model(server) as model:
            whole = model.invoke(QUESTION)
            stream = model.astream if is_async else model.stream
            chunks = await all_of(stream(QUESTION, {"callbacks": [recorder]}))

        total = combined(chunks)
        assert (whole.content, whole.usage_metadata) == (total.content, total.usage_metadata)
        first_token = total.response_metadata.pop("time_to_first_token")
        assert whole.response_metadata == total.response_metadata
        assert 0 < first_token < recorder.runs[0].duration
        heard = [r.payload["token"] for r in recorder.records if r.name == "on_llm_new_token"]
        assert [chunk.text for chunk in chunks] == heard
        end = recorder.records[-1].payload["response"].generations[0][0].message
        assert self.usage == end.usage_metadata

    @in_loop
    async def test_batch_asks_for_each(
        self, server: ScriptedServer, recorder: RecordingHandler
    ) -> None:
        """Each input has a call and a run of its own."""
        server.will(Reply(self.answer("one")), Reply(self.answer("one")))
        async with self.model(server) as model:
            answers = model.batch(["a", "b"], {"callbacks": [recorder]})

        assert ["one", "one"] == [answer.text for answer in answers]
        name = type(model).__name__
        assert [f"chat_model {name}"] * 2 == recorder.trees()

    @in_loop
    async def test_start_says_what_is_asked_and_how(
        self, server: ScriptedServer, recorder: RecordingHandler
    ) -> None:
        """Messages, model and settings are told; headers, which may hold keys, are not."""
        server.will(Reply(self.answer(ANSWER)))
        async with self.model(server, temperature=0.5, max_tokens=7, stop=["."]) as model:
            headers = {"x-secret": KEY}
            model.invoke(QUESTION, {"callbacks": [recorder]}, extra_headers=headers)

        start = recorder.records[0]
        assert [[HumanMessage(QUESTION)]] == start.payload["messages"]
        params = start.payload["invocation_params"]
        assert ("model-1", 0.5, 7) == tuple(
            params[name] for name in ("model", "temperature", "max_tokens")
        )
        expected = {
            "ls_model_type": "chat",
            "ls_model_name": "model-1",
            "ls_temperature": 0.5,
            "ls_max_tokens": 7,
            "ls_stop": ["."],
        }
        assert expected.items() <= start.metadata.items()
        assert KEY not in repr(recorder.records)
        assert KEY == server.received[0].headers["x-secret"]

    @pytest.mark.parametrize("way", ["sync", "async", "stream", "astream"])
    @in_loop
    async def test_agent_completes_a_conversation_with_two_tools(
        self, server: ScriptedServer, recorder: RecordingHandler, way: str
    ) -> None:
        """Two tools are called at once, their results are sent, and the runs are the expected."""
        if way.endswith("stream"):
            server.will(
                Reply(events=self.events([], TWO_CALLS)), Reply(events=self.events(["Mild."]))
            )
        else:
            server.will(Reply(self.answer("", TWO_CALLS)), Reply(self.answer("Mild.")))
        async with self.model(server) as model:
            agent = create_agent(model, [weather, clock], system_prompt="Be brief.")
            config: Any = {"callbacks": [recorder]}
            if way.endswith("stream"):
                stream = agent.astream if way == "astream" else agent.stream
                messages = combined(await all_of(stream(QUESTION, config)))["messages"]
            else:
                ask = agent.ainvoke if way == "async" else agent.invoke
                messages = (await got(ask(QUESTION, config)))["messages"]

        asked = [(call["id"], call["name"], call["args"]) for call in messages[1].tool_calls]
        assert [*TWO_CALLS] == asked
        answers = {m.tool_call_id: m.text for m in messages if isinstance(m, ToolMessage)}
        assert {"call_1": "It is mild in Lisbon.", "call_2": "It is noon in Porto."} == answers
        assert "Mild." == messages[-1].text
        name = type(model).__name__
        lines = [line.partition(" tokens=")[0] for line in recorder.tree().splitlines()]
        assert [
            "chain agent action=2 finish=1",
            f"  chat_model {name}",
            "  tool weather [tool:call:1]",
            "  tool clock [tool:call:2]",
            f"  chat_model {name}",
        ] == lines
        assert [] == recorder.problems()
        first, second = (request.body for request in server.received)
        assert 2 == len(first["tools"])
        assert all(text in str(second["messages"]) for text in answers.values())

    @in_loop
    async def test_each_role_is_sent_and_read_back(
        self, server: ScriptedServer, recorder: RecordingHandler
    ) -> None:
        """A conversation is sent by the model as the client as a host reads it."""
        call = {"name": "weather", "args": {"city": "Lisbon"}, "id": "call_1", "type": "tool_call"}
        conversation = [
            SystemMessage("Be brief."),
            HumanMessage("How is the weather?"),
            AIMessage("I look.", tool_calls=[call]),  # type: ignore[list-item]
            ToolMessage("It is mild.", tool_call_id="call_1"),
        ]
        server.will(Reply(self.answer(ANSWER)), Reply(self.answer(ANSWER)))
        async with self.model(server) as model:
            model.invoke(conversation)
        sent = {k: v for k, v in server.received[0].body.items() if k in ("messages", "system")}
        async with self.client(server, is_async=False) as client:
            with attached(recorder):
                self.ask(self.resource(client), **sent)

        assert [conversation] == recorder.records[0].payload["messages"]

    @in_loop
    async def test_missing_key_is_a_sentence_before_any_request(
        self,
        server: ScriptedServer,
        recorder: RecordingHandler,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The variable is named, the run ends in an error, and nothing was sent."""
        model = self.make_model(server.url, api_key=None)
        monkeypatch.delenv(model.key_variable, raising=False)
        for ask in (model.invoke, model.ainvoke):
            with pytest.raises(MissingKeyError, match=f"{model.key_variable} is not set"):
                await got(ask(QUESTION, {"callbacks": [recorder]}))

        assert [] == server.received
        assert ["error", "error"] == [run.status for run in recorder.runs]

    @in_loop
    async def test_key_of_the_environment_is_sent_and_shown_nowhere(
        self,
        server: ScriptedServer,
        recorder: RecordingHandler,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A refused key is in no event, no log, no message and no text of the model."""
        caplog.set_level(logging.DEBUG)
        server.will(*[Reply({"error": {"message": "This key is not known."}}, status=401)] * 2)
        async with self.model(server, api_key=None) as model:
            monkeypatch.setenv(model.key_variable, KEY)
            with pytest.raises(Exception, match="not known") as raised:
                model.invoke(QUESTION, {"callbacks": [recorder]})
        async with self.model(server, api_key=f"{KEY}\n") as model:
            with pytest.raises(Exception, match="not known"):
                model.invoke(QUESTION, {"callbacks": [recorder]})

        assert all(KEY in str(request.headers) for request in server.received)
        assert 2 == len(server.received)
        shown = f"{raised.value!r} {recorder.records} {caplog.text} {model!r} {vars(model)}"
        assert KEY not in shown
        assert ["error AuthenticationError"] * 2 == [f"{r.status} {r.error}" for r in recorder.runs]

    @each_way
    @in_loop
    async def test_failed_attempts_are_told_as_retries(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """A limit with Retry-After, an error of the server's, then success: all in one run."""
        server.will(
            Reply({"error": {"message": "Too many."}}, 429, {"retry-after": "0.001"}),
            Reply({"error": {"message": "Broken."}}, 500, QUICKLY),
            Reply(self.answer(ANSWER)),
        )
        async with self.model(server, max_retries=2) as model:
            ask = model.ainvoke if is_async else model.invoke
            message = await got(ask(QUESTION, {"callbacks": [recorder]}))

        assert ANSWER == message.text
        assert [f"chat_model {type(model).__name__} retry=2"] == recorder.trees()
        retries = [r.payload["retry_state"] for r in recorder.records if r.name == "on_retry"]
        assert [(1, 429), (2, 500)] == [
            (state.attempt_number, state.outcome.exception().status_code) for state in retries
        ]
        assert 0.001 == retries[0].idle_for

    @each_way
    @in_loop
    async def test_cut_stream_is_an_error_with_what_came(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """A connection that breaks in the middle ends the run once, and the words are not lost."""
        events = self.first_words(self.events(WORDS), 2)
        server.will(Reply(events=events, is_cut=True))
        async with self.model(server) as model:
            stream = model.astream if is_async else model.stream
            with pytest.raises(Exception, match=r"(?i)peer closed|connection"):
                await all_of(stream(QUESTION, {"callbacks": [recorder]}))

        self.assert_failed(recorder, partial="1 + 2 = ")

    @each_way
    @in_loop
    async def test_malformed_answer_is_an_error(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """What is no JSON, and JSON that is no answer, end the run with an error."""
        server.will(Reply('{"id": "msg'), Reply({"error": "no"}), Reply("<html>", headers={}))
        async with self.model(server) as model:
            ask = model.ainvoke if is_async else model.invoke
            for kind in (ValueError, NoAnswerError, ValueError):
                with pytest.raises(kind):
                    await got(ask(QUESTION, {"callbacks": [recorder]}))

        assert ["error"] * 3 == [run.status for run in recorder.runs]
        assert [] == recorder.problems()

    @each_way
    @in_loop
    async def test_timeout_is_an_error(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """A server that does not answer within the seconds is given up."""
        answers = threading.Event()
        server.will(Reply(self.answer(ANSWER), until=answers))
        try:
            async with self.model(server, timeout=0.05, max_retries=0) as model:
                ask = model.ainvoke if is_async else model.invoke
                with pytest.raises(Exception, match=r"(?i)timed out"):
                    await got(ask(QUESTION, {"callbacks": [recorder]}))
        finally:
            answers.set()

        assert ["error APITimeoutError"] == [f"{r.status} {r.error}" for r in recorder.runs]

    @pytest.mark.parametrize("is_streamed", [False, True], ids=["answer", "stream"])
    @in_loop
    async def test_cancelled_task_ends_its_run_as_cancelled(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_streamed: bool
    ) -> None:
        """Before the answer, and in the middle of one, which is told as far as it came."""
        answers = threading.Event()
        begun = asyncio.Event()
        if is_streamed:
            events = self.first_words(self.events(WORDS), 1)
            server.will(Reply(events=[*events, answers], is_cut=True))
        else:
            server.will(Reply(self.answer(ANSWER), until=answers))

        async def ask(model: ClientChatModel) -> None:
            if not is_streamed:
                await model.ainvoke(QUESTION, {"callbacks": [recorder]})
            async for chunk in model.astream(QUESTION, {"callbacks": [recorder]}):
                if chunk.text:
                    begun.set()

        try:
            async with self.model(server) as model:
                task = asyncio.create_task(ask(model))
                if is_streamed:
                    await begun.wait()
                    await asyncio.sleep(0)
                else:
                    await asyncio.to_thread(server.asked.wait)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        finally:
            answers.set()

        (run,) = recorder.runs
        assert ("cancelled", 1) == (run.status, run.ends)
        if is_streamed:
            assert WORDS[0] == _text(recorder.records[-1].payload["response"])

    # The client as a host.

    @each_way
    @in_loop
    async def test_call_of_the_client_is_a_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """What is asked, answered and counted is told as of a native model."""
        server.will(Reply(self.answer(ANSWER)))
        async with self.client(server, is_async=is_async) as client:
            with attached(recorder):
                answer = await got(self.ask(self.resource(client)))

        assert ANSWER == self.text_of(answer)
        assert [f"chat_model {self.run_name}"] == recorder.trees()
        start, end = recorder.records
        assert [[HumanMessage(QUESTION)]] == start.payload["messages"]
        assert "model-1" == start.metadata["ls_model_name"]
        assert self.usage == self.counted(end.payload["response"])
        assert ANSWER == _text(end.payload["response"])

    @each_way
    @in_loop
    async def test_stream_of_the_client_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """Its events are told one by one, when they are read; the sum of them at the end."""
        more = threading.Event()
        events = self.events(WORDS)
        begun = self.first_words(events, 1)
        server.will(Reply(events=[*begun, more, *events[len(begun) :]]))
        async with self.client(server, is_async=is_async) as client:
            with attached(recorder):
                stream = await got(self.ask(self.resource(client), stream=True))
            assert ["on_chat_model_start"] == recorder.names()
            more.set()
            count = len(await all_of(stream))

        assert len([each for each in events if isinstance(each, Mapping)]) >= count > len(WORDS)
        heard = [r.payload["token"] for r in recorder.records if r.name == "on_llm_new_token"]
        assert [*WORDS] == [token for token in heard if token]
        response = recorder.records[-1].payload["response"]
        assert (ANSWER, self.usage) == (_text(response), self.counted(response))
        assert "time_to_first_token" in response.llm_output
        assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]

    @each_way
    @in_loop
    async def test_helper_for_streams_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The client's own accumulation reads the same stream."""
        server.will(self.streamed())
        async with self.client(server, is_async=is_async) as client:
            with attached(recorder):
                helper = self.helper_stream(client)
                if is_async:
                    async with helper as stream:
                        await all_of(stream)
                else:
                    with helper as stream:
                        await all_of(stream)

        assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]
        assert ANSWER == _text(recorder.records[-1].payload["response"])

    @each_way
    @in_loop
    async def test_raw_response_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """With the answer parsed later, and with its stream parsed later; both can be pickled."""
        server.will(Reply(self.answer(ANSWER)), self.streamed())
        async with self.client(server, is_async=is_async) as client:
            resource = self.resource(client).with_raw_response
            with attached(recorder):
                whole = await got(self.ask(resource))
                raw = await got(self.ask(resource, stream=True))
            assert ANSWER == self.text_of(await got(whole.parse()))
            assert await all_of(await got(raw.parse()))
            for each in (whole, raw):
                pickle.dumps(each.http_response)

        assert ["ok", "ok"] == [run.status for run in recorder.runs]
        texts = [_text(r.payload["response"]) for r in recorder.records if r.name == "on_llm_end"]
        assert [ANSWER, ANSWER] == texts

    @each_way
    @in_loop
    async def test_streaming_response_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """Parsed, read as lines, and never read: one end each."""
        server.will(Reply(self.answer(ANSWER)), self.streamed(), self.streamed())
        async with self.client(server, is_async=is_async) as client:
            resource = self.resource(client).with_streaming_response
            with attached(recorder):
                await self.inside(self.ask(resource), lambda raw: got(raw.parse()))
                await self.inside(
                    self.ask(resource, stream=True), lambda raw: all_of(raw.iter_lines())
                )
                await self.inside(self.ask(resource, stream=True), lambda _: asyncio.sleep(0))

        assert ["ok", "ok", "closed"] == [run.status for run in recorder.runs]
        responses = [r.payload["response"] for r in recorder.records if r.name == "on_llm_end"]
        assert [(ANSWER, self.usage)] * 2 == [(_text(r), self.counted(r)) for r in responses[:2]]
        assert [[[]]] == [r.generations for r in responses[2:]]

    async def inside(self, manager: Any, read: Callable[[Any], Any]) -> None:
        """Enter *manager*, of either sort, and read what it gives."""
        if hasattr(manager, "__aenter__"):
            async with manager as raw:
                await read(raw)
        else:
            with manager as raw:
                await read(raw)

    @each_way
    @in_loop
    async def test_stream_that_is_left_ends_as_closed(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """Closed, dropped, never read: what was read is told, and no run stays open."""
        server.will(self.streamed(), self.streamed(), self.streamed())
        async with self.client(server, is_async=is_async) as client:
            with attached(recorder):
                streams = [
                    await got(self.ask(self.resource(client), stream=True)) for _ in range(3)
                ]
            await self.read_a_word(streams[0], recorder)
            await got(streams[0].close())
            await self.read_a_word(streams[1], recorder)
            del streams[1:]
            gc.collect()
            async with asyncio.timeout(30):
                # The collector, the loop and a thread have their parts in it.
                while any(run.status is None for run in recorder.runs):
                    await asyncio.sleep(0)

        assert ["closed"] * 3 == [run.status for run in recorder.runs]
        texts = [_text(r.payload["response"]) for r in recorder.records if r.name == "on_llm_end"]
        assert ["", WORDS[0], WORDS[0]] == sorted(texts)

    async def read_a_word(self, stream: Any, recorder: RecordingHandler) -> None:
        """Read *stream* until one more word of it was told."""
        words = _count_words(recorder)
        while _count_words(recorder) == words:
            await (anext(stream) if hasattr(stream, "__anext__") else got(next(stream)))

    @each_way
    @in_loop
    async def test_failures_of_the_client_are_those_of_the_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """A wrong key, a cut stream: the caller's exception, one end, the words that came."""
        events = self.first_words(self.events(WORDS), 2)
        server.will(
            Reply({"error": {"message": "This key is not known."}}, 401),
            Reply(events=events, is_cut=True),
        )
        async with self.client(server, is_async=is_async) as client:
            with attached(recorder):
                with pytest.raises(Exception, match="not known") as refused:
                    await got(self.ask(self.resource(client)))
                stream = await got(self.ask(self.resource(client), stream=True))
            with pytest.raises(Exception, match=r"(?i)peer closed|connection"):
                await all_of(stream)

        first, second = recorder.runs
        assert refused.value is recorder.records[1].payload["error"]
        assert ("error", 1) == (first.status, first.ends)
        assert ("error", 1) == (second.status, second.ends)
        assert "1 + 2 = " == _text(recorder.records[-1].payload["response"])
        assert KEY not in repr(recorder.records)

    @each_way
    @in_loop
    async def test_attempts_of_the_client_are_told_as_retries(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The client tries again by itself: one run, in which each failure is told."""
        server.will(
            Reply({"error": {"message": "Too many."}}, 429, QUICKLY),
            Reply(self.answer(ANSWER)),
        )
        async with self.client(server, is_async=is_async) as client:
            with attached(recorder):
                await got(self.ask(self.resource(client)))

        assert [f"chat_model {self.run_name} retry=1"] == recorder.trees()

    @in_loop
    async def test_cancelled_call_of_the_client_ends_as_cancelled(
        self, server: ScriptedServer, recorder: RecordingHandler
    ) -> None:
        """While the server is waited for, and while a stream is read."""
        answers = threading.Event()
        server.will(Reply(self.answer(ANSWER), until=answers))
        try:
            async with self.client(server, is_async=True) as client:
                with attached(recorder):
                    task = asyncio.create_task(self.ask(self.resource(client)))
                await asyncio.to_thread(server.asked.wait)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        finally:
            answers.set()

        assert [("cancelled", 1)] == [(run.status, run.ends) for run in recorder.runs]

    @each_way
    @in_loop
    async def test_native_model_on_a_watched_client_makes_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """One call is one run, whoever hears of it twice."""
        server.will(Reply(self.answer(ANSWER)), self.streamed())
        async with self.model(server) as model:
            client = model.own_client(is_async=is_async)
            self.instrument(client)
            chain = ChatPromptTemplate.from_template("{question}") | model
            config: Any = {"callbacks": [recorder]}
            asked = {"question": QUESTION}
            await got((chain.ainvoke if is_async else chain.invoke)(asked, config))
            await all_of((chain.astream if is_async else chain.stream)(asked, config))

        kinds = [run.run_type for run in recorder.runs]
        assert ["chain", "prompt", "chat_model"] * 2 == kinds

    @each_way
    @in_loop
    async def test_call_is_nested_in_the_run_around_it(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """A plain function of a chain asks a client: its run is the chain's child."""
        server.will(Reply(self.answer(ANSWER)), Reply(self.answer(ANSWER)))
        async with self.client(server, is_async=is_async) as client:
            copy = client.with_options(timeout=5)

            def ask(_: str) -> Any:
                return self.text_of(self.ask(self.resource(copy)))

            async def aask(_: str) -> Any:
                return self.text_of(await self.ask(self.resource(copy)))

            step: Any = RunnableLambda(aask if is_async else ask)
            await got((step.ainvoke if is_async else step.invoke)("", {"callbacks": [recorder]}))
            # Nobody hears the second one.
            await got(self.ask(self.resource(client)))

        assert [
            f"chain {'aask' if is_async else 'ask'}",
            f"  chat_model {self.run_name}",
        ] == recorder.tree().splitlines()

    # What a run says.

    def counted(self, response: LLMResult) -> Any:
        """Return the counts of a result."""
        return response.generations[0][0].message.usage_metadata

    def assert_failed(self, recorder: RecordingHandler, *, partial: str) -> None:
        """Check for one run with one end, an error that has *partial* as its response."""
        (run,) = recorder.runs
        assert ("error", 1) == (run.status, run.ends)
        assert partial == _text(recorder.records[-1].payload["response"])


def _text(response: LLMResult) -> str:
    return "".join(each.text for each in response.generations[0])


def _count_words(recorder: RecordingHandler) -> int:
    return sum(bool(record.payload.get("token")) for record in recorder.records)
