"""The event table: one bodiless typed function an event, and the kinds of run that they make up.

A function's parameters are what the event brings: first the positional ones, then the keywords.
Names, arguments and rules are LangChain's (``langchain_core.callbacks``); embeddings are ours.
From a row come the signature that a handler is checked against, the route, the method of the run
or of the manager that issues it, and its line in the documentation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, ParamSpec, TypedDict, Unpack
from uuid import UUID

P = ParamSpec("P")

Phase = Literal["start", "during", "end", "error"]
RunType = Literal[
    "chain", "prompt", "parser", "llm", "chat_model", "tool", "retriever", "embeddings"
]


class RunOptions(TypedDict, total=False):
    """What the start of a run may state besides its payload."""

    name: str | None
    run_id: UUID | None
    run_type: RunType | None
    tags: Sequence[str] | None
    metadata: Mapping[str, Any] | None


class EventSpec(Generic[P]):
    """One row of the event table, compared by identity: it is the key of a route.

    *name* is the handler's method. *positional* and *keywords* name the payload, *content* those
    of its arguments that hold the user's data, *facts* what it brings of the run to a handler that
    does not ask for more, *ignored_by* the handler's flags that silence it.
    """

    __slots__ = (
        "content",
        "does",
        "facts",
        "ignored_by",
        "is_failure",
        "keywords",
        "name",
        "phase",
        "positional",
        "signature",
        "unless_failed",
    )

    def __init__(
        self,
        name: str,
        phase: Phase,
        *,
        positional: tuple[str, ...],
        keywords: tuple[str, ...],
        content: frozenset[str],
        facts: tuple[str, ...],
        ignored_by: tuple[str, ...],
        does: str,
        is_failure: bool,
        signature: inspect.Signature,
    ) -> None:
        self.name = name
        self.phase: Phase = phase
        self.positional = positional
        self.keywords = keywords
        self.content = content
        self.facts = facts
        self.ignored_by = ignored_by
        self.does = does
        self.is_failure = is_failure
        self.signature = signature
        # A run that was cancelled ends with its error event too, but `only=errors` must not hear
        # that. It is a row of its own, hence a route of its own: no dispatch asks for a status.
        self.unless_failed: EventSpec[P] = self._with(is_failure=False) if is_failure else self

    def _with(self, **changes: Any) -> EventSpec[P]:
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "unless_failed"}
        return EventSpec(**{**fields, **changes})

    def silenced_by(self, *flags: str) -> EventSpec[P]:
        """Return this event as a row that other ``ignore_*`` flags silence."""
        return self._with(ignored_by=flags)

    def bound(
        self, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call with the positional ones in their places.

        Raises:
            TypeError: One is missing, given twice, or unknown.
        """
        if len(arguments) == len(self.positional) and self.positional[0] not in keywords:
            return arguments, keywords
        self.signature.bind(*arguments, **keywords)
        rest = dict(keywords)
        return (*arguments, *(rest.pop(each) for each in self.positional[len(arguments) :])), rest

    def method(self, function: Any, *, of: str, prefix: str = "", does: str) -> Any:
        """Return *function* as the method of a class *of* runs or managers that issues this."""
        parameters = self.signature.parameters.values()
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        function.__name__ = prefix + self.name
        function.__qualname__ = f"{of}.{function.__name__}"
        function.__doc__ = f"{self.does}\n\n{does}"
        function.__signature__ = self.signature.replace(
            parameters=[own, *parameters], return_annotation=inspect.Signature.empty
        )
        return function

    def __reduce__(self) -> Any:
        # Compared by identity: what is unpickled is the row of the process that it comes to.
        if EVENTS.get(self.name) is not self:
            raise TypeError(f"{self!r} is a run kind's own row: pickle the kind.")
        return _row, (self.name,)

    def __repr__(self) -> str:
        return f"<event {self.name}>"


EVENTS: Final[dict[str, EventSpec[...]]] = {}

STANDARD: Final = ("run_id", "parent_run_id", "tags")
STANDARD_AT_START: Final = (*STANDARD, "metadata", "name", "run_type")


