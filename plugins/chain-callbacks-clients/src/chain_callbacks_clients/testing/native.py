"""The native chat model on a vendor's client."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, Final

import pytest

from chain_callbacks import attached
from chain_callbacks.runnables import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    create_agent,
    tool,
)
from chain_callbacks.testing import RecordingHandler, Reply, ScriptedServer

from .. import ClientChatModel, MissingKeyError, NoAnswerError
from .vendor import (
    ANSWER,
    KEY,
    QUESTION,
    QUICKLY,
    WORDS,
    Call,
    VendorSuite,
    all_of,
    cancelled,
    each_way,
    got,
    in_loop,
    text_told,
)


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
ONE_CALL: Final[Sequence[Call]] = (("call_3", "weather", {"city": "Faro"}),)


class NativeSuite(VendorSuite):
    """The promises of the native model, synchronous and asynchronous, whole and streamed."""

    def test_importing_and_making_a_model_loads_no_client(self) -> None:
        """The vendor's client is imported at the first call."""
        kind = type(self.make_model(""))
        module, name, client = kind.__module__.partition(".")[0], kind.__name__, kind.vendor.package
        code = (
            f"import sys; from {module} import {name}; "
            f"{name}('model-1', api_key='none'); print({client!r} in sys.modules)"
        )
        command = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        assert done.stdout == "False\n"

    @each_way
    @in_loop
    async def test_answer_has_its_text_counts_and_metadata(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The message has what the server says of its answer, and handlers get the same."""
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
        """The chunks add up to the message that a single answer would be, counts included."""
        server.will(Reply(self.answer(ANSWER)), self.streamed())
        async with self.model(server) as model:
            whole = model.invoke(QUESTION)
            stream = model.astream if is_async else model.stream
            chunks = await all_of(stream(QUESTION, {"callbacks": [recorder]}))

        total = reduce(add, chunks)
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
        """Handlers see messages, model and settings, but no headers, which may hold keys."""
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
        """Two tools at once, then one more: results are sent, and the tree is as expected."""
        script = [("", TWO_CALLS), ("And there?", ONE_CALL), ("Mild.", ())]
        for text, calls in script:
            if way.endswith("stream"):
                server.will(Reply(events=self.events([text] if text else [], calls)))
            else:
                server.will(Reply(self.answer(text, calls)))
        async with self.model(server) as model:
            agent = create_agent(model, [weather, clock], system_prompt="Be brief.")
            config: Any = {"callbacks": [recorder]}
            if way.endswith("stream"):
                stream = agent.astream if way == "astream" else agent.stream
                chunks = await all_of(stream(QUESTION, config))
                messages = [message for chunk in chunks for message in chunk["messages"]]
            else:
                ask = agent.ainvoke if way == "async" else agent.invoke
                messages = (await got(ask(QUESTION, config)))["messages"]

        asked = [(call["id"], call["name"], call["args"]) for call in messages[1].tool_calls]
        assert [*TWO_CALLS] == asked
        answers = {m.tool_call_id: m.text for m in messages if isinstance(m, ToolMessage)}
        assert {
            "call_1": "It is mild in Lisbon.",
            "call_2": "It is noon in Porto.",
            "call_3": "It is mild in Faro.",
        } == answers
        assert "Mild." == messages[-1].text
        name = type(model).__name__
        lines = [line.partition(" tokens=")[0] for line in recorder.tree().splitlines()]
        assert [
            "chain agent action=3 finish=1",
            f"  chat_model {name}",
            "  tool weather [tool:call:1]",
            "  tool clock [tool:call:2]",
            f"  chat_model {name}",
            "  tool weather [tool:call:1]",
            f"  chat_model {name}",
        ] == lines
        assert [] == recorder.problems()
        first, _, last = (request.body for request in server.received)
        assert 2 == len(first["tools"])
        assert all(text in str(last["messages"]) for text in answers.values())

    @in_loop
    async def test_each_role_is_sent_and_read_back(
        self, server: ScriptedServer, recorder: RecordingHandler
    ) -> None:
        """A conversation that the model sends is read by the host as the same messages."""
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
        """The message names the variable, the run ends in an error, and nothing is sent."""
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
        """A refused key is in no event, log, message or repr."""
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
        """A rate limit with Retry-After, a server error, then success: all in one run."""
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
        """A connection that breaks ends the run once, and the words so far are kept."""
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
        """Invalid JSON, and JSON that is no answer, end the run with an error."""
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
        """The model gives up on a server that does not answer in time."""
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
        """Before the answer, and in the middle of a stream, whose words are kept."""
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
                await cancelled(task)
        finally:
            answers.set()

        (run,) = recorder.runs
        assert ("cancelled", 1) == (run.status, run.ends)
        if is_streamed:
            assert WORDS[0] == text_told(recorder.records[-1].payload["response"])
