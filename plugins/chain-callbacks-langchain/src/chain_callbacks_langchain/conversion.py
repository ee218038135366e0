"""Our events in LangChain's types, for handlers that were written for LangChain.

They read messages, results and documents by LangChain's classes, and a model's name and provider
from the metadata of its start. What is LangChain's already is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from langchain_core import agents, documents, messages, outputs, prompt_values

from chain_callbacks import runnables

_DEEPEST: Final = 8

Told = tuple[Any, tuple[Any, ...], Mapping[str, Any]]


def convert(event: str, run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Told:
    """Return the run, the arguments and the keywords of *event* as LangChain would give them."""
    change = _BY_EVENT.get(event)
    if change is not None:
        return change(run, arguments, keywords)
    return run, tuple(map(value_of, arguments)), keywords


class _RunOf:
    """A run whose start shows more metadata than it has."""

    def __init__(self, run: Any, metadata: Mapping[str, Any]) -> None:
        self._run = run
        self.metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)


def _model_start(kind: str) -> Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Told]:
    def change(run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Told:
        serialized, given = arguments
        params = dict(keywords.get("invocation_params") or {})
        name = params.get("model_name") or params.get("model") or run.name
        provider = params.get("_type") or run.name
        params.setdefault("model_name", name)
        # Some handlers drop a run that has no parameters; some look a model up by these names.
        told = {**keywords, "invocation_params": params}
        known = {"ls_provider": provider, "ls_model_name": name, "ls_model_type": kind}
        batches = given if isinstance(given, list) else [[]]
        if kind == "chat":
            batches = [_messages(each) for each in batches]
        return _RunOf(run, {**known, **run.metadata}), (serialized, batches), told

    return change


def _messages(batch: Any) -> list[messages.BaseMessage]:
    if not isinstance(batch, list | tuple):
        return []
    converted = [value_of(each) for each in batch]
    return [
        each if isinstance(each, messages.BaseMessage) else messages.HumanMessage(str(each))
        for each in converted
    ]


def _token(run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Told:
    return run, arguments, {name: value_of(each) for name, each in keywords.items()}


def _model_end(run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Told:
    return run, tuple(map(_result, arguments)), keywords


def _model_error(run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Told:
    told = {**keywords}
    if told.get("response") is not None:
        told["response"] = _result(told["response"])
    return run, arguments, told


def _as_it_is(run: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Told:
    return run, arguments, keywords


_BY_EVENT: Final[Mapping[str, Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Told]]] = {
    "on_chat_model_start": _model_start("chat"),
    "on_llm_start": _model_start("llm"),
    "on_llm_new_token": _token,
    "on_llm_end": _model_end,
    "on_llm_error": _model_error,
    "on_tool_start": _as_it_is,
    "on_retry": _as_it_is,
    "on_text": _as_it_is,
}


def _result(response: Any) -> Any:
    """Return an answer of a model as LangChain's, with its counts where handlers look for them."""
    if isinstance(response, outputs.LLMResult):
        return response
    batches = getattr(response, "generations", None) or [[]]
    generations = [[_generation(each) for each in batch] for batch in batches]
    llm_output = dict(getattr(response, "llm_output", None) or {})
    first = next((each for batch in generations for each in batch), None)
    message = getattr(first, "message", None)
    if isinstance(message, messages.AIMessage):
        if message.usage_metadata:
            llm_output.setdefault("token_usage", _usage(message.usage_metadata))
        named = message.response_metadata.get("model_name")
        if named:
            llm_output.setdefault("model_name", named)
    return outputs.LLMResult(generations=generations, llm_output=llm_output)


def _usage(usage: Any) -> dict[str, int]:
    """Return counts under the names of LangChain's elder results."""
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


def _generation(generation: Any) -> Any:
    if isinstance(generation, outputs.Generation):
        return generation
    info = getattr(generation, "generation_info", None)
    message = getattr(generation, "message", None)
    if message is None:
        return outputs.Generation(text=str(getattr(generation, "text", "")), generation_info=info)
    return outputs.ChatGeneration(message=value_of(message), generation_info=info)


def value_of(value: Any, depth: int = _DEEPEST) -> Any:
    """Return *value* with each message, document and prompt of ours in it as LangChain's.

    Lists, tuples and dicts are searched; one in which there is nothing of ours stays the same.
    """
    change = _change_of(value.__class__)
    if change is not None:
        return change(value)
    if depth and type(value) is dict:
        changed = {key: value_of(each, depth - 1) for key, each in value.items()}
        return changed if any(changed[key] is not value[key] for key in value) else value
    if depth and type(value) in (list, tuple):
        items = [value_of(each, depth - 1) for each in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(items)
    return value


@lru_cache(maxsize=1_024)
def _change_of(kind: type) -> Callable[[Any], Any] | None:
    return next((change for ours, change in _TYPES if issubclass(kind, ours)), None)


def _fields(message: runnables.BaseMessage) -> dict[str, Any]:
    return {
        "content": _content(message.content),
        "additional_kwargs": dict(message.additional_kwargs),
        "response_metadata": dict(message.response_metadata),
        "name": message.name,
        "id": message.id,
    }


def _content(content: Any) -> Any:
    if isinstance(content, list):
        return [*content]
    return content if isinstance(content, str) else str(content)


def _ai(message: runnables.AIMessage) -> messages.AIMessage:
    return messages.AIMessage(
        **_fields(message),
        tool_calls=[*message.tool_calls],
        invalid_tool_calls=[*message.invalid_tool_calls],
        usage_metadata=message.usage_metadata,
    )


def _ai_chunk(message: runnables.AIMessageChunk) -> messages.AIMessageChunk:
    fields: dict[str, Any] = {
        **_fields(message),
        "tool_call_chunks": [*message.tool_call_chunks],
        "usage_metadata": message.usage_metadata,
    }
    if message.chunk_position is not None:
        fields["chunk_position"] = message.chunk_position
    return messages.AIMessageChunk(**fields)


def _tool(message: runnables.ToolMessage) -> messages.ToolMessage:
    return messages.ToolMessage(
        **_fields(message),
        tool_call_id=message.tool_call_id,
        artifact=message.artifact,
        status=message.status,
    )


def _generation_chunk(chunk: runnables.ChatGenerationChunk) -> outputs.ChatGenerationChunk:
    return outputs.ChatGenerationChunk(
        message=_ai_chunk(chunk.message), generation_info=chunk.generation_info
    )


def _document(document: runnables.Document) -> documents.Document:
    return documents.Document(
        page_content=document.page_content, metadata=dict(document.metadata), id=document.id
    )


# A subclass stands before its base.
_TYPES: Final[Sequence[tuple[type, Callable[[Any], Any]]]] = (
    (runnables.AIMessageChunk, _ai_chunk),
    (runnables.AIMessage, _ai),
    (runnables.ToolMessage, _tool),
    (runnables.SystemMessage, lambda each: messages.SystemMessage(**_fields(each))),
    (runnables.BaseMessage, lambda each: messages.HumanMessage(**_fields(each))),
    (runnables.ChatGenerationChunk, _generation_chunk),
    (runnables.Document, _document),
    (
        runnables.ChatPromptValue,
        lambda each: prompt_values.ChatPromptValue(messages=_messages(each.messages)),
    ),
    (
        runnables.StringPromptValue,
        lambda each: prompt_values.StringPromptValue(text=each.text),
    ),
    (
        runnables.AgentAction,
        lambda each: agents.AgentAction(each.tool, each.tool_input, each.log),
    ),
    (runnables.AgentFinish, lambda each: agents.AgentFinish(each.return_values, each.log)),
)
