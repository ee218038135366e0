"""Responses: requests, answers and stream events of OpenAI's second interface as messages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
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
from chain_callbacks_clients import Piece

from .tokens import usage

_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Responses:
    """The endpoint ``/responses``."""

    name = "openai.responses"
    answer = "a response"
    content = frozenset({"input", "instructions", "prompt"})

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        """Return the messages of a request; items that it refers to by an id are left out."""
        told = body.get("input") or ()
        found: list[BaseMessage] = []
        if isinstance(body.get("instructions"), str):
            found.append(SystemMessage(body["instructions"]))
        if isinstance(told, str):
            return [*found, HumanMessage(told)]
        for item in told:
            match item.get("type", "message"):
                case "message":
                    pair = (str(item.get("role")), _text(item.get("content")))
                    with contextlib.suppress(ValueError):  # No message of ours has that role.
                        found.extend(convert_to_messages([pair]))
                case "function_call":
                    calls, invalid = parse_tool_calls([_call(item)])
                    found.append(AIMessage("", tool_calls=calls, invalid_tool_calls=invalid))
                case "function_call_output":
                    output = _text(item.get("output"))
                    found.append(ToolMessage(output, tool_call_id=item.get("call_id") or ""))
        return found

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        """Return the answer, if *answer* is a response."""
        if answer.get("object") != "response":
            return []
        items = answer.get("output") or ()
        texts = [_text(each.get("content")) for each in items if each.get("type") == "message"]
        asked = (_call(each) for each in items if each.get("type") == "function_call")
        calls, invalid = parse_tool_calls(asked)
        reasoning = [each for each in items if each.get("type") == "reasoning"]
        return [
            AIMessage(
                "".join(texts),
                additional_kwargs={"reasoning": reasoning} if reasoning else {},
                response_metadata=_metadata(answer),
                tool_calls=calls,
                invalid_tool_calls=invalid,
                usage_metadata=usage(answer.get("usage")),
            )
        ]

    def reader(self) -> ResponsesReader:
        """Return a reader for one stream."""
        return ResponsesReader()


class ResponsesReader:
    """Reads the events of one streamed response."""

    def __init__(self) -> None:
        self.is_complete = False

    def read(self, event: Mapping[str, Any]) -> Iterator[Piece]:
        """Yield what an event adds to the answer."""
        kind = event.get("type")
        index = event.get("output_index")
        item = event.get("item") or {}
        if kind == "response.output_text.delta":
            yield Piece(AIMessageChunk(event.get("delta") or ""))
        elif kind == "response.output_item.added" and item.get("type") == "function_call":
            yield Piece(AIMessageChunk("", tool_call_chunks=[_call(item, index)]))
        elif kind == "response.function_call_arguments.delta":
            arguments = {"arguments": event.get("delta")}
            yield Piece(AIMessageChunk("", tool_call_chunks=[_call(arguments, index)]))
        elif kind in _LAST:
            self.is_complete = True
            answer = event.get("response") or {}
            yield Piece(
                AIMessageChunk(
                    "",
                    response_metadata=_metadata(answer),
                    usage_metadata=usage(answer.get("usage")),
                    chunk_position="last",
                )
            )


def _call(item: Mapping[str, Any], index: int | None = None) -> ToolCallChunk:
    return ToolCallChunk(
        name=item.get("name"),
        args=item.get("arguments"),
        id=item.get("call_id"),
        index=index,
        type="tool_call_chunk",
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or () if isinstance(part.get("text"), str))


def _metadata(answer: Mapping[str, Any]) -> dict[str, Any]:
    stopped = (answer.get("incomplete_details") or {}).get("reason") or answer.get("status")
    found = {
        "id": answer.get("id"),
        "model": answer.get("model"),
        "model_name": answer.get("model"),
        "stop_reason": stopped,
    }
    for name, value in (("token_usage", answer.get("usage")), ("error", answer.get("error"))):
        if value:
            found[name] = dict(value)
    return found
