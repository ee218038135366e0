"""The native chat model on a vendor's client, which is imported at the first call."""

from __future__ import annotations

import asyncio
import inspect
import os
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakKeyDictionary

from chain_callbacks import CallbackManager, Run
from chain_callbacks.runnables import (
    AIMessage,
    AIMessageChunk,
    BaseChatModel,
    BaseMessage,
    Runnable,
    RunnableConfig,
)

from .errors import MissingKeyError, NoAnswerError
from .hooks import install
from .translation import Endpoint, Reading, Vendor, invocation_params, ls_metadata
from .wire import plain

if TYPE_CHECKING:
    from pydantic import SecretStr

_HIDDEN: Final = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})


class ClientChatModel(BaseChatModel):
    """A chat model that answers through its vendor's client; a plugin writes the abstract part.

    Args:
        model: The model's name.
        api_key: The key; if None, the client looks for one in the environment.
        base_url: The server's address; the client's default if None.
        timeout: Seconds for one attempt; the client's default if None.
        max_retries: How often the client tries again; its default if None.
        temperature: The sampling temperature.
        max_tokens: The maximum number of tokens in an answer.
        stop: Texts at which an answer stops.
        name: The name of its runs; the name of its class if None.
        callbacks: Handlers, or names of handlers, for its runs and all runs nested in them.
        settings: Other fields of each request, under the vendor's names.
    """

    vendor: ClassVar[Vendor]
    endpoint: ClassVar[Endpoint]
    key_variable: ClassVar[str]
    """The environment variable from which the client takes its key."""

    _client: Any = None

    defaults: ClassVar[Mapping[str, Any]] = {}
    """Settings that apply unless others are given."""

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
        name: str | None = None,
        callbacks: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        self.model = model
        settings |= {"temperature": temperature, "max_tokens": max_tokens, "stop": stop}
        self.settings = {**self.defaults, **_stated(settings)}
        self._key = _secret(api_key)
        options = {"base_url": base_url, "timeout": timeout, "max_retries": max_retries}
        self._options = _stated(options)
        # Connections belong to the loop that opened them.
        self._async_clients: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    @abstractmethod
    def _make_client(self, *, is_async: bool, **options: Any) -> Any:
        """Return a new client; *options* has ``api_key`` if one was given."""

    @abstractmethod
    def _body(self, messages: list[BaseMessage], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request for *messages*, as keyword arguments of the client's method."""

    @abstractmethod
    def _method(self, client: Any) -> Any:
        """Return the client's method that sends a request."""

    def _send(self, client: Any, body: dict[str, Any]) -> Any:
        """Send a request; return what the client does, an answer or an awaitable of one."""
        method = self._method(client)
        # A field that this version of the client does not know may be known to its server.
        known = inspect.signature(method).parameters
        other = {key: value for key, value in body.items() if key not in known}
        if other:
            body = {key: value for key, value in body.items() if key in known}
            body["extra_body"] = {**other, **(body.get("extra_body") or {})}
        return method(**body)

    @abstractmethod
    def _tool_choice(self, choice: Any) -> Any:
        """Return ``auto``, ``none``, ``any`` or the name of a tool in the vendor's form."""

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """Return this model with *tools* offered at each call.

        *tool_choice* is ``auto``, ``none``, ``any``, the name of a tool, or a value in the vendor's
        own form.
        """
        if tool_choice is not None:
            is_word = isinstance(tool_choice, str)
            kwargs["tool_choice"] = self._tool_choice(tool_choice) if is_word else tool_choice
        return super().bind_tools(tools, **kwargs)

    def _has_key(self) -> bool:
        return self._key is not None or bool(os.environ.get(self.key_variable))

    def _new_client(self, *, is_async: bool) -> Any:
        if not self._has_key():
            raise MissingKeyError(model=type(self).__name__, variable=self.key_variable)
        install(self.vendor)
        if self._key is None:
            return self._make_client(is_async=is_async, **self._options)
        return self._make_client(
            is_async=is_async, api_key=self._key.get_secret_value(), **self._options
        )

    def _sync_client(self) -> Any:
        client = self._client
        if client is None:
            made = self._new_client(is_async=False)
            # Another thread may have made one meanwhile. A lock would be held during an import.
            client = vars(self).setdefault("_client", made)
            if client is not made:
                made.close()
        return client

    def _async_client(self) -> Any:
        loop = asyncio.get_running_loop()
        client = self._async_clients.get(loop)
        if client is None:
            client = self._async_clients[loop] = self._new_client(is_async=True)
        return client

    def own_client(self, *, is_async: bool) -> Any:
        """Return the vendor's client that the model uses; the asynchronous one is this loop's."""
        return self._async_client() if is_async else self._sync_client()

    def close(self) -> None:
        """Close the connections of synchronous calls; the next one opens new ones."""
        client = vars(self).pop("_client", None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the connections of asynchronous calls on this loop, and the synchronous ones."""
        self.close()
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def _request(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return self._body(messages, {"model": self.model, **self.settings, **kwargs})

    def _answer(self, answer: Any) -> AIMessage:
        found = plain(answer)
        answers = self.endpoint.answers(found) if isinstance(found, Mapping) else []
        if not answers:
            raise NoAnswerError(model=type(self).__name__, expected=self.endpoint.answer)
        return answers[0]

    def _generate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        client = self._sync_client()
        return self._answer(self._send(client, self._request(messages, kwargs)))

    async def _agenerate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
        client = self._async_client()
        return self._answer(await self._send(client, self._request(messages, kwargs)))

    def _stream(self, messages: list[BaseMessage], **kwargs: Any) -> Iterator[AIMessageChunk]:
        client, reading = self._sync_client(), Reading(self.endpoint)
        with self._send(client, self._streamed(messages, kwargs)) as events:
            for event in events:
                yield from (piece.chunk for piece in reading.read(plain(event)))

    async def _astream(
        self, messages: list[BaseMessage], **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        client, reading = self._async_client(), Reading(self.endpoint)
        async with await self._send(client, self._streamed(messages, kwargs)) as events:
            async for event in events:
                for piece in reading.read(plain(event)):
                    yield piece.chunk

    def _streamed(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request for a stream."""
        return {**self._request(messages, kwargs), "stream": True}

    def _shown_settings(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a request that handlers may see.

        Headers are left out, and so are extra fields for the server, since both may hold keys.
        """
        given = {"model": self.model, **self.settings, **kwargs}
        return plain({key: value for key, value in given.items() if key not in _HIDDEN})  # type: ignore[no-any-return]

    def _identifying_params(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return invocation_params(self.vendor.provider, self._shown_settings(kwargs), frozenset())

    def _start_payload(
        self, input: Any, kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        arguments, told = super()._start_payload(input, kwargs)
        options = {key: value for key, value in kwargs.items() if key not in _HIDDEN}
        return arguments, {**told, "options": options}

    def _prepare(self, manager: CallbackManager, config: RunnableConfig | None) -> Run:
        run = super()._prepare(manager, config)
        known = ls_metadata(self.vendor.provider, self._shown_settings({}))
        run.metadata = {**known, **run.metadata}
        return run


def _stated(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _secret(key: str | SecretStr | None) -> SecretStr | None:
    if key is None:
        return None
    from pydantic import SecretStr

    # A key that was read from a file ends in a newline.
    return SecretStr((key if isinstance(key, str) else key.get_secret_value()).strip())
