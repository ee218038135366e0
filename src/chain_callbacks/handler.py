"""What a handler is: an object with methods of the event table, which the base class spells out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol, TypeAlias
from uuid import UUID

from .errors import did_you_mean
from .events import EVENTS

Content = Literal["full", "redacted", "none"]
"""How much of a run's content a handler is shown: the run's own objects, copies in which secrets
are masked, or facts alone."""

Delivery = Literal["inline", "queued"]
"""How a handler is told: where the event happens, or in order from a queue, by a worker."""

OnError = Literal["log", "raise", "detach"]
"""What a handler's exception does: it is logged and counted; it leaves the run; or it ends the
handler's listening to the tree of runs in which it happened."""


Status = Literal["ok", "closed", "error", "cancelled", "interrupted"]
"""How a run ended."""


class RunFacts(Protocol):
    """What is known of a run at an event, whether a handler is given the run or a view of it.

    Attributes:
        id, parent_id, root_id: UUIDs of version 7; *parent_id* is None for a root.
        depth: How many runs are around it.
        name, run_type, tags, metadata: As they were given, or as *content* shows them.
        started: When it started, in UTC.
        status, duration: None until it ended; *duration* is in seconds.
        error_id: One for one exception on its way up the tree; None without an error.
        is_origin, origin: Whether the exception began in this run, and the names of the runs from
            the root to where it did.
        content: How much of the run this is.
        detached: The ``id()`` of each handler that failed in this tree and listens to it no more.
    """

    @property
    def id(self) -> UUID: ...
    @property
    def parent_id(self) -> UUID | None: ...
    @property
    def root_id(self) -> UUID: ...
    @property
    def depth(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def run_type(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def started(self) -> datetime | None: ...
    @property
    def status(self) -> Status | None: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def error_id(self) -> UUID | None: ...
    @property
    def is_origin(self) -> bool: ...
    @property
    def origin(self) -> tuple[str, ...]: ...
    @property
    def content(self) -> Content: ...
    @property
    def detached(self) -> set[int]: ...


class EventRecord(Protocol):
    """What ``on_event`` is given: the event's name, its run and its payload by argument name."""

    @property
    def name(self) -> str: ...
    @property
    def run(self) -> RunFacts: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...


class BaseCallbackHandler:
    """Is told what happens in runs; override events of interest, as ``def`` or ``async def``.

    A method that is not overridden costs nothing. What a method returns is ignored, what it raises
    is logged and counted and changes no run (unless ``raise_error`` is set). Name in a signature
    what you want beyond LangChain's arguments: ``status``, ``duration`` (seconds), ``started``,
    ``root_run_id``, ``depth``, ``name``, ``run_type``, ``error_id``, ``is_origin``, ``origin``.
    One instance serves many concurrent runs; ``__init__`` starts nothing and opens nothing.
    """

    settings_model: ClassVar[Any] = None
    """A ``HandlerSettings`` class; or ``"module:Class"``, imported only where a setting is set."""

    sends_to: ClassVar[str | None] = None
    """Where what it is told goes, for people who decide on it: "stderr", "Slack"."""

    content: ClassVar[Content | None] = None
    """How much it is shown where no setting says so; None leaves it to who attached it."""

    delivery: ClassVar[Delivery] = "inline"
    """``queued`` for whatever touches a network or may be slow."""

    on_error: ClassVar[OnError] = "log"
    """What its exceptions do; ``raise`` is for a guard that may stop a run, and is never queued."""

    dropped: int = 0
    """How much of what it took it has let go unsent, by its own count: `stats()` adds it."""

    raise_error: bool = False
    """LangChain's name for ``on_error = "raise"``."""
    run_inline: bool = False
    """Accepted for LangChain's handlers; every handler here is called in the order of the list."""

    ignore_llm: bool = False
    ignore_chat_model: bool = False
    ignore_chain: bool = False
    ignore_agent: bool = False
    ignore_retriever: bool = False
    ignore_embeddings: bool = False
    ignore_retry: bool = False
    ignore_custom_event: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in vars(cls):
            if name.startswith("on_") and name not in (*EVENTS, "on_event", "on_error"):
                hint = did_you_mean(name, EVENTS)
                warnings.warn(
                    f"{cls.__qualname__}.{name} is never called: there is no such event.{hint}",
                    stacklevel=2,
                )

    def deliver(self) -> float | None:
        """Send what is held and due; return the seconds until more is, None where nothing is held.

        Called on the worker thread of a queued handler: when its queue has run empty, and again
        when the seconds it returned have passed. It may wait for a network, and must not sleep.
        """
        return None

    def flush(self, timeout: float) -> Any:
        """Send all that is held, due or not, within *timeout* seconds; the handler stays in use.

        Called with nothing left in the handler's queue, and at the end of the process again,
        whether anything is held then or not; also where the chain that told the handler is gone.
        Returns how much is left, nothing where all was sent.
        """

    def close(self) -> Any:
        """Let go of what is open; called once, after ``flush``, on a handler that a name made."""

    def after_fork(self) -> Any:
        """Forget, in a child process, what the parent will send, and make new locks."""

    def on_event(self, record: EventRecord, /) -> Any:
        """Receive every event as one frozen record: what an exporter wants."""

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A chain, prompt, parser, lambda or any other step began."""

    def on_chain_end(
        self,
        outputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A step returned, or its stream was closed."""

    def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A step was left by an exception."""

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A text model began; a chat model too, unless ``on_chat_model_start`` is overridden."""

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A chat model began."""

    def on_llm_new_token(
        self,
        token: str | list[Any],
        *,
        chunk: Any = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A model streamed a token."""

    def on_llm_end(
        self,
        response: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A model, text or chat, answered with an ``LLMResult``."""

    def on_llm_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A model was left by an exception."""

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A tool began."""

    def on_tool_end(
        self,
        output: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A tool returned."""

    def on_tool_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A tool was left by an exception."""

    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A retriever began."""

    def on_retriever_end(
        self,
        documents: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A retriever returned its documents."""

    def on_retriever_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A retriever was left by an exception."""

    def on_embeddings_start(
        self,
        serialized: dict[str, Any],
        texts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """An embedding of texts began."""

    def on_embeddings_end(
        self,
        embeddings: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The texts were embedded."""

    def on_embeddings_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The embedding was left by an exception."""

    def on_agent_action(
        self,
        action: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """An agent decided to call a tool."""

    def on_agent_finish(
        self,
        finish: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """An agent has its answer."""

    def on_text(
        self,
        text: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A component has something to say that is no other event."""

    def on_retry(
        self,
        retry_state: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """An attempt failed and another will be made."""

    def on_custom_event(
        self,
        name: str,
        data: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The application issued an event of its own."""

    def on_interrupt(
        self,
        event: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A host paused the run, for a person to decide."""

    def on_resume(
        self,
        event: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A host took up a paused run."""


HandlerLike: TypeAlias = object
"""A handler: an instance of the base class, or of any class that has ``on_*`` methods."""

Callbacks: TypeAlias = str | HandlerLike | Sequence[HandlerLike] | None
"""What is passed as callbacks: a name, a handler, a manager, or a list of them."""