def _event(
    phase: Phase,
    *,
    ignored_by: str | None = None,
    content: str = "",
    facts: tuple[str, ...] | None = None,
) -> Callable[[Callable[P, None]], EventSpec[P]]:
    def row(function: Callable[P, None]) -> EventSpec[P]:
        signature = inspect.signature(function)
        parameters = signature.parameters.values()
        name = function.__name__
        spec: EventSpec[P] = EventSpec(
            name,
            phase,
            positional=tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD),
            keywords=tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY),
            content=frozenset(content.split()),
            facts=facts or (STANDARD_AT_START if phase == "start" else STANDARD),
            ignored_by=(ignored_by,) if ignored_by else (),
            does=inspect.getdoc(function) or "",
            is_failure=phase == "error",
            signature=signature,
        )
        EVENTS[name] = spec
        return spec

    return row


@_event("start", ignored_by="ignore_chain", content="inputs")
def on_chain_start(serialized: dict[str, Any], inputs: Any, **run: Unpack[RunOptions]) -> None:
    """A chain, prompt, parser, lambda or any other step began, with its input."""


@_event("end", ignored_by="ignore_chain", content="outputs")
def on_chain_end(outputs: Any) -> None:
    """The step returned, or its stream was closed: *outputs* is what the caller got."""


@_event("error", ignored_by="ignore_chain", content="error")
def on_chain_error(error: BaseException) -> None:
    """The step was left by an exception."""


