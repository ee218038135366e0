"""The attributes of OpenInference, beside those of the GenAI conventions and on the same spans."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chain_callbacks import RunEnd, RunStart

from . import models, names
from .messages import finish_reason, generations, plain, text_of


def at_start(kind: str, run: RunStart, *, has_content: bool) -> dict[str, Any]:
    """Return what is known when a run starts; without content, which model, tool or session."""
    found: dict[str, Any] = {names.SPAN_KIND: names.KINDS.get(kind, names.OTHER_KIND)}
    payload, params = run.payload, run.payload.get("invocation_params")
    if kind in ("chat_model", "llm"):
        found[names.LLM_MODEL] = models.model_of(run.metadata, params)
        provider = run.metadata.get("ls_provider")
        found[names.LLM_PROVIDER] = provider
        found[names.LLM_SYSTEM] = names.SYSTEMS.get(provider) if isinstance(provider, str) else None
        found |= _parameters(params) if has_content else {}
        asked = payload.get("messages") or [payload.get("prompts")]
        found |= _messages(names.LLM_INPUT, asked[0] or ()) if has_content else {}
    elif kind == "embeddings":
        found[names.EMBEDDING_MODEL] = models.model_of(run.metadata, params)
    elif kind == "tool":
        found[names.TOOL_NAME] = run.name
        found[names.TOOL_ID] = text_of(payload.get("tool_call_id"))
    found[names.SESSION] = models.conversation_of(run.metadata)
    if has_content:
        if run.metadata:
            found[names.METADATA] = _json(dict(run.metadata))
        brought = [value for name, value in payload.items() if name in _INPUTS]
        found |= _value(names.INPUT, names.INPUT_TYPE, brought[0] if brought else None)
    return _known(found)


def at_end(kind: str, run: RunEnd, *, has_content: bool) -> dict[str, Any]:
    """Return what is known when a run ended; without content, how many tokens it took."""
    found: dict[str, Any] = {}
    payload = run.payload
    if kind in ("chat_model", "llm"):
        response = payload.get("response")
        used = models.usage_of(response)
        found[names.TOKENS_IN], found[names.TOKENS_OUT] = used.input, used.output
        found[names.TOKENS_READ], found[names.TOKENS_WRITTEN] = used.cache_read, used.cache_write
        found[names.TOKENS_THOUGHT] = used.reasoning
        reasons = (finish_reason(each) for each in generations(response))
        found[names.FINISH_REASON] = next((reason for reason in reasons if reason), None)
        if used.input is not None and used.output is not None:
            found[names.TOKENS] = used.input + used.output
    if not has_content:
        return _known(found)
    if kind in ("chat_model", "llm"):
        answers = [
            getattr(each, "message", None) or each for each in generations(payload.get("response"))
        ]
        found |= _messages(names.LLM_OUTPUT, answers)
        said = "".join(_text(each) for each in answers)
        found |= _value(names.OUTPUT, names.OUTPUT_TYPE, said)
        return _known(found)
    if kind == "retriever":
        for number, each in enumerate(payload.get("documents") or ()):
            text = getattr(each, "page_content", None)
            found[f"{names.DOCUMENTS}.{number}.document.content"] = text or None
    output = next((payload[name] for name in _OUTPUTS if name in payload), None)
    found |= _value(names.OUTPUT, names.OUTPUT_TYPE, getattr(output, "content", output))
    return _known(found)


_INPUTS = ("inputs", "messages", "prompts", "input_str", "query", "texts")
_OUTPUTS = ("outputs", "output")


def _known(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


def _value(name: str, type_name: str, value: Any) -> dict[str, Any]:
    # What is empty is what a handler at the level `none` is shown.
    if value in (None, "", [], [[]], [""]):
        return {}
    if isinstance(value, str):
        return {name: value, type_name: names.TEXT}
    return {name: _json(value, _plain), type_name: names.JSON}


def _parameters(params: Any) -> dict[str, Any]:
    """Return how a call was set, and what the model may call, each in an attribute of its own."""
    if not isinstance(params, Mapping):
        return {}
    settings = {name: value for name, value in params.items() if name != "tools"}
    found = {names.LLM_PARAMETERS: _json(settings)} if settings else {}
    offered = params.get("tools")
    for number, each in enumerate(offered if isinstance(offered, list | tuple) else ()):
        found[f"{names.LLM_TOOLS}.{number}.tool.json_schema"] = _json(each)
    return found


def _json(value: Any, told: Callable[[Any], Any] = str) -> str:
    try:
        return json.dumps(value, default=told, skipkeys=True)
    except ValueError:  # It holds itself.
        return json.dumps(plain(value), default=str)


def _plain(value: Any) -> Any:
    if hasattr(value, "content"):
        return {"role": getattr(value, "type", None), "content": value.content}
    return str(value)


def _messages(name: str, messages: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, each in enumerate(messages):
        content = _text(each)
        calls = [call for call in getattr(each, "tool_calls", None) or () if call]
        if not content and not calls:
            continue
        prefix = f"{name}.{number}.message"
        found[f"{prefix}.role"] = _ROLES.get(getattr(each, "type", "human"), "assistant")
        found[f"{prefix}.content"] = content
        found[f"{prefix}.name"] = text_of(getattr(each, "name", None))
        found[f"{prefix}.tool_call_id"] = text_of(getattr(each, "tool_call_id", None))
        for place, call in enumerate(calls):
            told = f"{prefix}.tool_calls.{place}.tool_call"
            found[f"{told}.id"] = text_of(call.get("id"))
            found[f"{told}.function.name"] = str(call.get("name"))
            found[f"{told}.function.arguments"] = _json(call.get("args"))
    return found


_ROLES = {"human": "user", "ai": "assistant", "tool": "tool", "system": "system"}


def _text(message: Any) -> str:
    text = getattr(message, "text", message)
    return text if isinstance(text, str) else str(getattr(message, "content", ""))
