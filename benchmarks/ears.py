"""The handlers of a side: silent ones while it is timed, recording ones while it is checked."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor


class Listening:
    """What langchain-core asks of a handler, without its class: handlers of that are converted for.

    All sides are given the very same handlers, and told them in their own types.
    """

    raise_error = run_inline = False
    ignore_llm = ignore_chain = ignore_agent = ignore_retriever = False
    ignore_chat_model = ignore_retry = ignore_custom_event = False


class Silent(Listening):
    """Listens to chains and to a model and its tokens, and does nothing."""

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...
    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None: ...
    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None: ...
    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None: ...
    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None: ...
    def on_llm_end(self, response: Any, **kwargs: Any) -> None: ...


class AsyncSilent(Listening):
    """Its asynchronous twin."""

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...
    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None: ...
    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None: ...
    async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None: ...
    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None: ...
    async def on_llm_end(self, response: Any, **kwargs: Any) -> None: ...


class Recording(Listening):
    """Notes what a no-op handler would have been told."""

    def __init__(self, heard: list[object]) -> None:
        self.heard = heard

    def _note(self, name: str, payload: Any, parent: Any) -> None:
        self.heard.append((name, payload, "root" if parent is None else "nested"))

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._note("start", inputs, parent_run_id)

    def on_chain_end(self, outputs: Any, *, parent_run_id: Any = None, **kwargs: Any) -> None:
        self._note("end", outputs, parent_run_id)

    def on_chain_error(
        self, error: BaseException, *, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._note("error", str(error), parent_run_id)

    def on_llm_new_token(self, token: Any, *, parent_run_id: Any = None, **kwargs: Any) -> None:
        self._note("token", token, parent_run_id)

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._note("start", str(messages[0][0].content), parent_run_id)

    def on_llm_end(self, response: Any, *, parent_run_id: Any = None, **kwargs: Any) -> None:
        self._note("end", response.generations[0][0].text, parent_run_id)


class AsyncRecording(Listening):
    """Its asynchronous twin."""

    def __init__(self, heard: list[object]) -> None:
        self.recording = Recording(heard)

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.recording.on_chain_start(serialized, inputs, **kwargs)

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.recording.on_chain_end(outputs, **kwargs)

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.recording.on_chain_error(error, **kwargs)

    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.recording.on_llm_new_token(token, **kwargs)

    async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.recording.on_chat_model_start(serialized, messages, **kwargs)

    async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.recording.on_llm_end(response, **kwargs)


class SilentErrors(Listening):
    """Listens to the errors of chains alone, and does nothing."""

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None: ...


class _Spans(SpanProcessor):
    def __init__(self, heard: list[object]) -> None:
        self.heard = heard

    def _note(self, name: str, span: ReadableSpan, attribute: str) -> None:
        place = "root" if span.parent is None else "nested"
        self.heard.append((name, (span.attributes or {})[attribute], place))

    def on_start(self, span: ReadableSpan, parent_context: Any = None) -> None:
        self._note("start", span, "input")

    def on_end(self, span: ReadableSpan) -> None:
        self._note("end", span, "output")


class Ears:
    """Makes the handlers that one side gives to its runs; *heard* is what they were told."""

    def __init__(self, *, records: bool) -> None:
        self.records = records
        self.heard: list[object] = []

    def handler(self) -> Listening:
        """Return a synchronous handler."""
        return Recording(self.heard) if self.records else Silent()

    def handlers(self, count: int = 1) -> list[Any]:
        """Return synchronous handlers."""
        return [self.handler() for _ in range(count)]

    def ahandlers(self, count: int = 1) -> list[Any]:
        """Return asynchronous handlers."""
        make = AsyncRecording if self.records else lambda _heard: AsyncSilent()
        return [make(self.heard) for _ in range(count)]

    def processor(self) -> SpanProcessor:
        """Return what an OpenTelemetry SDK tells of spans; its own no-op while being timed."""
        return _Spans(self.heard) if self.records else SpanProcessor()
