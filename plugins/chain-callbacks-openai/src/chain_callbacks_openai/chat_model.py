"""The native chat model on OpenAI's client, for OpenAI and every compatible server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain_callbacks.runnables import BaseMessage
from chain_callbacks_clients import ClientChatModel

from .chat_completions import ChatCompletions, request_messages
from .host import OPENAI


class ChatOpenAI(ClientChatModel):
    """A chat model of OpenAI, or of any compatible server.

    The key is ``OPENAI_API_KEY`` and the server ``OPENAI_BASE_URL``, else OpenAI, unless they are
    given. *max_tokens* is sent in the field that compatible servers know; newer models of OpenAI
    take the setting ``max_completion_tokens`` instead.

    Args:
        model: The model's name.
        stream_usage: Ask for the token counts of a stream; some servers do not know the option.
        options: The options of every ``ClientChatModel``: ``api_key``, ``base_url``, ``timeout``,
            ``max_retries``, ``temperature``, ``max_tokens``, ``stop``, ``name``, ``callbacks``, and
            settings under OpenAI's names, such as ``seed`` or ``reasoning_effort``.
    """

    vendor = OPENAI
    endpoint = ChatCompletions()
    key_variable = "OPENAI_API_KEY"

    def __init__(self, model: str, *, stream_usage: bool = True, **options: Any) -> None:
        super().__init__(model, **options)
        self.stream_usage = stream_usage

    def _make_client(self, *, is_async: bool, **options: Any) -> Any:
        import openai

        return openai.AsyncOpenAI(**options) if is_async else openai.OpenAI(**options)

    def _method(self, client: Any) -> Any:
        return client.chat.completions.create

    def _body(self, messages: list[BaseMessage], settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, "messages": request_messages(messages)}

    def _streamed(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        body = super()._streamed(messages, kwargs)
        if self.stream_usage:
            body.setdefault("stream_options", {"include_usage": True})
        return body

    def _tool_choice(self, choice: str) -> Any:
        match choice:
            case "any":
                return "required"
            case "auto" | "none" | "required":
                return choice
        return {"type": "function", "function": {"name": choice}}
