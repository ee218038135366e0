"""What is known of a call of a model: which one, how it was set, what it used, why it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .messages import finish_reason, generations, metadata_of
from .names import PROVIDERS, UNKNOWN

if TYPE_CHECKING:
    from opentelemetry.util.genai.invocation import EmbeddingInvocation, InferenceInvocation

_MODELS: Final = ("model", "model_name", "model_id")
_CONVERSATIONS: Final = ("conversation_id", "session_id", "thread_id")
_STANDARD: Final = ("ls_temperature", "ls_max_tokens")
_NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "frequency_penalty": ("frequency_penalty",),
    "presence_penalty": ("presence_penalty",),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens"),
    "seed": ("seed",),
    "request_choice_count": ("n",),
}


class Usage(NamedTuple):
    """The tokens of a call; None is what nobody counted."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


def provider_of(metadata: Mapping[str, Any]) -> str:
    """Return who serves the model, by the name that the conventions have for it."""
    named = metadata.get("ls_provider")
    return PROVIDERS.get(named, named) if isinstance(named, str) and named else UNKNOWN


def model_of(metadata: Mapping[str, Any], params: Any) -> str | None:
    """Return which model was asked, by the run's *metadata* or by the *params* of the call."""
    asked = params if isinstance(params, Mapping) else {}
    found = (metadata.get("ls_model_name"), *(asked.get(name) for name in _MODELS))
    return next((each for each in found if isinstance(each, str) and each), None)


def conversation_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the conversation that a run is of; None where its metadata does not say, or is hid."""
    for name in _CONVERSATIONS:
        found = metadata.get(name)
        if isinstance(found, str | int):
            return str(found)
    return None


def ask(call: InferenceInvocation, metadata: Mapping[str, Any], params: Any) -> None:
    """Put on *call* how the model was set."""
    asked = params if isinstance(params, Mapping) else {}
    given = {**{name[3:]: metadata[name] for name in _STANDARD if name in metadata}, **asked}
    for attribute, names in _NUMBERS.items():
        for name in names:
            value = given.get(name)
            if value is not None:
                if type(value) in (int, float):
                    setattr(call, attribute, value)
                break
    stop = asked.get("stop") or asked.get("stop_sequences")
    if stop:
        call.stop_sequences = [stop] if isinstance(stop, str) else [str(each) for each in stop]
    if asked.get("stream") is True:
        call.request_stream = True


def answer(call: InferenceInvocation, response: Any) -> None:
    """Put on *call* what came of it, but for what was said."""
    found = generations(response)
    output = getattr(response, "llm_output", None)
    told = {
        **(output if isinstance(output, dict) else {}),
        **(metadata_of(found[0]) if found else {}),
    }
    model = next((told[name] for name in _MODELS if isinstance(told.get(name), str)), None)
    call.response_model_name = model
    reasons = [reason for each in found if (reason := finish_reason(each))]
    call.finish_reasons = reasons or None
    key = (
        told.get("id") or getattr(getattr(found[0], "message", None), "id", None) if found else None
    )
    if isinstance(key, str) and key and not key.startswith(("run-", "lc_")):
        call.response_id = key  # Else it is one that was made up here.
    used = usage_of(response)
    call.input_tokens, call.output_tokens = used.input, used.output
    call.cache_read_input_tokens = used.cache_read
    call.cache_write_input_tokens = used.cache_write
    call.thinking_tokens = used.reasoning


def embedded(call: EmbeddingInvocation, embeddings: Any) -> None:
    """Put on *call* what came of an embedding."""
    first = embeddings[0] if isinstance(embeddings, list | tuple) and embeddings else None
    if isinstance(first, list | tuple) and first:
        call.dimension_count = len(first)


def usage_of(response: Any) -> Usage:
    """Return the tokens that an ``LLMResult`` says were used; the first count that it has."""
    for generation in generations(response):
        counts = getattr(getattr(generation, "message", None), "usage_metadata", None)
        if isinstance(counts, Mapping):
            came, went = counts.get("input_token_details"), counts.get("output_token_details")
            return Usage(
                _count(counts, "input_tokens"),
                _count(counts, "output_tokens"),
                _count(came, "cache_read"),
                _count(came, "cache_creation"),
                _count(went, "reasoning"),
            )
    output = getattr(response, "llm_output", None)
    counts = output.get("token_usage") or output.get("usage") if isinstance(output, dict) else None
    return Usage(
        _count(counts, "prompt_tokens", "input_tokens"),
        _count(counts, "completion_tokens", "output_tokens"),
    )


def _count(counts: Any, *names: str) -> int | None:
    if not isinstance(counts, Mapping):
        return None
    for name in names:
        if type(counts.get(name)) is int:
            return int(counts[name])
    return None
