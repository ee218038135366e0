"""The messages of a model's call, from whatever form a span states them in.

By the conventions they are JSON in two attributes (semantic-conventions-genai,
``gen-ai-input-messages.json``); before 1.37 they were events, one a message, and so they are with
Strands (``strands/telemetry/tracer.py``) unless it is told otherwise. OpenInference (its
``spec/semantic_conventions.md``) and OpenLLMetry have flat keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from chain_callbacks.runnables import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from .foreign_attributes import Attributes, first, listed, read, records, text_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_CHOICE: Final = "gen_ai.choice"
_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_MODELS: Final = ("assistant", "ai", "model")
_SYSTEM: Final = ("system", "developer")

Record = Mapping[str, Any]


def input_messages(span: ReadableSpan, attributes: Attributes) -> list[BaseMessage]:
    """Return what the model, or the agent, was given; empty where the span does not tell."""
    for found in (_stated(attributes), _from_events(span), _from_keys(attributes)):
        if found:
            return [message for record in found for message in _messages(record)]
    text = first(attributes, ("input.value", "gen_ai.prompt"))
    return [] if text is None else [HumanMessage(text_of(text))]


def output_records(span: ReadableSpan, attributes: Attributes) -> list[Record]:
    """Return what the model answered: a record for each choice."""
    stated = _as_records(read(attributes.get("gen_ai.output.messages")))
    if stated:
        return stated
    chosen = [_choice(event.attributes or {}) for event in span.events if event.name == _CHOICE]
    if chosen:
        return chosen
    for prefix in ("llm.output_messages", "gen_ai.completion"):
        flat = [_flat(each) for each in records(attributes, prefix)]
        if flat:
            return flat
    text = first(attributes, ("output.value",))
    return [] if text is None else [{"role": "assistant", "content": text_of(text)}]


def messages_in(value: Any) -> list[BaseMessage]:
    """Return the messages that an attribute states as JSON, by the conventions."""
    return [message for record in _as_records(read(value)) for message in _messages(record)]


def called_with(span: ReadableSpan, attributes: Attributes) -> Any:
    """Return the arguments of a tool that are told as a message, which Strands does."""
    for record in (*_stated(attributes), *_from_events(span)):
        for kind, value in _parts(record):
            if kind == "call":
                return value["args"]
        if record.get("content") is not None:
            return record["content"]
    return None


def gave_back(span: ReadableSpan, attributes: Attributes) -> Any:
    """Return the result of a tool that is told as a message."""
    texts = []
    for record in output_records(span, attributes):
        for kind, value in _parts(record):
            if kind == "response":
                return value.content
            if kind == "text":
                texts.append(value)
    return "\n".join(texts) if texts else None


def answer(record: Record) -> AIMessage:
    """Return a record of what a model answered as its message."""
    texts: list[str] = []
    blocks: list[dict[str, Any]] = []
    calls: list[ToolCall] = []
    for kind, value in _parts(record):
        if kind == "text":
            texts.append(value)
        elif kind == "call":
            calls.append(value)
        elif kind == "block":
            blocks.append(value)
    calls += [_call(each) for each in record.get("tool_calls") or () if isinstance(each, Mapping)]
    return AIMessage(_content(texts, blocks), tool_calls=calls)


def _stated(attributes: Attributes) -> list[Record]:
    given = _as_records(read(attributes.get("gen_ai.input.messages")))
    instructions = read(attributes.get("gen_ai.system_instructions"))
    if instructions:
        given.insert(0, {"role": "system", "parts": instructions})
    return given


def _from_events(span: ReadableSpan) -> list[Record]:
    return [
        {"role": _EVENTS[event.name], **{k: read(v) for k, v in (event.attributes or {}).items()}}
        for event in span.events
        if event.name in _EVENTS
    ]


def _from_keys(attributes: Attributes) -> list[Record]:
    for prefix in ("llm.input_messages", "gen_ai.prompt"):
        found = [_flat(each) for each in records(attributes, prefix)]
        if found:
            return found
    return []


def _choice(attributes: Attributes) -> Record:
    given = read(attributes.get("message"))
    if not isinstance(given, Mapping):
        given = {"content": given}
    finish = attributes.get("finish_reason")
    return {"role": "assistant", **given, **({"finish_reason": finish} if finish else {})}


def _flat(record: Record) -> Record:
    """Return a message of OpenInference's, or of OpenLLMetry's, as a record."""
    message = record.get("message")
    if not isinstance(message, Mapping):
        calls = [each for each in listed(record.get("tool_calls")) if isinstance(each, Mapping)]
        return {**record, "tool_calls": calls}
    calls = [
        each["tool_call"]
        for each in listed(message.get("tool_calls"))
        if isinstance(each, Mapping) and isinstance(each.get("tool_call"), Mapping)
    ]
    parts = [
        each["message_content"]
        for each in listed(message.get("contents"))
        if isinstance(each, Mapping) and isinstance(each.get("message_content"), Mapping)
    ]
    return {**message, "content": message.get("content") or parts, "tool_calls": calls}


def _as_records(value: Any) -> list[Record]:
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [each for each in value if isinstance(each, Mapping)]


def _messages(record: Record) -> Iterator[BaseMessage]:
    role = str(record.get("role", "user"))
    if role in _MODELS:
        yield answer(record)
        return
    texts: list[str] = []
    blocks: list[dict[str, Any]] = []
    told = False
    for kind, value in _parts(record):
        if kind == "response":
            told = True
            yield value
        elif kind == "text":
            texts.append(value)
        elif kind == "block":
            blocks.append(value)
    if not texts and not blocks and told:
        return
    content = _content(texts, blocks)
    if role in _SYSTEM:
        yield SystemMessage(content)
    elif role == "tool":
        called = first(record, ("tool_call_id", "id"))
        yield ToolMessage(content, tool_call_id=str(called or ""), name=record.get("name"))
    else:
        yield HumanMessage(content)


def _content(texts: list[str], blocks: list[dict[str, Any]]) -> Any:
    if not blocks:
        return "\n".join(texts)
    return [*({"type": "text", "text": text} for text in texts), *blocks]


def _parts(record: Record) -> Iterator[tuple[str, Any]]:
    given = record.get("parts")
    if given is None:
        given = record.get("content")
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Mapping):
        given = [given]
    if isinstance(given, Iterable):
        for each in given:
            yield _part(each)


def _part(part: Any) -> tuple[str, Any]:
    """Return what a part of a message is, and the part: a text, a call, a response, a block."""
    if not isinstance(part, Mapping):
        return "text", text_of(part)
    kind = part.get("type")
    if kind == "tool_call":
        return "call", _call(part)
    if kind == "tool_call_response":
        return "response", _response(part)
    if isinstance(part.get("toolUse"), Mapping):  # Bedrock's form, which Strands keeps.
        return "call", _call(part["toolUse"])
    if isinstance(part.get("toolResult"), Mapping):
        return "response", _response(part["toolResult"])
    if kind in (None, "text"):
        text = first(part, ("content", "text"))
        if text is not None:
            return "text", text_of(text)
    return "block", dict(part)


def _call(part: Record) -> ToolCall:
    function = part.get("function")
    named = function if isinstance(function, Mapping) else part
    arguments = read(first(named, ("arguments", "input", "args")))
    called = first(part, ("id", "toolUseId"))
    return ToolCall(
        name=str(named.get("name", "")),
        args=arguments if isinstance(arguments, dict) else {"input": arguments},
        id=None if called is None else str(called),
        type="tool_call",
    )


def _response(part: Record) -> ToolMessage:
    told = first(part, ("response", "result", "content"))
    called = first(part, ("id", "toolUseId"))
    return ToolMessage(text_of(told), tool_call_id=str(called or ""), name=part.get("name"))
