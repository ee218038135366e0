"""The client as a host: its calls are runs, and its callers notice nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from chain_callbacks import attached
from chain_callbacks.runnables import ChatPromptTemplate, HumanMessage, RunnableLambda
from chain_callbacks.testing import RecordingHandler, Reply, ScriptedServer

from .. import hooks
from ..calls import Call
from .vendor import (
    ANSWER,
    KEY,
    QUESTION,
    QUICKLY,
    WORDS,
    VendorSuite,
    all_of,
    cancelled,
    each_way,
    got,
    in_loop,
    text_told,
    words_told,
)

_RUN: Final = ("-m", "chain_callbacks", "run")


class HostSuite(VendorSuite):
    """The promises of the client as a host, however it is called."""

    def test_application_prints_the_same_with_us(self) -> None:
        """Each call is a run, however it is made, and the program prints the same bytes."""
        application = self.application()
        printed = []
        for command in ((), _RUN):
            with ScriptedServer(*application.replies) as server:
                named = {"CHAIN_CALLBACKS": "structlog"} if command else {}
                done = subprocess.run(  # noqa: S603  The test's own program.
                    [sys.executable, *command, application.path],
                    env={**self._outside(), **application.variables(server.url), **named},
                    check=False,
                    capture_output=True,
                    timeout=60,
                )
            assert done.returncode == 0, done.stderr.decode()
            assert len(application.replies) == len(server.received), done.stderr
            printed.append((done.stdout, done.stderr))
        (plain, nothing), (told, log) = printed

        assert (plain, b"") == (told, nothing)
        events = [json.loads(line) for line in log.splitlines()]
        names = [each["run_name"] for each in events if each["event"] == "chat_model_start"]
        assert [*application.runs] == names
        assert len(names) == sum(each["event"] in ("llm_end", "llm_error") for each in events)

    def test_doctor_says_that_the_client_is_bridged(self) -> None:
        """The finding names the distribution, and says how a program turns the bridge on."""
        kind = type(self.make_model(""))
        done = subprocess.run(
            [sys.executable, "-m", "chain_callbacks", "doctor", "--json"],
            env=self._outside(),
            check=True,
            capture_output=True,
        )
        (found,) = [
            each
            for each in json.loads(done.stdout)["findings"]
            if (each["subject"], each["distribution"]) == (kind.vendor.package, self._plugin())
        ]
        assert "ok" == found["status"]
        assert "chain-callbacks run" in found["remedy"]

    def _plugin(self) -> str:
        return type(self.make_model("")).__module__.partition(".")[0].replace("_", "-")

    def _outside(self) -> dict[str, str]:
        """Return the environment without settings, but for the bridge: it may be a stranger's."""
        outside = {k: v for k, v in os.environ.items() if "CHAIN_CALLBACKS" not in k}
        host = f"{self._plugin()}/{type(self.make_model('')).vendor.package}"
        return {**outside, "CHAIN_CALLBACKS_HOSTS": host}

    @each_way
    @in_loop
    async def test_call_of_the_client_is_a_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The run has the question, the answer and the token counts, as a native model's has."""
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
        assert ANSWER == text_told(end.payload["response"])

    @each_way
    @in_loop
    async def test_stream_of_the_client_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """Each token is issued when it is read, and the end has the whole answer."""
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
        assert (ANSWER, self.usage) == (text_told(response), self.counted(response))
        assert "time_to_first_token" in response.llm_output
        assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]

    @each_way
    @in_loop
    async def test_helper_for_streams_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The client's own helper, which accumulates a stream, reads the same events."""
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
        assert ANSWER == text_told(recorder.records[-1].payload["response"])

    @each_way
    @in_loop
    async def test_raw_response_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """An answer, and a stream, may be parsed later; both responses can be pickled."""
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
        texts = [
            text_told(r.payload["response"]) for r in recorder.records if r.name == "on_llm_end"
        ]
        assert [ANSWER, ANSWER] == texts

    @each_way
    @in_loop
    async def test_streaming_response_is_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """Parsed, read as lines, never read: each run has one end."""
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
        assert [(ANSWER, self.usage)] * 2 == [
            (text_told(r), self.counted(r)) for r in responses[:2]
        ]
        assert [[[]]] == [r.generations for r in responses[2:]]

    async def inside(self, manager: Any, read: Callable[[Any], Any]) -> None:
        """Enter *manager*, synchronous or asynchronous, and read what it yields."""
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
        """Closed, dropped, never read: the end has what was read, and no run stays open."""
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
                # The collector, the loop and a thread all take part.
                while any(  # noqa: ASYNC110  None of them sets an event.
                    run.status is None for run in recorder.runs
                ):
                    await asyncio.sleep(0)

        assert ["closed"] * 3 == [run.status for run in recorder.runs]
        texts = [
            text_told(r.payload["response"]) for r in recorder.records if r.name == "on_llm_end"
        ]
        assert ["", WORDS[0], WORDS[0]] == sorted(texts)

    @each_way
    @in_loop
    async def test_open_stream_is_as_hard_to_copy_as_without_us(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The errors, and the unpickled response, are the client's own."""
        server.will(self.streamed(), self.streamed())
        told = []
        async with self.client(server, is_async=is_async) as client:
            with attached(recorder):
                watched = await got(self.ask(self.resource(client), stream=True))
            with attached("none"):
                plain = await got(self.ask(self.resource(client), stream=True))
            for stream in (watched, plain):
                with pytest.raises(TypeError) as refused:
                    pickle.dumps(stream)
                given = pickle.loads(pickle.dumps(stream.response))  # noqa: S301  Our own.
                told.append((str(refused.value), type(given), sorted(vars(given))))
                await got(stream.close())
                await got(stream.close())

        assert told[0] == told[1]
        assert ["closed"] == [run.status for run in recorder.runs]

    async def read_a_word(self, stream: Any, recorder: RecordingHandler) -> None:
        """Read *stream* until one more word of it was recorded."""
        words = words_told(recorder)
        while words_told(recorder) == words:
            await (anext(stream) if hasattr(stream, "__anext__") else got(next(stream)))

    @each_way
    @in_loop
    async def test_failures_of_the_client_are_those_of_the_run(
        self,
        server: ScriptedServer,
        recorder: RecordingHandler,
        caplog: pytest.LogCaptureFixture,
        *,
        is_async: bool,
    ) -> None:
        """A wrong key, a cut stream: the caller's exception, one end, the words so far."""
        caplog.set_level(logging.DEBUG)
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
        assert "1 + 2 = " == text_told(recorder.records[-1].payload["response"])
        assert KEY not in f"{recorder.records} {caplog.text}"

    @each_way
    @in_loop
    async def test_attempts_of_the_client_are_told_as_retries(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """The client tries again by itself: one run, with a retry for each failure."""
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
        """While it waits for the server, and in the middle of a stream, whose words are kept."""
        answers = threading.Event()
        begun = self.first_words(self.events(WORDS), 1)
        server.will(
            Reply(self.answer(ANSWER), until=answers), Reply(events=[*begun, answers], is_cut=True)
        )
        has_begun = asyncio.Event()

        async def read(stream: Any) -> None:
            async for _ in stream:
                if words_told(recorder):
                    has_begun.set()

        try:
            async with self.client(server, is_async=True) as client:
                with attached(recorder):
                    waiting = asyncio.create_task(self.ask(self.resource(client)))
                    await asyncio.to_thread(server.asked.wait)
                    await cancelled(waiting)
                    stream = await self.ask(self.resource(client), stream=True)
                reading = asyncio.create_task(read(stream))
                await has_begun.wait()
                await asyncio.sleep(0)
                await cancelled(reading)
        finally:
            answers.set()

        assert [("cancelled", 1)] * 2 == [(run.status, run.ends) for run in recorder.runs]
        assert WORDS[0] == text_told(recorder.records[-1].payload["response"])

    @each_way
    @in_loop
    async def test_answers_that_are_none_end_their_runs(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """Invalid JSON, JSON that is no answer, a timeout: one end each, as the caller saw it."""
        answers = threading.Event()
        server.will(Reply('{"id": "msg'), Reply(["no"]), Reply(self.answer(ANSWER), until=answers))
        outcomes: list[Exception | None] = []
        try:
            async with self.client(server, is_async=is_async) as client:
                hasty = client.with_options(timeout=0.05, max_retries=0)
                for each in (client, client, hasty):
                    with attached(recorder):
                        try:
                            await got(self.ask(self.resource(each)))
                        except Exception as error:
                            outcomes.append(error)
                        else:
                            outcomes.append(None)
        finally:
            answers.set()

        assert ["ok" if each is None else "error" for each in outcomes] == [
            run.status for run in recorder.runs
        ]
        assert "APITimeoutError" == recorder.runs[-1].error
        assert [] == recorder.problems()

    @each_way
    @in_loop
    async def test_native_model_on_a_watched_client_makes_one_run(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """One call is one run, although both the model and the client are instrumented."""
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

    @in_loop
    async def test_client_that_nobody_instrumented_is_left_alone(
        self,
        server: ScriptedServer,
        recorder: RecordingHandler,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Instrumenting one client leaves the others alone."""
        # Other tests in this process may have instrumented all clients.
        monkeypatch.setattr(hooks, "_everywhere", {})
        server.will(Reply(self.answer(ANSWER)))
        async with self.client(server, is_async=False):
            other = self.make_client(server.url, is_async=False, api_key=KEY)
            with other, attached(recorder):
                self.ask(self.resource(other))

        assert () == recorder.records

    @each_way
    @in_loop
    async def test_call_is_nested_in_the_run_around_it(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """A function in a chain calls a client: the run is a child of the chain's."""
        server.will(Reply(self.answer(ANSWER)), Reply(self.answer(ANSWER)))
        async with self.client(server, is_async=is_async) as client:
            copy = client.with_options(timeout=5)

            def ask(_: str) -> Any:
                return self.text_of(self.ask(self.resource(copy)))

            async def aask(_: str) -> Any:
                return self.text_of(await self.ask(self.resource(copy)))

            step: Any = RunnableLambda(aask if is_async else ask)
            await got((step.ainvoke if is_async else step.invoke)("", {"callbacks": [recorder]}))
            # Nobody listens to the second one.
            await got(self.ask(self.resource(client)))

        assert [
            f"chain {'aask' if is_async else 'ask'}",
            f"  chat_model {self.run_name}",
        ] == recorder.tree().splitlines()

    @each_way
    @in_loop
    async def test_call_below_a_removal_is_told_to_nobody(
        self, server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
    ) -> None:
        """`none` for a step silences the client that it asks, and no call beside it."""
        server.will(Reply(self.answer(ANSWER)), Reply(self.answer(ANSWER)))
        async with self.client(server, is_async=is_async) as client:

            def ask(_: str) -> Any:
                return self.text_of(self.ask(self.resource(client)))

            async def aask(_: str) -> Any:
                return self.text_of(await self.ask(self.resource(client)))

            step: Any = RunnableLambda(aask if is_async else ask)
            with attached(recorder):
                silent = {"callbacks": ["none"]}
                await got((step.ainvoke if is_async else step.invoke)("", silent))
                assert () == recorder.records
                await got(self.ask(self.resource(client)))

        assert f"chat_model {self.run_name}" == recorder.tree()

    @in_loop
    async def test_connection_that_is_kept_open_holds_no_answer(
        self, server: ScriptedServer, recorder: RecordingHandler
    ) -> None:
        """It holds the context that it was opened in, and so the first call over it."""
        server.will(Reply(self.answer(ANSWER)), self.streamed())
        async with self.client(server, is_async=True) as client:
            with attached(recorder):
                await got(self.ask(self.resource(client)))
                await all_of(await got(self.ask(self.resource(client), stream=True)))
            gc.collect()
            calls = [each for each in gc.get_objects() if type(each) is Call]

        assert 2 == len(recorder.runs)
        assert [] == [each for each in calls if each._given or each._answer]
