"""How a vendor's requests, answers and stream events read as messages: a plugin writes this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from chain_callbacks.hosts import monotonic
from chain_callbacks.runnables import AIMessage, AIMessageChunk, BaseMessage

FIRST_TOKEN: Final = "time_to_first_token"  # noqa: S105  A name.
"""The key in the ``response_metadata`` of a stream for the seconds until its first token."""


class Piece(NamedTuple):
    """What a stream event adds to an answer; *choice* numbers the answers if there are several."""

    chunk: AIMessageChunk
    choice: int = 0


class Reader(Protocol):
    """Reads the events of one stream in order."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete: its run ends now, even if nobody reads on."""
        ...

    def read(self, event: Mapping[str, Any]) -> Iterable[Piece]:
        """Return what *event* adds to the answer, if anything."""
        ...


class Endpoint(Protocol):
    """One path of a vendor's API: the form of its requests, answers and stream events."""

    @property
    def name(self) -> str:
        """The name of the runs of the client as a host, such as ``openai.responses``."""
        ...

    @property
    def answer(self) -> str:
        """What it answers with, for an error message: ``a chat completion``."""
        ...

    @property
    def content(self) -> frozenset[str]:
        """The fields of a request that hold the conversation."""
        ...

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        """Return the messages of a request."""
        ...

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        """Return the model's answers: none if *answer* is of another form."""
        ...

    def reader(self) -> Reader:
        """Return a reader for one stream."""
        ...


@dataclass(frozen=True)
class Vendor:
    """A vendor and its client.

    Attributes:
        provider: The value of ``ls_provider``, such as ``openai``.
        package: The client's import name.
        endpoints: The endpoints that ask a model, by the path of their requests.
    """

    provider: str
    package: str
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)


class Reading:
    """A stream that is being read: its pieces, and the time until its first token."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._reader = endpoint.reader()
        self._began = monotonic()
        self._has_begun = False

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete."""
        return self._reader.is_complete

    def read(self, event: Mapping[str, Any]) -> Iterable[Piece]:
        """Yield what *event* adds; the first token carries the time that it took."""
        for piece in self._reader.read(event):
            chunk = piece.chunk
            if not self._has_begun and (chunk.content or chunk.tool_call_chunks):
                self._has_begun = True
                seconds = round(monotonic() - self._began, 6)
                chunk.response_metadata = {**chunk.response_metadata, FIRST_TOKEN: seconds}
            yield piece


def invocation_params(
    provider: str, body: Mapping[str, Any], content: frozenset[str]
) -> dict[str, Any]:
    """Return what identifies a call: its model and settings, without the conversation."""
    settings = {key: value for key, value in body.items() if key not in content}
    return {"_type": f"{provider}-chat", **settings}


_LS: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    ("ls_model_name", ("model",)),
    ("ls_temperature", ("temperature",)),
    ("ls_max_tokens", ("max_tokens", "max_completion_tokens", "max_output_tokens")),
    ("ls_stop", ("stop", "stop_sequences")),
)


def ls_metadata(provider: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a call under the names that LangSmith and other handlers use."""
    found: dict[str, Any] = {"ls_provider": provider, "ls_model_type": "chat"}
    for name, fields in _LS:
        value = next((body[each] for each in fields if body.get(each) is not None), None)
        if value is not None:
            found[name] = [value] if name == "ls_stop" and isinstance(value, str) else value
    return found
