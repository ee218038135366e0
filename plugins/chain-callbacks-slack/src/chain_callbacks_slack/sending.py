"""The way to Slack: one message over slack_sdk, and what Slack made of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPException, InvalidURL
from typing import Any, Final, NamedTuple, TypeAlias

from .message import Message
from .settings import SlackSettings

_CODE: Final = re.compile(r"[a-z_]{1,40}")
_SECONDS: Final = re.compile(r"\d{1,9}")
_UNSAID: Final = 30.0
_SHORTEST: Final = 1.0
_LONGEST: Final = 3600.0

_LIMITED: Final = ("rate_limited", "ratelimited")
_PASSING: Final = ("fatal_error", "internal_error", "request_timeout", "service_unavailable")


class SendingError(Exception):
    """Slack did not take a message. It says why, and holds no URL, no token and no payload."""


class RefusedError(SendingError):
    """Slack will never take it: a wrong token, a channel that is not there."""


class UnreachableError(SendingError):
    """Slack may take it later: it was not reached, or failed itself."""


class Answer(NamedTuple):
    """What Slack said, and nothing of it that could hold a secret.

    Attributes:
        status: The HTTP status.
        is_ok: Whether it took the message.
        code: Its word for what is wrong, such as ``channel_not_found``; "" where it gave none.
        asked: The seconds that it asks to wait; None where it named none.
    """

    status: int
    is_ok: bool
    code: str = ""
    asked: float | None = None


def _answer(status: int, code: object, headers: Mapping[str, Any]) -> Answer:
    found = {name.lower(): str(value) for name, value in headers.items()}.get("retry-after", "")
    return Answer(
        status,
        is_ok=False,
        # No URL and no token is of this form.
        code=code if isinstance(code, str) and _CODE.fullmatch(code) else "",
        asked=min(float(found), _LONGEST) if _SECONDS.fullmatch(found) else None,
    )


Post: TypeAlias = Callable[[Message, float], Answer]
"""Sends a message, with so many seconds for connecting and for each part of the answer."""


class Way:
    """The one way to Slack that *settings* has; slack_sdk is imported with the first message."""

    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings
        self._post: Post | None = None

    def send(self, message: Message, timeout: float) -> float:
        """Return 0 where Slack took *message*, else the seconds that it asks to wait.

        Raises:
            RefusedError: It will not be taken.
            UnreachableError: It may be taken later.
        """
        try:
            if self._post is None:
                self._post = _connect(self._settings)
            answer = self._post(message, timeout)
        except Exception as error:
            problem = _problem(error)
        else:
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.code in _LIMITED:
                return _UNSAID if answer.asked is None else max(answer.asked, _SHORTEST)
            if answer.is_ok:
                return 0.0
            problem = _refusal(answer)
        # Outside of the `except`: what was caught, and its frames, may hold the URL or the token.
        raise problem


def _connect(settings: SlackSettings) -> Post:
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web import WebClient
    from slack_sdk.webhook import WebhookClient

    options: dict[str, Any] = {
        # They sleep, and some send again what may have been taken.
        "retry_handlers": [],
        # slack_sdk logs URLs, bodies and answers. This logger is in no tree and says nothing.
        "logger": logging.Logger("slack_sdk", logging.CRITICAL + 1),  # noqa: LOG001 - as it says
    }
    if settings.webhook_url:
        webhook: Any = WebhookClient(settings.webhook_url.get_secret_value(), **options)

        def send(message: Message, timeout: float) -> Answer:
            webhook.timeout = timeout
            response = webhook.send(text=message.text, blocks=message.blocks, unfurl_links=False)
            if response.status_code == HTTPStatus.OK:
                return Answer(response.status_code, is_ok=True)
            return _answer(response.status_code, response.body, response.headers)

        return send

    token = settings.token.get_secret_value() if settings.token else None
    client: Any = WebClient(token, settings.api_url, **options)

    def post(message: Message, timeout: float) -> Answer:
        client.timeout = timeout
        try:
            client.chat_postMessage(
                channel=settings.channel or "",
                text=message.text,
                blocks=message.blocks,
                unfurl_links=False,
            )
        except SlackApiError as error:
            response = error.response
            return _answer(response.status_code, response.get("error"), response.headers)
        return Answer(HTTPStatus.OK, is_ok=True)

    return post


def _problem(error: Exception) -> SendingError:
    # Classes alone: the text may hold the URL or the token.
    cause = getattr(error, "reason", None)
    why = type(error).__name__
    if isinstance(cause, BaseException):
        why += f" ({type(cause).__name__})"
    is_passing = isinstance(error, (OSError, HTTPException)) and not isinstance(error, InvalidURL)
    return (UnreachableError if is_passing else RefusedError)(why)


def _refusal(answer: Answer) -> SendingError:
    said = f" with {answer.code!r}" if answer.code else ""
    if (
        answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or answer.status == HTTPStatus.REQUEST_TIMEOUT
        or answer.code in _PASSING
    ):
        return UnreachableError(f"Slack failed{said} (HTTP {answer.status})")
    return RefusedError(f"Slack refused it{said} (HTTP {answer.status})")