@_event("start", ignored_by="ignore_llm", content="prompts invocation_params options")
def on_llm_start(
    serialized: dict[str, Any],
    prompts: list[str],
    *,
    invocation_params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> None:
    """A text model began, with one prompt in a list."""


@_event("start", ignored_by="ignore_chat_model", content="messages invocation_params options")
def on_chat_model_start(
    serialized: dict[str, Any],
    messages: list[list[Any]],
    *,
    invocation_params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> None:
    """A chat model began, with one list of messages in a list.

    A handler that has no such method gets ``on_llm_start`` with the messages as text.
    """


@_event("during", ignored_by="ignore_llm", content="token chunk")
def on_llm_new_token(token: str | list[Any], *, chunk: Any = None) -> None:
    """A model streamed *token*; *chunk* is the whole of what came, metadata included."""


@_event("end", ignored_by="ignore_llm", content="response")
def on_llm_end(response: Any) -> None:
    """A model, text or chat, answered with an ``LLMResult``."""


@_event("error", ignored_by="ignore_llm", content="error response")
def on_llm_error(error: BaseException, *, response: Any = None) -> None:
    """A model was left by an exception; *response* holds what had come by then."""


@_event("start", ignored_by="ignore_agent", content="input_str inputs")
def on_tool_start(
    serialized: dict[str, Any],
    input_str: str,
    *,
    inputs: dict[str, Any] | None = None,
    tool_call_id: str | None = None,
    **run: Unpack[RunOptions],
) -> None:
    """A tool began, with its arguments as text and as a dict."""


@_event("end", ignored_by="ignore_agent", content="output")
def on_tool_end(output: Any) -> None:
    """A tool returned."""


@_event("error", ignored_by="ignore_agent", content="error")
def on_tool_error(error: BaseException, *, tool_call_id: str | None = None) -> None:
    """A tool was left by an exception."""


@_event("start", ignored_by="ignore_retriever", content="query")
def on_retriever_start(serialized: dict[str, Any], query: str, **run: Unpack[RunOptions]) -> None:
    """A retriever began, with its query."""


@_event("end", ignored_by="ignore_retriever", content="documents")
def on_retriever_end(documents: Sequence[Any]) -> None:
    """A retriever returned its documents."""


@_event("error", ignored_by="ignore_retriever", content="error")
def on_retriever_error(error: BaseException) -> None:
    """A retriever was left by an exception."""


@_event("start", ignored_by="ignore_embeddings", content="texts")
def on_embeddings_start(
    serialized: dict[str, Any], texts: list[str], **run: Unpack[RunOptions]
) -> None:
    """An embedding of *texts* began."""


@_event("end", ignored_by="ignore_embeddings", content="embeddings")
def on_embeddings_end(embeddings: Sequence[Sequence[float]]) -> None:
    """The texts were embedded: one vector a text, in their order."""


@_event("error", ignored_by="ignore_embeddings", content="error")
def on_embeddings_error(error: BaseException) -> None:
    """The embedding was left by an exception."""


@_event("during", ignored_by="ignore_agent", content="action")
def on_agent_action(action: Any) -> None:
    """An agent decided to call a tool."""


@_event("during", ignored_by="ignore_agent", content="finish")
def on_agent_finish(finish: Any) -> None:
    """An agent has its answer."""


@_event("during", content="text")
def on_text(text: str) -> None:
    """A component has something to say that is no other event."""


@_event("during", ignored_by="ignore_retry", content="retry_state")
def on_retry(retry_state: Any) -> None:
    """An attempt failed and another will be made: *retry_state* has its number and the error."""


@_event("during", ignored_by="ignore_custom_event", content="data", facts=(*STANDARD, "metadata"))
def on_custom_event(name: str, data: Any) -> None:
    """The application issued an event of its own."""


@_event("during", content="event")
def on_interrupt(event: Any) -> None:
    """A host paused the run, for a person to decide."""


@_event("during", content="event")
def on_resume(event: Any) -> None:
    """A host took up a paused run."""


class Step:
    """A tag that says where in a composition a run stands: ``seq:step:1``, ``map:key:first``.

    *place* is a pattern of what may follow, of bounded length.
    """

    __slots__ = ("begins", "place")

    def __init__(self, begins: str, place: str = r"\d{1,9}") -> None:
        self.begins, self.place = begins, place

    def tag(self, place: object) -> str:
        """Return the tag of the run at *place*: a number from 1, or a key."""
        return f"{self.begins}{place}"

    @property
    def pattern(self) -> str:
        """A regular expression of these tags."""
        return f"{self.begins}{self.place}"


SEQUENCE_STEP: Final = Step("seq:step:")
RETRY_ATTEMPT: Final = Step("retry:attempt:")
TOOL_CALL: Final = Step("tool:call:")
# A program may make its keys of its data.
MAP_KEY: Final = Step("map:key:", r"[^\r\n]{0,200}")
STEPS: Final = (MAP_KEY, RETRY_ATTEMPT, SEQUENCE_STEP, TOOL_CALL)


class RunKind:
    """What makes up a run of one type: how it starts, and the two ways in which it ends.

    *own* has the rows that runs of this type issue in the place of the table's.
    """

    __slots__ = ("end", "error", "own", "run_type", "start")

    def __init__(
        self,
        run_type: RunType,
        start: EventSpec[...],
        end: EventSpec[...],
        error: EventSpec[...],
        *own: EventSpec[...],
    ) -> None:
        self.run_type: RunType = run_type
        self.own = {EVENTS[spec.name]: spec for spec in own}
        self.start, self.end, self.error = start, end, error

    def __reduce__(self) -> Any:
        return _kind, (self.run_type,)

    def __repr__(self) -> str:
        return f"<run kind {self.run_type}>"


# In langchain-core `ignore_llm` leaves a chat model's start without its end and `ignore_chat_model`
# its end without its start; here either flag silences a chat model's run.
_CHAT_FLAGS = ("ignore_chat_model", "ignore_llm")

KINDS: Final[dict[RunType, RunKind]] = {
    kind.run_type: kind
    for kind in (
        RunKind("chain", on_chain_start, on_chain_end, on_chain_error),
        RunKind("prompt", on_chain_start, on_chain_end, on_chain_error),
        RunKind("parser", on_chain_start, on_chain_end, on_chain_error),
        RunKind("llm", on_llm_start, on_llm_end, on_llm_error),
        RunKind(
            "chat_model",
            on_chat_model_start.silenced_by(*_CHAT_FLAGS),
            on_llm_end.silenced_by(*_CHAT_FLAGS),
            on_llm_error.silenced_by(*_CHAT_FLAGS),
            on_llm_new_token.silenced_by(*_CHAT_FLAGS),
        ),
        RunKind("tool", on_tool_start, on_tool_end, on_tool_error),
        RunKind("retriever", on_retriever_start, on_retriever_end, on_retriever_error),
        RunKind("embeddings", on_embeddings_start, on_embeddings_end, on_embeddings_error),
    )
}


def _row(name: str) -> EventSpec[...]:
    return EVENTS[name]


def _kind(run_type: RunType) -> RunKind:
    return KINDS[run_type]
