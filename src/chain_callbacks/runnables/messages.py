"""Messages of a chat, their tool calls and counts; streamed chunks of them add up.

Names, fields and meanings are LangChain's (``langchain_core.messages``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, Field, dataclass, field, fields
from functools import reduce
from typing import Any, ClassVar, Final, Literal, NotRequired, TypedDict, TypeGuard, cast

from ..errors import did_you_mean, quoted

Content = str | list[str | dict[str, Any]]

# What tells a block from its neighbours; joining it chunk by chunk would make nonsense of it.
IDENTITY: Final = frozenset({"id", "index", "type"})


class ToolCall(TypedDict):
    """What a model asks a tool to do."""

    name: str
    args: dict[str, Any]
    id: str | None
    type: NotRequired[Literal["tool_call"]]


class InvalidToolCall(TypedDict):
    """A tool call whose arguments are not (yet) a JSON object; *args* is the text of them."""

    name: str | None
    args: str | None
    id: str | None
    error: str | None
    type: NotRequired[Literal["invalid_tool_call"]]


class ToolCallChunk(TypedDict):
    """A piece of a tool call; pieces of one *index* belong together."""

    name: str | None
    args: str | None
    id: str | None
    index: int | None
    type: NotRequired[Literal["tool_call_chunk"]]


class UsageMetadata(TypedDict):
    """How many tokens went in and came out; the details count kinds of token by name."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: NotRequired[dict[str, int]]
    output_token_details: NotRequired[dict[str, int]]


@dataclass(repr=False, eq=False)
class Record:
    """Dataclasses that print as LangChain's do: what is at its default is left out."""

    hides_defaults: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._printed())})"

    def __str__(self) -> str:
        return " ".join(self._printed())

    def _printed(self) -> list[str]:
        pairs = [(spec, getattr(self, spec.name)) for spec in fields(self)]
        return [
            f"{spec.name}={value!r}"
            for spec, value in pairs
            if not (self.hides_defaults and _is_default(spec, value))
        ]


def _is_default(spec: Field[Any], value: Any) -> bool:
    if spec.default_factory is not MISSING:
        return bool(value == spec.default_factory())
    # `==` only between texts: an artifact may be an array, which compares element by element.
    return value is spec.default or (isinstance(value, str) and value == spec.default)


@dataclass(repr=False)
class BaseMessage(Record):
    """A message; *content* is a text, or blocks of which some may be text."""

    type: ClassVar[str]

    content: Content
    _: KW_ONLY
    additional_kwargs: dict[str, Any] = field(default_factory=dict)
    response_metadata: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    id: str | None = None

    @property
    def text(self) -> str:
        """The text of the content; of blocks, the text blocks joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(map(_text_of, self.content))


def _text_of(block: str | dict[str, Any]) -> str:
    if isinstance(block, str):
        return block
    text = block.get("text") if block.get("type", "text") == "text" else None
    return text if isinstance(text, str) else ""


class HumanMessage(BaseMessage):
    """What a person says."""

    type: ClassVar[str] = "human"


class SystemMessage(BaseMessage):
    """What tells a model how to behave."""

    type: ClassVar[str] = "system"


@dataclass(repr=False, kw_only=True)
class AIMessage(BaseMessage):
    """What a model answers: content, calls of tools, or both."""

    type: ClassVar[str] = "ai"

    tool_calls: list[ToolCall] = field(default_factory=list)
    invalid_tool_calls: list[InvalidToolCall] = field(default_factory=list)
    usage_metadata: UsageMetadata | None = None

    def __post_init__(self) -> None:
        if self.tool_calls:
            self.tool_calls = [
                ToolCall(
                    name=call["name"],
                    args=call.get("args") or {},
                    id=call.get("id"),
                    type="tool_call",
                )
                for call in self.tool_calls
            ]


@dataclass(repr=False, kw_only=True)
class AIMessageChunk(AIMessage):
    """A piece of a streamed answer; pieces add up with ``+``.

    *tool_calls* and *invalid_tool_calls* follow from *tool_call_chunks*: a call whose arguments
    are not complete yet is an invalid one until the rest of them has been added.
    """

    type: ClassVar[str] = "AIMessageChunk"

    tool_call_chunks: list[ToolCallChunk] = field(default_factory=list)
    chunk_position: Literal["last"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tool_call_chunks:
            self.tool_call_chunks = [_normalize(chunk) for chunk in self.tool_call_chunks]
            self.tool_calls, self.invalid_tool_calls = parse_tool_calls(self.tool_call_chunks)
        elif self.tool_calls or self.invalid_tool_calls:
            self.tool_call_chunks = [
                *map(_chunk_of, self.tool_calls),
                *map(_normalize, self.invalid_tool_calls),
            ]

    def __add__(self, other: AIMessageChunk | Sequence[AIMessageChunk]) -> AIMessageChunk:
        if isinstance(other, AIMessageChunk):
            return _add_chunks(self, other)
        if isinstance(other, list | tuple) and all(isinstance(o, AIMessageChunk) for o in other):
            return reduce(_add_chunks, other, self)
        return NotImplemented


@dataclass(repr=False, kw_only=True)
class ToolMessage(BaseMessage):
    """What a tool answers to one call; *artifact* is for the program, not for the model."""

    type: ClassVar[str] = "tool"

    tool_call_id: str
    artifact: Any = None
    status: Literal["success", "error"] = "success"


def _normalize(chunk: Mapping[str, Any]) -> ToolCallChunk:
    name, args, call_id, index = map(chunk.get, ("name", "args", "id", "index"))
    return ToolCallChunk(name=name, args=args, id=call_id, index=index, type="tool_call_chunk")


def _chunk_of(call: ToolCall) -> ToolCallChunk:
    return _normalize({**call, "args": json.dumps(call["args"], default=str)})


def parse_tool_calls(
    chunks: Iterable[ToolCallChunk],
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Return the calls whose arguments are a JSON object, or none at all, and the other ones."""
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for chunk in chunks:
        name, text, call_id = chunk["name"], chunk["args"], chunk["id"]
        args = _parse_object(text) if text else {}
        if args is not None:
            calls.append(ToolCall(name=name or "", args=args, id=call_id, type="tool_call"))
        else:
            error = "The arguments are no complete JSON object."
            invalid.append(
                InvalidToolCall(
                    name=name, args=text, id=call_id, error=error, type="invalid_tool_call"
                )
            )
    return calls, invalid


