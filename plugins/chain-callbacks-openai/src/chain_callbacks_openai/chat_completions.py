"""Chat completions: requests, answers and stream events as messages, and messages as requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from chain_callbacks.runnables import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCallChunk,
    ToolMessage,
    convert_to_messages,
    parse_tool_calls,
)
from chain_callbacks_clients import Piece, UsageSoFar

from .tokens import usage

_EXTRAS: Final = ("refusal", "reasoning_content", "reasoning", "annotations", "audio")


class ChatCompletions:
    """The endpoint ``/chat/completions``."""

    name = "openai.chat.completions"
    answer = "a chat completion"
    content = frozenset({"messages", "prediction"})

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        """Return the messages of a request."""
        told = body.get("messages") or ()
        return convert_to_messages(
            [{**each, "content": each.get("content") or ""} for each in told]
        )

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        """Return the answers of a completion; the first one has the token counts of all."""
        counted = usage(answer.get("usage"))
        found: list[AIMessage] = []
        for choice in answer.get("choices") or ():
            message = choice.get("message") or {}
            calls, invalid = parse_tool_calls(map(_call, message.get("tool_calls") or ()))
            found.append(
                AIMessage(
                    message.get("content") or "",
                    additional_kwargs=_extras(message),
                    response_metadata=_metadata(answer) | _finish(choice),
                    tool_calls=calls,
                    invalid_tool_calls=invalid,
                    usage_metadata=None if found else counted,
                )
            )
        if found and counted:
            found[0].response_metadata["token_usage"] = dict(answer["usage"])
        return found

    def reader(self) -> ChatCompletionsReader:
        """Return a reader for one stream."""
        return ChatCompletionsReader()


class ChatCompletionsReader:
    """Reads the chunks of one streamed completion."""

    # Token counts come after the end of the answer; only the client sees the mark after them.
    is_complete = False

    def __init__(self) -> None:
        self._begun: set[int] = set()
        self._usage = UsageSoFar()

    def read(self, event: Mapping[str, Any]) -> Iterator[Piece]:
        """Yield what a chunk adds; the first piece of an answer has its id and model."""
        for choice in event.get("choices") or ():
            number = choice.get("index") or 0
            delta = choice.get("delta") or {}
            calls = [_call(each) for each in delta.get("tool_calls") or ()]
            metadata = _finish(choice) if choice.get("finish_reason") else {}
            extras = _extras(delta)
            if not (delta.get("content") or calls or extras or metadata):
                continue
            if number not in self._begun:
                self._begun.add(number)
                metadata = _metadata(event) | metadata
            yield Piece(
                AIMessageChunk(
                    delta.get("content") or "",
                    additional_kwargs=extras,
                    response_metadata=metadata,
                    tool_call_chunks=calls,
                    chunk_position="last" if choice.get("finish_reason") else None,
                ),
                number,
            )
        reported = event.get("usage")
        added = self._usage.added(usage(reported))
        if reported and added is not None:
            told = {"token_usage": dict(reported)}
            yield Piece(AIMessageChunk("", response_metadata=told, usage_metadata=added))


def _call(call: Mapping[str, Any]) -> ToolCallChunk:
    function = call.get("function") or {}
    return ToolCallChunk(
        name=function.get("name"),
        args=function.get("arguments"),
        id=call.get("id"),
        index=call.get("index"),
        type="tool_call_chunk",
    )


def _extras(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: message[name] for name in _EXTRAS if message.get(name)}


def _metadata(answer: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "id": answer.get("id"),
        "model": answer.get("model"),
        "model_name": answer.get("model"),
    }
    if answer.get("system_fingerprint"):
        found["system_fingerprint"] = answer["system_fingerprint"]
    return found


def _finish(choice: Mapping[str, Any]) -> dict[str, Any]:
    reason = choice.get("finish_reason")
    found = {"stop_reason": reason, "finish_reason": reason}
    if choice.get("logprobs"):
        found["logprobs"] = choice["logprobs"]
    return found


def request_messages(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """Return *messages* in the form of a request."""
    return [_request_message(message) for message in messages]


def _request_message(message: BaseMessage) -> dict[str, Any]:
    content = _request_content(message.content)
    named = {"name": message.name} if message.name else {}
    match message:
        case SystemMessage():
            return {"role": "system", "content": content, **named}
        case HumanMessage():
            return {"role": "user", "content": content, **named}
        case ToolMessage():
            return {"role": "tool", "content": content, "tool_call_id": message.tool_call_id}
        case AIMessage():
            asked: dict[str, Any] = {"role": "assistant", "content": content or None, **named}
            calls = [
                *(
                    (call["name"], json.dumps(call["args"]), call["id"])
                    for call in message.tool_calls
                ),
                *((call["name"], call["args"], call["id"]) for call in message.invalid_tool_calls),
            ]
            if calls:
                asked["tool_calls"] = [
                    {"type": "function", "id": key, "function": {"name": name, "arguments": args}}
                    for name, args, key in calls
                ]
            elif asked["content"] is None:
                asked["content"] = ""
            return asked
    raise TypeError(
        f"OpenAI has no role for a {type(message).__name__}. Pass a system, human, AI or tool "
        "message."
    )


def _request_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{"type": "text", "text": each} if isinstance(each, str) else each for each in content]
