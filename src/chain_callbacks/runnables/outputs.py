"""What prompts, models, agents and retries tell handlers; names and fields are LangChain's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from .messages import (
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    Record,
    get_buffer_string,
    merge_metadata,
)

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(repr=False)
class Generation(Record):
    """One answer of a model, as text."""

    text: str
    generation_info: dict[str, Any] | None = None


@dataclass(repr=False, init=False)
class ChatGeneration(Generation):
    """One answer of a chat model; *text* is the text of its message."""

    message: BaseMessage = field(kw_only=True)

    def __init__(self, message: BaseMessage, generation_info: dict[str, Any] | None = None) -> None:
        # One is made for every token that somebody hears: no detour by the base.
        self.text = message.text
        self.generation_info = generation_info
        self.message = message


@dataclass(repr=False, init=False)
class ChatGenerationChunk(ChatGeneration):
    """A piece of a chat model's streamed answer; pieces add up with ``+``."""

    # A piece is never given another message, so that it may ask for more than its base does.
    message: AIMessageChunk = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        kw_only=True
    )

    def __init__(
        self, message: AIMessageChunk, generation_info: dict[str, Any] | None = None
    ) -> None:
        self.text = message.text
        self.generation_info = generation_info
        self.message: AIMessageChunk = message  # pyright: ignore[reportIncompatibleVariableOverride]

    def __add__(self, other: ChatGenerationChunk) -> ChatGenerationChunk:
        if not isinstance(other, ChatGenerationChunk):
            return NotImplemented
        info = merge_metadata(self.generation_info or {}, other.generation_info or {})
        return ChatGenerationChunk(self.message + other.message, info or None)


@dataclass(repr=False)
class LLMResult(Record):
    """What a call of a model gave: for each prompt, its answers.

    *run* is what the caller notes about the call; two results are equal whatever it is.
    """

    hides_defaults: ClassVar[bool] = False

    generations: list[list[Any]]
    llm_output: dict[str, Any] | None = None
    run: list[Any] | None = field(default=None, compare=False)


@dataclass(repr=False)
class StringPromptValue(Record):
    """A prompt that was written as one text."""

    text: str

    def to_string(self) -> str:
        """Return the text."""
        return self.text

    def to_messages(self) -> list[BaseMessage]:
        """Return the text as a person's message."""
        return [HumanMessage(self.text)]


@dataclass(repr=False)
class ChatPromptValue(Record):
    """A prompt that was written as messages."""

    messages: list[BaseMessage]

    def to_string(self) -> str:
        """Return the messages as text, a line each."""
        return get_buffer_string(self.messages)

    def to_messages(self) -> list[BaseMessage]:
        """Return the messages, in a list of the caller's own."""
        return list(self.messages)


@dataclass(repr=False)
class AgentAction(Record):
    """What an agent does next: one call of a tool; *log* is what made it decide so."""

    tool: str
    tool_input: str | dict[str, Any]
    log: str


@dataclass(repr=False)
class AgentFinish(Record):
    """What an agent ends with; *log* is the whole of the model's last answer."""

    return_values: dict[str, Any]
    log: str


@dataclass(frozen=True, slots=True)
class RetryState:
    """What ``on_retry`` is given, with the names that tenacity uses.

    Attributes:
        attempt_number: The number of the failed attempt, from 1.
        outcome: A finished future that holds its exception.
        idle_for: Seconds of the pause before the next attempt.
    """

    attempt_number: int
    outcome: Future[Any]
    idle_for: float