def _parse_object(text: str) -> dict[str, Any] | None:
    # The last brace is looked for first: a long object arrives in a thousand chunks.
    if not text.rstrip().endswith("}"):
        return None
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _add_chunks(left: AIMessageChunk, right: AIMessageChunk) -> AIMessageChunk:
    calls = _join(left.tool_call_chunks, right.tool_call_chunks)
    return type(left)(
        _join_content(left.content, right.content),
        additional_kwargs=_join(left.additional_kwargs, right.additional_kwargs),
        response_metadata=merge_metadata(left.response_metadata, right.response_metadata),
        name=left.name or right.name,
        id=left.id or right.id,
        usage_metadata=add_usage(left.usage_metadata, right.usage_metadata),
        tool_call_chunks=calls,
        chunk_position=right.chunk_position or left.chunk_position,
    )


def _join_content(left: Content, right: Content) -> Content:
    if isinstance(left, str):
        if isinstance(right, str):
            return left + right
        return [left, *right] if left else list(right)
    if isinstance(right, list):
        return _join_lists(left, right)
    if left and isinstance(left[-1], str):
        return [*left[:-1], left[-1] + right]
    return [*left, right] if right else list(left)


def _join(left: Any, right: Any) -> Any:
    """Return two pieces of one value joined; what cannot be joined is the right one."""
    match left, right:
        case (None, _) | (_, None):
            return right if left is None else left
        case str(), str():
            return left + right
        case list(), list():
            return _join_lists(left, right)
        case dict(), dict():
            joined = dict(left)
            for key, value in right.items():
                old = joined.get(key)
                is_kept = key in IDENTITY and old not in (None, "")
                joined[key] = old if is_kept else _join(old, value)
            return joined
    return right


def _join_lists(left: list[Any], right: list[Any]) -> list[Any]:
    joined = list(left)
    for item in right:
        places = range(len(joined) - 1, -1, -1)
        place = next((i for i in places if _belong_together(joined[i], item)), None)
        if place is None:
            joined.append(item)
        else:
            joined[place] = _join(joined[place], item)
    return joined


def _belong_together(left: Any, right: Any) -> bool:
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return False
    if right.get("index") is None or left.get("index") != right["index"]:
        return False
    ids = left.get("id"), right.get("id")
    return not all(ids) or ids[0] == ids[1]


