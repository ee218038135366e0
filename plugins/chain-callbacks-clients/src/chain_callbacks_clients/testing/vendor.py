"""What a plugin's tests say about their vendor's server, and what the suites share."""

from __future__ import annotations

import asyncio
import functools
import inspect
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from chain_callbacks.runnables import LLMResult
from chain_callbacks.testing import RecordingHandler, Reply, ScriptedServer

from .. import ClientChatModel

KEY: Final = "sk-c4n4ry-0123456789"
QUESTION: Final = "What is 1 + 2?"
WORDS: Final = ("1 + ", "2 = ", "3")
ANSWER: Final = "".join(WORDS)
QUICKLY: Final = {"retry-after-ms": "1"}

Call = tuple[str, str, Mapping[str, Any]]
"""A tool call in an answer: its id, the tool's name, its arguments."""


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Return *test* as a function that pytest can call."""

    @functools.wraps(test)
    def call(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return call


each_way = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


async def got(value: Any) -> Any:
    """Return *value*, awaited if it is awaitable."""
    return await value if inspect.isawaitable(value) else value


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel *task* and wait for it."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def all_of(stream: Any) -> list[Any]:
    """Return the items of a synchronous or asynchronous stream."""
    if hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


@dataclass(frozen=True)
class Application:
    """A program that uses the vendor's client and does not know us.

    Attributes:
        path: The program's file.
        variables: Returns its environment variables for a server's address.
        replies: The server's answers.
        runs: The names of its calls' runs, in order.
    """

    path: Path
    variables: Callable[[str], dict[str, str]]
    replies: Sequence[Reply]
    runs: Sequence[str]


class VendorSuite:
    """The promises of a vendor's plugin; a subclass answers as the vendor does.

    Attributes:
        run_name: The name of the runs of the client as a host.
        usage: The token counts of each answer, as ``usage_metadata``.
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
        """Return the events of a streamed answer; two of them share the arguments of each call."""

    @abstractmethod
    def first_words(self, events: Sequence[Any], count: int) -> list[Any]:
        """Return *events* up to the one with word number *count*."""

    @abstractmethod
    def ask(self, resource: Any, **more: Any) -> Any:
        """Ask ``QUESTION`` by ``create`` of *resource*, plain or with raw responses."""

    @abstractmethod
    def resource(self, client: Any) -> Any:
        """Return the resource of *client* that has ``create``, ``stream`` and ``parse``."""

    @abstractmethod
    def helper_stream(self, client: Any) -> Any:
        """Ask the same by the client's own helper for streams; return its context manager."""

    @abstractmethod
    def application(self) -> Application:
        """Return an application that must print the same with us and without."""

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
        """Yield a native model, then close it."""
        model = self.make_model(server.url, **{"api_key": KEY, **options})
        try:
            yield model
        finally:
            await model.aclose()

    @asynccontextmanager
    async def client(
        self, server: ScriptedServer, *, is_async: bool, **options: Any
    ) -> AsyncIterator[Any]:
        """Yield the vendor's client, instrumented, then close it."""
        client = self.make_client(server.url, is_async=is_async, api_key=KEY, **options)
        try:
            yield self.instrument(client)
        finally:
            await got(client.close())

    def streamed(self, **options: Any) -> Reply:
        """Return the answer as a stream."""
        return Reply(events=self.events(WORDS), **options)

    # What a run has.

    def counted(self, response: LLMResult) -> Any:
        """Return the token counts of a result."""
        return response.generations[0][0].message.usage_metadata

    def assert_failed(self, recorder: RecordingHandler, *, partial: str) -> None:
        """Check for one run with one end, an error whose response is *partial*."""
        (run,) = recorder.runs
        assert ("error", 1) == (run.status, run.ends)
        assert partial == text_told(recorder.records[-1].payload["response"])


def text_told(response: LLMResult) -> str:
    """Return the text of a result."""
    return "".join(each.text for each in response.generations[0])


def words_told(recorder: RecordingHandler) -> int:
    """Return how many tokens with text were recorded."""
    return sum(bool(record.payload.get("token")) for record in recorder.records)
