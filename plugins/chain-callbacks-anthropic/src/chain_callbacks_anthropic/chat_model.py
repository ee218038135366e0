"""The native chat model on Anthropic's client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from chain_callbacks.clients import ClientChatModel, MissingKeyError
from chain_callbacks.runnables import AIMessage, BaseMessage, Runnable

from .host import ANTHROPIC
from .messages import Messages, request, request_tool

if TYPE_CHECKING:
    from pydantic import SecretStr

_CREDENTIALS: Final = ("api_key", "auth_token", "credentials")


class ChatAnthropic(ClientChatModel):
    """A chat model of Anthropic's.

    Args:
        model: The model's name.
        api_key: The key; if None, ``ANTHROPIC_API_KEY``, or what else the client finds.
        base_url: Where the server is; if None, ``ANTHROPIC_BASE_URL``, else Anthropic.
        timeout: Seconds for one attempt.
        max_retries: How often a call is tried again.
        temperature: How much chance there is in an answer.
        max_tokens: The most tokens of an answer, which Anthropic wants to be told.
        stop: Texts at which an answer stops.
        name: What its runs are called; ``ChatAnthropic`` if None.
        callbacks: Handlers or names that hear its runs and all nested in them.
        settings: What else a request has: ``top_p``, ``thinking``, ``metadata``, ...
    """

    vendor = ANTHROPIC
    endpoint = Messages()
    key_variable = "ANTHROPIC_API_KEY"

    def __init__(
        self,
        model: str,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        temperature: float | None = None,
        max_tokens: int = 1024,
        stop: str | Sequence[str] | None = None,
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

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """Return this model with *tools* offered at each call.

        *tool_choice* is ``auto``, ``none``, ``any``, the name of a tool, or what Anthropic takes.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = _choice(tool_choice)
        return super().bind_tools(tools, **kwargs)

    def _has_key(self) -> bool:
        return True  # Where credentials may be, the client knows: it is asked once it is made.

    def _make_client(self, *, is_async: bool, **options: Any) -> Any:
        import anthropic

        make: Any = anthropic.AsyncAnthropic if is_async else anthropic.Anthropic
        client = make(**options)
        if not any(getattr(client, name, None) for name in _CREDENTIALS):
            raise MissingKeyError(model=type(self).__name__, variable=self.key_variable)
        return client

    def _body(self, messages: list[BaseMessage], settings: Mapping[str, Any]) -> dict[str, Any]:
        body = {**settings, **request(messages)}
        stop = body.pop("stop", None)
        if stop:
            body["stop_sequences"] = [stop] if isinstance(stop, str) else [*stop]
        if "tools" in body:
            body["tools"] = [request_tool(each) for each in body["tools"]]
        return body

    def _method(self, client: Any) -> Any:
        return client.messages.create


def _choice(choice: Any) -> Any:
    if not isinstance(choice, str):
        return choice
    if choice in ("auto", "none", "any"):
        return {"type": choice}
    return {"type": "tool", "name": choice}
