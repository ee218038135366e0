"""A vendor's plugin in a page, on a real client: the hooks, and the native model."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar

import openai
import pytest

from chain_callbacks import attached
from chain_callbacks.runnables import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from chain_callbacks.testing import RecordingHandler, Reply, ScriptedServer
from chain_callbacks_clients import (
    ClientChatModel,
    MissingKeyError,
    NoAnswerError,
    Piece,
    Vendor,
    hooks,
    watch,
    watch_all,
)

# What an author writes.


class Texts:
    """An endpoint that knows texts alone."""

    name = "small.texts"
    answer = "a text"
    content = frozenset({"messages"})

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        return [HumanMessage(each["content"]) for each in body["messages"]]

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        return [AIMessage(each["message"]["content"]) for each in answer.get("choices", ())]

    def reader(self) -> TextReader:
        return TextReader()


class OtherTexts(Texts):
    name = "other.texts"


class TextReader:
    is_complete = False

    def read(self, event: Mapping[str, Any]) -> Iterable[Piece]:
        for choice in event["choices"]:
            yield Piece(AIMessageChunk(choice["delta"].get("content") or ""))


SMALL = Vendor("small", "openai", {"/chat/completions": Texts()})


class SmallChatModel(ClientChatModel):
    vendor = SMALL
    endpoint = Texts()
    key_variable = "SMALL_API_KEY"
    defaults: ClassVar[Mapping[str, Any]] = {"temperature": 1}

    def _make_client(self, *, is_async: bool, **options: Any) -> Any:
        return (openai.AsyncOpenAI if is_async else openai.OpenAI)(**options)

    def _body(self, messages: list[BaseMessage], settings: Mapping[str, Any]) -> dict[str, Any]:
        asked = [{"role": "user", "content": each.text} for each in messages]
        return {**settings, "messages": asked}

    def _method(self, client: Any) -> Any:
        return client.chat.completions.create

    def _tool_choice(self, choice: str) -> Any:
        return choice


# Its server, and its tests.

ASKED: dict[str, Any] = {"model": "small-1", "messages": [{"role": "user", "content": "Hi"}]}
HEAD = {"id": "1", "created": 1, "model": "small-1"}


def answer(text: str = "Hello.") -> Reply:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Reply({**HEAD, "object": "chat.completion", "choices": [choice]})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server whose script the test writes."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _nobody_watches_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the clients of other tests of this process alone."""
    monkeypatch.setattr(hooks, "_everywhere", {})


