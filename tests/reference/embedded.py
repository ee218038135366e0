"""The embedded model with the document's answer, under the name that the document gives it."""

from __future__ import annotations

from typing import Any

from chain_callbacks.runnables import AIMessage, FakeListChatModel

METADATA = {
    "id": "msg_01D8Tt5FdtBk5gLTfBPm2tac",
    "model": "claude-3-sonnet-20240229",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 16, "output_tokens": 13},
}


class ChatAnthropic(FakeListChatModel):
    def __init__(self, model: str, **kwargs: Any) -> None:
        super().__init__(
            [AIMessage("1 + 2 = 3", response_metadata={**METADATA, "model": model})], **kwargs
        )
