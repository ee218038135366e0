"""Anthropic's messages API: requests, answers and stream events as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from chain_callbacks.runnables import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    UsageMetadata,
)
from chain_callbacks_clients import Piece, UsageSoFar, usage_of

_CALL: Final = "tool_use"


class Messages:
    """The endpoint ``/v1/messages``."""

    name = "anthropic.messages"
    answer = "a message"
    content = frozenset({"messages", "system"})

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        """Return the messages of a request."""
        found: list[BaseMessage] = []
        if body.get("system"):
            found.append(SystemMessage(_simplest(body["system"])))
        for each in body.get("messages") or ():
            found.extend(_told(each.get("role"), each.get("content") or ""))
        return found

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        """Return the answer, if *answer* is a message."""
        if answer.get("type") != "message" or not isinstance(answer.get("content"), list):
            return []
        message = _assistant(answer["content"])
        message.usage_metadata = _usage(answer.get("usage"))
        message.response_metadata = _metadata(answer)
        return [message]

    def reader(self) -> MessagesReader:
        """Return a reader for one stream."""
        return MessagesReader()


class MessagesReader:
    """Reads the events of one streamed message."""

    def __init__(self) -> None:
        self.is_complete = False
        self._reported: dict[str, Any] = {}
        self._usage = UsageSoFar()

    def read(self, event: Mapping[str, Any]) -> Iterator[Piece]:
        """Yield what an event adds: the token counts of the request first, then the blocks."""
        index = event.get("index")
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                counted = self._counted(message.get("usage"))
                yield Piece(
                    AIMessageChunk("", response_metadata=_metadata(message), usage_metadata=counted)
                )
            case "content_block_start":
                yield from _begun(event.get("content_block") or {}, index)
            case "content_block_delta":
                yield from _grown(event.get("delta") or {}, index)
            case "message_delta":
                counted = self._counted(event.get("usage"))
                stopped = event.get("delta") or {}
                told = {name: stopped.get(name) for name in ("stop_reason", "stop_sequence")}
                yield Piece(
                    AIMessageChunk(
                        "",
                        response_metadata={**told, "usage": dict(self._reported)},
                        usage_metadata=counted,
                        chunk_position="last",
                    )
                )
            case "message_stop":
                self.is_complete = True

    def _counted(self, reported: Mapping[str, Any] | None) -> UsageMetadata | None:
        # Later totals leave out counts that have not changed.
        known = {key: value for key, value in (reported or {}).items() if value is not None}
        self._reported |= known
        return self._usage.added(_usage(self._reported))


def _begun(block: Mapping[str, Any], index: int | None) -> Iterator[Piece]:
    match block.get("type"):
        case "text":
            if block.get("text"):
                yield Piece(AIMessageChunk(block["text"]))
        case "tool_use":
            call = ToolCallChunk(name=block.get("name"), args="", id=block.get("id"), index=index)
            yield Piece(AIMessageChunk("", tool_call_chunks=[call]))
        case _:
            yield Piece(AIMessageChunk([{**block, "index": index}]))


def _grown(delta: Mapping[str, Any], index: int | None) -> Iterator[Piece]:
    match delta.get("type"):
        case "text_delta":
            yield Piece(AIMessageChunk(delta.get("text") or ""))
        case "input_json_delta":
            if delta.get("partial_json"):
                call = ToolCallChunk(name=None, args=delta["partial_json"], id=None, index=index)
                yield Piece(AIMessageChunk("", tool_call_chunks=[call]))
        case "thinking_delta":
            block = {"type": "thinking", "thinking": delta.get("thinking") or "", "index": index}
            yield Piece(AIMessageChunk([block]))
        case "signature_delta":
            block = {"type": "thinking", "signature": delta.get("signature"), "index": index}
            yield Piece(AIMessageChunk([block]))


def _told(role: Any, content: Any) -> Iterator[BaseMessage]:
    if not isinstance(content, str | list):
        content = str(content)  # The server will refuse it.
    if role == "assistant":
        yield _assistant(content)
        return
    rest: list[Any] = []
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, Mapping) and block.get("type") == "tool_result":
            yield ToolMessage(
                _simplest(block.get("content") or ""),
                tool_call_id=block.get("tool_use_id") or "",
                status="error" if block.get("is_error") else "success",
            )
        else:
            rest.append(block)
    if rest:
        yield HumanMessage(_simplest(rest))


def _assistant(content: Any) -> AIMessage:
    blocks = [content] if isinstance(content, str) else content
    calls = [each for each in blocks if isinstance(each, Mapping) and each.get("type") == _CALL]
    others = [each for each in blocks if each not in calls]
    simplest = _simplest(others)
    return AIMessage(
        # Blocks other than text are kept in order: a thought comes before its call.
        simplest if isinstance(simplest, str) else list(blocks),
        tool_calls=[
            ToolCall(name=each.get("name") or "", args=each.get("input") or {}, id=each.get("id"))
            for each in calls
        ],
    )


def _simplest(content: Any) -> Any:
    """Return *content* as one text if it is only text."""
    if isinstance(content, str):
        return content
    is_text = all(
        isinstance(each, str)
        or (each.get("type") == "text" and not (each.keys() - {"type", "text"} - _unset(each)))
        for each in content
    )
    if not is_text:
        return list(content)
    return "".join(each if isinstance(each, str) else each["text"] for each in content)


def _unset(block: Mapping[str, Any]) -> set[str]:
    return {key for key, value in block.items() if value is None}


def _usage(reported: Mapping[str, Any] | None) -> UsageMetadata | None:
    """Return the counts that a server reports; cached tokens count as input."""
    if not reported:
        return None
    read = reported.get("cache_read_input_tokens")
    written = reported.get("cache_creation_input_tokens")
    details = reported.get("output_tokens_details") or {}
    return usage_of(
        input=(reported.get("input_tokens") or 0) + (read or 0) + (written or 0),
        output=reported.get("output_tokens") or 0,
        input_token_details={"cache_read": read, "cache_creation": written},
        output_token_details={"reasoning": details.get("thinking_tokens")},
    )


def _metadata(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": answer.get("id"),
        "model": answer.get("model"),
        "model_name": answer.get("model"),
        "stop_reason": answer.get("stop_reason"),
        "stop_sequence": answer.get("stop_sequence"),
        "usage": dict(answer.get("usage") or {}),
    }


def request(messages: Iterable[BaseMessage]) -> dict[str, Any]:
    """Return *messages* in the form of a request: ``messages``, and ``system`` if there is one."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks = _blocks(message.content)
        if isinstance(message, SystemMessage):
            system.extend(blocks)
            continue
        role = "assistant" if isinstance(message, AIMessage) else "user"
        if isinstance(message, ToolMessage):
            blocks = [_tool_result(message)]
        elif isinstance(message, AIMessage):
            blocks = [*blocks, *_tool_uses(message)]
        # The results of several calls are one turn, together with a human message after them.
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        turn["content"] = _shortest(turn["content"])
    return {"messages": turns, "system": _shortest(system)} if system else {"messages": turns}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        # The server refuses an empty block of text.
        return [{"type": "text", "text": content}] if content else []
    return [
        {"type": "text", "text": each}
        if isinstance(each, str)
        else {key: value for key, value in each.items() if key != "index"}
        for each in content
    ]


def _shortest(blocks: list[dict[str, Any]]) -> Any:
    is_text = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
    return blocks[0]["text"] if is_text else blocks


def _tool_result(message: ToolMessage) -> dict[str, Any]:
    content = message.content if isinstance(message.content, str) else _blocks(message.content)
    result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}
    return {**result, "is_error": True} if message.status == "error" else result


def _tool_uses(message: AIMessage) -> Iterator[dict[str, Any]]:
    content = message.content if isinstance(message.content, list) else []
    there = {each.get("id") for each in content if isinstance(each, Mapping)}
    for call in message.tool_calls:
        if call["id"] not in there:
            yield {"type": _CALL, "id": call["id"], "name": call["name"], "input": call["args"]}


def request_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool, described in OpenAI's or Anthropic's form, in the form of a request."""
    function = tool.get("function")
    if function is None:
        return dict(tool)
    return {
        "name": function["name"],
        "description": function.get("description") or "",
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
