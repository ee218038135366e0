"""Chat models: a subclass turns messages into an answer, this base makes runs and events of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ..context import to_thread
from ..delivery.inline import adrive, tell
from ..dispatch.identity import source
from ..dispatch.run import Run
from ..events import KINDS, RunKind, on_llm_new_token
from ..sink import NO_KEYWORDS
from .base import Runnable
from .chunks import combined, reported
from .inner import aclosed_after
from .messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from .outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from .streaming import closed_after, stepped


class BaseChatModel(Runnable[Any, AIMessage]):
    """A chat model; a subclass writes ``_generate``, and the others where it has them.

    ``_agenerate`` is ``_generate`` in a thread unless it is written. A model that can stream
    writes ``_stream`` or ``_astream``; each chunk becomes an ``on_llm_new_token``.
    The input is a prompt, a text, a message or a list of them.
    """

    kind: ClassVar[RunKind] = KINDS["chat_model"]

    def _generate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        raise NotImplementedError(f"{type(self).__name__} has no _generate")

    async def _agenerate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        return await to_thread(self._generate, messages, **kwargs)

    def _stream(self, messages: list[BaseMessage], **kwargs: Any) -> Iterator[AIMessageChunk]:
        yield _as_chunk(self._generate(messages, **kwargs))

    async def _astream(
        self, messages: list[BaseMessage], **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        if type(self)._stream is BaseChatModel._stream:
            yield _as_chunk(await self._agenerate(messages, **kwargs))
            return
        async with aclosed_after(stepped(self._stream(messages, **kwargs))) as flow:
            async for chunk in flow:
                yield chunk

    def _identifying_params(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what identifies a call for whoever meters it: its model and its settings."""
        return {"_type": type(self).__name__, **kwargs}

    def _start_payload(
        self, input: Any, kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        told = {"invocation_params": self._identifying_params(kwargs), "options": {**kwargs}}
        return ([convert_to_messages(input)],), told

    def _end_payload(self, output: Any) -> LLMResult:
        return _result(output)

    def _error_keywords(self, input: Any, given: Sequence[Any] = ()) -> Mapping[str, Any]:
        return {"response": _result(reported(given))} if given else NO_KEYWORDS

    def _invoke(self, input: Any, *, run: Run | None = None, **kwargs: Any) -> AIMessage:
        return _identified(self._generate(convert_to_messages(input), **kwargs), run)

    async def _ainvoke(self, input: Any, *, run: Run | None = None, **kwargs: Any) -> AIMessage:
        return _identified(await self._agenerate(convert_to_messages(input), **kwargs), run)

    def _transform(
        self, chunks: Iterator[Any], *, run: Run | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        messages = convert_to_messages(combined(list(chunks)))
        message_id = _message_id(run)
        route = None if run is None else run.route_of(on_llm_new_token)
        with closed_after(self._stream(messages, **kwargs)) as flow:
            for chunk in flow:
                chunk.id = chunk.id or message_id
                if route and run:
                    told = ChatGenerationChunk(chunk)
                    tell(route, run, (told.text,), {"chunk": told})
                yield chunk

    async def _atransform(
        self, chunks: AsyncIterator[Any], *, run: Run | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        messages = convert_to_messages(combined([chunk async for chunk in chunks]))
        message_id = _message_id(run)
        route = None if run is None else run.route_of(on_llm_new_token)
        async with aclosed_after(self._astream(messages, **kwargs)) as flow:
            async for chunk in flow:
                chunk.id = chunk.id or message_id
                if route and run:
                    told = ChatGenerationChunk(chunk)
                    rest = tell(route, run, (told.text,), {"chunk": told}, is_on_loop=True)
                    if rest is not None:
                        await adrive(rest)
                yield chunk

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Return this model with *tools* offered at each call."""
        from .tools import as_tool

        return self.bind(tools=[as_tool(each).as_openai() for each in tools], **kwargs)


def _message_id(run: Run | None) -> str:
    # An id whether or not anybody listens: attaching a handler changes no result.
    return f"run-{source.make_id() if run is None else run.id}-0"


def _identified(message: AIMessage, run: Run | None) -> AIMessage:
    return message if message.id else replace(message, id=_message_id(run))


def _as_chunk(message: AIMessage) -> AIMessageChunk:
    if isinstance(message, AIMessageChunk):
        return message
    return AIMessageChunk(
        message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        name=message.name,
        id=message.id,
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        usage_metadata=message.usage_metadata,
    )


def _result(output: Any) -> LLMResult:
    if not isinstance(output, AIMessage):
        return LLMResult(generations=[[]])
    message = message_chunk_to_message(output)
    return LLMResult(
        generations=[[ChatGeneration(message)]], llm_output={**message.response_metadata}
    )