def merge_metadata(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Return what both say: dicts merged, lists one after the other, else the last that is set."""
    merged = dict(left)
    for key, value in right.items():
        match merged.get(key), value:
            case dict() as old, dict():
                merged[key] = merge_metadata(old, value)
            case list() as old, list():
                merged[key] = [*old, *value]
            case old, _:
                merged[key] = old if value is None else value
    return merged


def add_usage(left: UsageMetadata | None, right: UsageMetadata | None) -> UsageMetadata | None:
    """Return the sum of two counts of tokens, field by field."""
    if left is None or right is None:
        return left or right
    return cast("UsageMetadata", _add_counts(left, right))


def _add_counts(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    total = dict(left)
    for key, value in right.items():
        match total.get(key), value:
            case dict() as old, dict():
                total[key] = _add_counts(old, value)
            case int() | float() as old, int() | float():
                total[key] = old + value
            case old, _:
                total[key] = old if value is None else value
    return total


def message_chunk_to_message(chunk: AIMessage) -> AIMessage:
    """Return the message that a chunk has added up to; a message as it is."""
    if not isinstance(chunk, AIMessageChunk):
        return chunk
    return AIMessage(**{spec.name: getattr(chunk, spec.name) for spec in fields(AIMessage)})


ROLES: Final[Mapping[str, type[BaseMessage]]] = {
    "user": HumanMessage,
    "human": HumanMessage,
    "assistant": AIMessage,
    "ai": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
    "tool": ToolMessage,
}


def convert_to_messages(value: Any) -> list[BaseMessage]:
    """Return *value* as messages.

    Args:
        value: A text, a message, a (role, content) tuple, a dict with "role" and "content", a
            sequence of these, or a prompt value (anything with ``to_messages()``).

    Raises:
        TypeError: *value*, or one of its elements, is none of these.
        ValueError: A role is unknown.
    """
    if hasattr(value, "to_messages"):
        return list(value.to_messages())
    if isinstance(value, list | tuple) and not (_is_pair(value) and value[0] in ROLES):
        return [_to_message(item) for item in value]
    return [_to_message(value)]


def _is_pair(value: object) -> TypeGuard[tuple[str, Any]]:
    match value:
        case (str(), _):
            return isinstance(value, tuple)
    return False


def _to_message(value: Any) -> BaseMessage:
    if isinstance(value, BaseMessage):
        return value
    if isinstance(value, str):
        return HumanMessage(value)
    if _is_pair(value):
        return _from_role(value[0], {"content": value[1]})
    if isinstance(value, Mapping) and "content" in value and ("role" in value or "type" in value):
        rest = dict(value)
        kind = rest.pop("type", None)
        return _from_role(rest.pop("role", kind), rest)
    raise TypeError(
        f"A {type(value).__name__} is no message. Pass a text, a message, a (role, content) tuple, "
        "a dict with 'role' and 'content', or a list of these."
    )


def _from_role(role: str, given: dict[str, Any]) -> BaseMessage:
    if role not in ROLES:
        hint = did_you_mean(role, ROLES)
        raise ValueError(f"{role!r} is no role of a message.{hint} Roles: {quoted(ROLES)}.")
    kind = ROLES[role]
    if kind is ToolMessage and "tool_call_id" not in given:
        raise TypeError("A tool message lacks its 'tool_call_id'. Name the call that it answers.")
    known = {spec.name for spec in fields(kind)}
    arguments = {key: value for key, value in given.items() if key in known and value is not None}
    extra = {key: value for key, value in given.items() if key not in known}
    if extra:
        arguments["additional_kwargs"] = {**extra, **arguments.get("additional_kwargs", {})}
    calls = arguments.get("tool_calls", ())
    if kind is AIMessage and any("function" in call for call in calls):
        valid, invalid = parse_tool_calls(map(_from_openai, calls))
        arguments |= {"tool_calls": valid, "invalid_tool_calls": invalid}
    return kind(**{"content": "", **arguments})


def _from_openai(call: Mapping[str, Any]) -> ToolCallChunk:
    function = call.get("function", {})
    args = function.get("arguments", call.get("args"))
    text = args if isinstance(args, str) else json.dumps(args or {}, default=str)
    return _normalize({**call, "name": function.get("name", call.get("name")), "args": text})


PREFIXES: Final = {"human": "Human", "ai": "AI", "system": "System", "tool": "Tool"}


def get_buffer_string(
    messages: Iterable[BaseMessage], human_prefix: str = "Human", ai_prefix: str = "AI"
) -> str:
    """Return a chat as text, a line for each message; tool calls stand behind their message."""
    prefixes = {**PREFIXES, "human": human_prefix, "ai": ai_prefix, "AIMessageChunk": ai_prefix}
    return "\n".join(
        f"{prefixes.get(message.type, message.type)}: {message.text}"
        + (str(message.tool_calls) if isinstance(message, AIMessage) and message.tool_calls else "")
        for message in messages
    )
