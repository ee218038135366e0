"""How a vendor's requests, answers and stream events read as messages: what a plugin writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from chain_callbacks.hosts import monotonic
from chain_callbacks.runnables import AIMessage, AIMessageChunk, BaseMessage

FIRST_TOKEN: Final = "time_to_first_token"  # noqa: S105  A name.
"""In ``response_metadata`` of what was streamed: seconds from the request to its first token."""


class Piece(NamedTuple):
    """What a stream event adds to an answer; *choice* is its number where several are asked for."""

    chunk: AIMessageChunk
    choice: int = 0


class Reader(Protocol):
    """Reads the events of one stream, in their order."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow: the run ends here, whoever reads on or leaves."""
        ...

    def read(self, event: Mapping[str, Any]) -> Iterable[Piece]:
        """Return what *event* adds; nothing for one that says nothing of the answer."""
        ...


class Endpoint(Protocol):
    """What can be asked of a vendor: the form of its requests, answers and stream events."""

    @property
    def name(self) -> str:
        """What a run of it is called where the client is a host: ``openai.responses``."""
        ...

    @property
    def answer(self) -> str:
        """What it answers with, for a sentence: ``a chat completion``."""
        ...

    @property
    def content(self) -> frozenset[str]:
        """The fields of a request that hold the conversation."""
        ...

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        """Return what a request says to the model."""
        ...

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        """Return the model's answers, one but where several were asked for; none if it is none."""
        ...

    def reader(self) -> Reader:
        """Return what reads one stream."""
        ...


@dataclass(frozen=True)
class Vendor:
    """Whose client it is.

    Attributes:
        provider: As ``ls_provider`` has it: ``openai``.
        package: The client's import name.
        endpoints: What its calls are, by the path that they are sent to.
    """

    provider: str
    package: str
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)


class Reading:
    """A stream that is read: its pieces, and the time that the first of them took."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._reader = endpoint.reader()
        self._began = monotonic()
        self._has_begun = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow."""
        return self._reader.is_complete

    def read(self, event: Mapping[str, Any]) -> Iterable[Piece]:
        """Yield what *event* adds; the first token bears the time that it took."""
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
    """Return what identifies a call: its model and settings, not what was said."""
    settings = {key: value for key, value in body.items() if key not in content}
    return {"_type": f"{provider}-chat", **settings}


_LS: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    ("ls_model_name", ("model",)),
    ("ls_temperature", ("temperature",)),
    ("ls_max_tokens", ("max_tokens", "max_completion_tokens", "max_output_tokens")),
    ("ls_stop", ("stop", "stop_sequences")),
)


def ls_metadata(provider: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what LangSmith's and other handlers read of a call, under the names they know."""
    found: dict[str, Any] = {"ls_provider": provider, "ls_model_type": "chat"}
    for name, fields in _LS:
        value = next((body[each] for each in fields if body.get(each) is not None), None)
        if value is not None:
            found[name] = [value] if name == "ls_stop" and isinstance(value, str) else value
    return found