def client_of(server: ScriptedServer, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", **options)


def model_of(server: ScriptedServer, **options: Any) -> SmallChatModel:
    return SmallChatModel("small-1", base_url=f"{server.url}/v1", api_key="none", **options)


def texts(recorder: RecordingHandler) -> list[str]:
    """Return the texts of the answers that were told."""
    responses = [r.payload["response"] for r in recorder.records if r.name == "on_llm_end"]
    return [each.generations[0][0].text for each in responses]


def test_watched_client_and_its_copies_are_heard(
    server: ScriptedServer, recorder: RecordingHandler
) -> None:
    """Another client is not."""
    server.will(answer("one"), answer("two"), answer("three"))
    with client_of(server) as client, client_of(server) as other, attached(recorder):
        watch(SMALL, client)
        for each in (client, client.with_options(timeout=5), other):
            each.chat.completions.create(**ASKED)

    assert ["chat_model small.texts"] * 2 == recorder.trees()
    assert ["one", "two"] == texts(recorder)


def test_every_client_is_heard_if_all_are_watched(
    server: ScriptedServer, recorder: RecordingHandler
) -> None:
    """Those made before, too."""
    server.will(answer("one"), answer("two"))
    with client_of(server) as before:
        watch_all(SMALL)
        with client_of(server) as after, attached(recorder):
            for each in (before, after):
                each.chat.completions.create(**ASKED)

    assert ["one", "two"] == texts(recorder)


def test_client_is_read_as_the_vendor_that_watches_it(
    server: ScriptedServer, recorder: RecordingHandler
) -> None:
    """One client serves several vendors, whose requests and answers may differ."""
    other = Vendor("other", "openai", {"/chat/completions": OtherTexts()})
    server.will(answer(), answer())
    with client_of(server) as client, client_of(server) as second, attached(recorder):
        watch_all(SMALL)
        watch(other, second)
        for each in (client, second):
            each.chat.completions.create(**ASKED)

    assert ["chat_model small.texts", "chat_model other.texts"] == recorder.trees()


def test_bytes_of_an_answer_are_read_as_the_program_reads_them(
    server: ScriptedServer, recorder: RecordingHandler
) -> None:
    """A whole answer that is read in pieces is told as one."""
    server.will(answer("in pieces"))
    with client_of(server) as client, attached(recorder):
        raw = watch(SMALL, client).chat.completions.with_streaming_response
        with raw.create(**ASKED) as response:
            assert b"in pieces" in b"".join(response.iter_bytes(10))

    assert ["in pieces"] == texts(recorder)
    assert [("ok", 1)] == [(run.status, run.ends) for run in recorder.runs]


def test_attempt_without_a_response_is_told_as_a_retry(
    server: ScriptedServer, recorder: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken connection has no status: the exception is the one that the client caught."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    broken = Reply("x" * 100, is_cut=True)
    server.will(broken, broken, answer(), broken, answer())

    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            await watch(SMALL, client).chat.completions.create(**ASKED)

    with attached(recorder):
        asyncio.run(ask())
        with client_of(server) as client:
            watch(SMALL, client).chat.completions.create(**ASKED)

    states = [r.payload["retry_state"] for r in recorder.records if r.name == "on_retry"]
    assert [1, 2, 1] == [each.attempt_number for each in states]
    assert ["RemoteProtocolError"] * 3 == [
        type(each.outcome.exception()).__name__ for each in states
    ]
    assert ["chat_model small.texts retry=2", "chat_model small.texts retry=1"] == recorder.trees()


def test_hooks_are_put_in_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of another build is left as it was, and may be tried again."""

    class Client:
        def request(self) -> None: ...

        def _process_response(self) -> None: ...

    def module(name: str, **names: type) -> None:
        made = ModuleType(name)
        vars(made).update(names)
        monkeypatch.setitem(sys.modules, name, made)

    module("otherwise")
    module("otherwise._base_client", SyncAPIClient=Client, AsyncAPIClient=Client)
    module("otherwise._streaming", Stream=Client, AsyncStream=Client)
    before = dict(vars(Client))

    for _ in range(2):
        with pytest.raises(AttributeError, match="_sleep_for_retry"):
            watch_all(Vendor("otherwise", "otherwise"))
    assert before == dict(vars(Client))


def test_hooks_are_put_in_once(
    server: ScriptedServer, recorder: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second thread, or a child that was forked halfway, puts in those that are lacking."""
    owner: Any = openai._base_client.SyncAPIClient
    server.will(answer())
    with client_of(server) as client, attached(recorder):
        watch(SMALL, client)
        hooked = owner._process_response
        monkeypatch.setattr(owner, "request", owner.request.__wrapped__)
        monkeypatch.setattr(hooks, "_hooked", set())
        watch(SMALL, client)
        client.chat.completions.create(**ASKED)

    assert hooked is owner._process_response
    assert ["chat_model small.texts"] == recorder.trees()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_native_model_answers_through_the_client(
    server: ScriptedServer, recorder: RecordingHandler, *, is_async: bool
) -> None:
    """One run; settings that the client does not know are sent all the same."""
    server.will(answer())
    model = model_of(server, max_tokens=5, mood="mild", top_k=None)

    async def ask() -> AIMessage:
        config: Any = {"callbacks": [recorder]}
        try:
            return await model.ainvoke("Hi", config) if is_async else model.invoke("Hi", config)
        finally:
            await model.aclose()

    assert "Hello." == asyncio.run(ask()).text
    assert ["chat_model SmallChatModel"] == recorder.trees()
    expected = {**ASKED, "temperature": 1, "max_tokens": 5, "mood": "mild"}
    assert expected == server.received[0].body


def test_native_model_has_a_client_for_each_loop(server: ScriptedServer) -> None:
    """Connections belong to the loop that opened them; none outlives its loop."""
    server.will(answer(), answer(), answer())
    model = model_of(server)
    clients = []

    async def ask() -> None:
        await model.ainvoke("Hi")
        client = model.own_client(is_async=True)
        assert client is model.own_client(is_async=True)
        clients.append(client)
        await model.aclose()

    asyncio.run(ask())
    asyncio.run(ask())
    model.invoke("Hi")
    clients.append(model.own_client(is_async=False))
    model.close()

    assert 3 == len({id(each) for each in clients})
    assert all(each.is_closed() for each in clients)


def test_threads_that_call_first_share_one_client(server: ScriptedServer) -> None:
    """Both make one, since neither waits for the other: the one that is not kept is closed."""
    server.will(answer(), answer())
    both = threading.Barrier(2)
    made = []

    class Model(SmallChatModel):
        def _make_client(self, *, is_async: bool, **options: Any) -> Any:
            both.wait(30)
            made.append(super()._make_client(is_async=is_async, **options))
            return made[-1]

    model = Model("small-1", base_url=f"{server.url}/v1", api_key="none")
    assert ["Hello."] * 2 == [each.text for each in model.batch(["Hi", "Hi"])]
    kept = model.own_client(is_async=False)
    assert [each is not kept for each in made] == [each.is_closed() for each in made]
    assert 2 == len(made)
    model.close()
    assert kept.is_closed()


def test_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent; the message says what to set, and the attributes too."""
    monkeypatch.delenv("SMALL_API_KEY", raising=False)

    with pytest.raises(MissingKeyError, match="SMALL_API_KEY is not set") as raised:
        SmallChatModel("small-1").invoke("Hi")
    assert ("SmallChatModel", "SMALL_API_KEY") == (raised.value.model, raised.value.variable)


def test_success_that_is_no_answer_is_an_error(server: ScriptedServer) -> None:
    """The message says what was expected."""
    server.will(Reply({"choices": []}))
    model = model_of(server)

    with pytest.raises(NoAnswerError, match="a text") as raised:
        model.invoke("Hi")
    model.close()
    assert ("SmallChatModel", "a text") == (raised.value.model, raised.value.expected)


def test_assertions_of_the_suite_show_their_values() -> None:
    """An author whose plugin breaks a promise sees by how much."""
    import chain_callbacks_clients.testing

    modules = [
        sys.modules[f"{chain_callbacks_clients.testing.__name__}.{name}"]
        for name in ("host", "native", "vendor")
    ]
    assert ["AssertionRewritingHook"] * 3 == [type(each.__loader__).__name__ for each in modules]
