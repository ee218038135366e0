"""Messages, ours and LangChain's, as the conventions have them; by what they have, not by class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.util.genai.types import (
    InputMessage,
    MessagePart,
    OutputMessage,
    ReasoningPart,
    TextPart,
    ToolCallRequestPart,
    ToolCallResponsePart,
)
from opentelemetry.util.genai.utils import image_from_url, object_to_any_value

_ROLES: Final = {"human": "user", "ai": "assistant", "tool": "tool", "system": "system"}
_REASONS: Final = {"tool_calls": "tool_call", "tool_use": "tool_call", "function_call": "tool_call"}


def input_messages(messages: Iterable[Any]) -> list[InputMessage]:
    """Return what a model was asked; a text alone is what a person says."""
    return [_input(each) for each in messages]


def output_messages(response: Any) -> list[OutputMessage]:
    """Return what a model answered, an ``LLMResult``: a message for each of its generations."""
    return [_output(each) for each in generations(response)]


def generations(response: Any) -> list[Any]:
    """Return the answers of an ``LLMResult`` to its first prompt; nothing of anything else."""
    found = getattr(response, "generations", None)
    return [*found[0]] if isinstance(found, list) and found and isinstance(found[0], list) else []


def metadata_of(generation: Any) -> dict[str, Any]:
    """Return what a provider said of an answer, wherever it stands."""
    info = getattr(generation, "generation_info", None)
    told = getattr(getattr(generation, "message", None), "response_metadata", None)
    return {**(info if isinstance(info, dict) else {}), **(told if isinstance(told, dict) else {})}


def finish_reason(generation: Any) -> str | None:
    """Return why an answer ended, in the provider's word; None where it did not say."""
    metadata = metadata_of(generation)
    reason = metadata.get("finish_reason") or metadata.get("stop_reason")
    return reason if isinstance(reason, str) else None


def plain(value: Any) -> Any:
    """Return *value* as JSON can have it: what is of a program's own class is its text."""
    return value if isinstance(value, str) else object_to_any_value(value)


def text_of(value: Any) -> str | None:
    """Return *value* where it is a text."""
    return value if isinstance(value, str) else None


def _input(message: Any) -> InputMessage:
    role = _ROLES.get(str(getattr(message, "type", "human")), str(getattr(message, "role", "user")))
    name = getattr(message, "name", None)
    return InputMessage(role, _parts(message), name if isinstance(name, str) else None)


def _output(generation: Any) -> OutputMessage:
    message = getattr(generation, "message", None)
    parts = _parts(getattr(generation, "text", "") if message is None else message)
    reason = finish_reason(generation)
    return OutputMessage("assistant", parts, reason and _REASONS.get(reason, reason))


def _parts(message: Any) -> list[MessagePart]:
    content = getattr(message, "content", message)
    if getattr(message, "type", None) == "tool":
        key = text_of(getattr(message, "tool_call_id", None))
        return [ToolCallResponsePart(plain(content), key)]
    parts = [part for block in _blocks(content) if (part := _part(block)) is not None]
    for call in getattr(message, "tool_calls", None) or ():
        if isinstance(call, Mapping):
            name, key = str(call.get("name")), text_of(call.get("id"))
            parts.append(ToolCallRequestPart(plain(call.get("args")), name, key))
    return parts


def _blocks(content: Any) -> Iterable[Any]:
    return content if isinstance(content, list | tuple) else (content,)


def _part(block: Any) -> MessagePart | None:
    """Return a block of a message's content; None of a sort that the conventions do not name."""
    if not isinstance(block, Mapping):
        return TextPart(str(block)) if block else None
    kind = block.get("type", "text")
    if kind == "text":
        return TextPart(str(block.get("text", "")))
    if kind in ("thinking", "reasoning"):
        return ReasoningPart(str(block.get("thinking") or block.get("reasoning") or ""))
    url = block.get("image_url") if kind == "image_url" else block.get("url")
    url = url.get("url") if isinstance(url, Mapping) else url
    return image_from_url(url) if isinstance(url, str) and "image" in kind else None
