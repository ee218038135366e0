"""The native chat model on OpenAI's client, for OpenAI and every compatible server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chain_callbacks.clients import ClientChatModel
from chain_callbacks.runnables import AIMessage, BaseMessage, Runnable

from .chat_completions import ChatCompletions, request_messages
from .host import OPENAI

if TYPE_CHECKING:
    from pydantic import SecretStr


class ChatOpenAI(ClientChatModel):
    """A chat model of OpenAI's, or of any server that speaks as OpenAI's does.

    Args:
        model: The model's name.
        api_key: The key; if None, ``OPENAI_API_KEY``.
        base_url: Where the server is; if None, ``OPENAI_BASE_URL``, else OpenAI.
        timeout: Seconds for one attempt.
        max_retries: How often a call is tried again.
        temperature: How much chance there is in an answer.
        max_tokens: The most tokens of an answer, in the field that compatible servers know; newer
            models of OpenAI take ``max_completion_tokens`` instead.
        stop: Texts at which an answer stops.
        stream_usage: Ask for the counts of tokens of a stream; a server may not know the option.
        name: What its runs are called; ``ChatOpenAI`` if None.
        callbacks: Handlers or names that hear its runs and all nested in them.
        settings: What else a request has: ``top_p``, ``seed``, ``reasoning_effort``, ...
    """

    vendor = OPENAI
    endpoint = ChatCompletions()
    key_variable = "OPENAI_API_KEY"

    def __init__(
        self,
        model: str,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        stream_usage: bool = True,
        name: str | None = None,
        callbacks: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(
            model,
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            name=name,
            callbacks=callbacks,
            temperature=temperature,
            max_tokens=max_tokens,
            stop=stop,
            **settings,
        )
        self.stream_usage = stream_usage

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """Return this model with *tools* offered at each call.

        *tool_choice* is ``auto``, ``none``, ``any``, the name of a tool, or what OpenAI takes.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = _choice(tool_choice)
        return super().bind_tools(tools, **kwargs)

    def _make_client(self, *, is_async: bool, **options: Any) -> Any:
        import openai

        return openai.AsyncOpenAI(**options) if is_async else openai.OpenAI(**options)

    def _body(self, messages: list[BaseMessage], settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, "messages": request_messages(messages)}

    def _streamed(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        body = super()._streamed(messages, kwargs)
        if self.stream_usage:
            body.setdefault("stream_options", {"include_usage": True})
        return body

    def _method(self, client: Any) -> Any:
        return client.chat.completions.create


def _choice(choice: Any) -> Any:
    if choice == "any":
        return "required"
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        return {"type": "function", "function": {"name": choice}}
    return choice
