"""The native chat model on Anthropic's client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from chain_callbacks.runnables import BaseMessage
from chain_callbacks_clients import ClientChatModel, MissingKeyError

from .host import ANTHROPIC
from .messages import Messages, request, request_tool

_CREDENTIALS: Final = ("api_key", "auth_token", "credentials")


class ChatAnthropic(ClientChatModel):
    """A chat model of Anthropic.

    The key is ``ANTHROPIC_API_KEY``, or any other credential that the client finds, and the server
    ``ANTHROPIC_BASE_URL``, else Anthropic, unless they are given. Anthropic requires a maximum
    number of tokens: *max_tokens* is 1,024 unless it is given.
    """

    vendor = ANTHROPIC
    endpoint = Messages()
    key_variable = "ANTHROPIC_API_KEY"
    defaults: ClassVar[Mapping[str, Any]] = {"max_tokens": 1024}

    def _has_key(self) -> bool:
        return True  # Only the client knows where to look for credentials: see `_make_client`.

    def _make_client(self, *, is_async: bool, **options: Any) -> Any:
        import anthropic

        make: Any = anthropic.AsyncAnthropic if is_async else anthropic.Anthropic
        client = make(**options)
        if not any(getattr(client, name, None) for name in _CREDENTIALS):
            raise MissingKeyError(model=type(self).__name__, variable=self.key_variable)
        return client

    def _method(self, client: Any) -> Any:
        return client.messages.create

    def _body(self, messages: list[BaseMessage], settings: Mapping[str, Any]) -> dict[str, Any]:
        body = {**settings, **request(messages)}
        stop = body.pop("stop", None)
        if stop:
            body["stop_sequences"] = [stop] if isinstance(stop, str) else [*stop]
        if "tools" in body:
            body["tools"] = [request_tool(each) for each in body["tools"]]
        return body

    def _tool_choice(self, choice: str) -> Any:
        return (
            {"type": choice}
            if choice in ("auto", "none", "any")
            else {"type": "tool", "name": choice}
        )
