"""The handler: an error of a root run becomes one message to Slack."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from chain_callbacks import BaseCallbackHandler

from .message import Message, failed_run
from .outbox import EXIT_TIMEOUT, Outbox, Send
from .settings import SlackSettings

_ATTEMPTS_AGAIN: Final = 3
_CODE: Final = re.compile(r"[a-z_]{1,40}")


class SlackHandler(BaseCallbackHandler):
    """Sends one message for each root run that fails, and none for a cancelled or paused one.

    A message has names, the class of the error, times and ids: no text of an exception, no input
    and no output. It is sent from a thread of its own, which starts with the first message.
    """

    settings_model = SlackSettings
    sends_to = "Slack"

    def __init__(self, settings: SlackSettings) -> None:
        self._service = settings.service
        self._outbox = Outbox(partial(_connect, settings))

    def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        name: str | None = None,
        status: str = "error",
        duration: float | None = None,
        origin: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        if parent_run_id is not None or status != "error":
            return
        message = failed_run(
            name=name or "run",
            error_class=type(error).__name__,
            duration=duration,
            run_id=run_id,
            origin=origin,
            service=self._service,
        )
        self._outbox.put(message)

    on_llm_error = on_chain_error
    on_tool_error = on_chain_error
    on_retriever_error = on_chain_error
    on_embeddings_error = on_chain_error

    def close(self, timeout: float = EXIT_TIMEOUT) -> None:
        """Send what is waiting, within *timeout* seconds; log how much was not sent by then."""
        self._outbox.close(timeout)


def _connect(settings: SlackSettings) -> Send:
    """Return what sends a message the one way that *settings* has."""
    from slack_sdk.errors import SlackApiError
    from slack_sdk.http_retry.builtin_handlers import (
        ConnectionErrorRetryHandler,
        RateLimitErrorRetryHandler,
    )
    from slack_sdk.web import WebClient
    from slack_sdk.webhook import WebhookClient

    options: dict[str, Any] = {
        "timeout": settings.timeout,
        "retry_handlers": [
            ConnectionErrorRetryHandler(),
            RateLimitErrorRetryHandler(max_retry_count=_ATTEMPTS_AGAIN),
        ],
        # slack_sdk logs URLs, bodies and answers. This logger is in no tree and says nothing.
        "logger": logging.Logger("slack_sdk", logging.CRITICAL + 1),  # noqa: LOG001 - as it says
    }
    if settings.webhook_url:
        webhook = WebhookClient(settings.webhook_url.get_secret_value(), **options)

        def send(message: Message) -> str | None:
            response = webhook.send(text=message.text, blocks=message.blocks, unfurl_links=False)
            if response.status_code == HTTPStatus.OK:
                return None
            return _refusal(response.status_code, response.body)

        return send

    token = settings.token.get_secret_value() if settings.token else None
    client = WebClient(token, settings.api_url, **options)

    def post(message: Message) -> str | None:
        try:
            client.chat_postMessage(
                channel=settings.channel or "",
                text=message.text,
                blocks=message.blocks,
                unfurl_links=False,
            )
        except SlackApiError as error:
            return _refusal(error.response.status_code, error.response.get("error"))
        return None

    return post


def _refusal(status: int, code: object) -> str:
    # Slack's codes are such as `channel_not_found`; no URL and no token is of this form.
    if isinstance(code, str) and _CODE.fullmatch(code):
        return f"Slack refused it with {code!r} (HTTP {status})"
    return f"Slack refused it (HTTP {status})"
