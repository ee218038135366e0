"""Token counts of chat completions and responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain_callbacks.runnables import UsageMetadata
from chain_callbacks_clients import usage_of


def usage(reported: Mapping[str, Any] | None) -> UsageMetadata | None:
    """Return the counts that a server reports; None if it reports none."""
    if not reported:
        return None
    of_prompt = reported.get("prompt_tokens_details") or reported.get("input_tokens_details") or {}
    of_answer = (
        reported.get("completion_tokens_details") or reported.get("output_tokens_details") or {}
    )
    return usage_of(
        input=reported.get("prompt_tokens") or reported.get("input_tokens") or 0,
        output=reported.get("completion_tokens") or reported.get("output_tokens") or 0,
        total=reported.get("total_tokens"),
        input_token_details={
            "cache_read": of_prompt.get("cached_tokens"),
            "audio": of_prompt.get("audio_tokens"),
        },
        output_token_details={
            "reasoning": of_answer.get("reasoning_tokens"),
            "audio": of_answer.get("audio_tokens"),
        },
    )
