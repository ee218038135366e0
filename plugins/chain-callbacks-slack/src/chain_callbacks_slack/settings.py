"""The settings of the handler, and the rule that a message has one way to Slack."""

from __future__ import annotations

import re
from typing import Final, Self

from pydantic import (
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from chain_callbacks import HandlerSettings

_URL: Final = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)


class SlackSettings(HandlerSettings):
    """Where messages go: a *webhook_url*, or a *token* and a *channel*; one of the two ways.

    Attributes:
        webhook_url: An incoming webhook of Slack, which knows its channel.
        token: A bot's token (``xoxb-...``) with the scope ``chat:write``.
        channel: The id of a channel that the bot is in, or its name.
        api_url: Where the Web API is, for a token behind a gateway of your own.
        timeout: Seconds that Slack has for connecting, and then for each part of its answer.
        service: A label for the messages, such as the name of the application.
        digest_seconds: Seconds for which more failures of a sort are counted before a digest.
    """

    webhook_url: SecretStr | None = None
    token: SecretStr | None = None
    channel: str | None = None
    api_url: str = "https://slack.com/api/"
    timeout: PositiveInt = 10
    service: str | None = None
    digest_seconds: int = Field(
        60,
        gt=0,
        le=86_400,
        description="Seconds for which more failures of a sort are counted before a digest.",
    )

    @field_validator("webhook_url", "token")
    @classmethod
    def _stripped(cls, value: SecretStr | None) -> SecretStr | None:
        # A secret that comes out of a file ends in a newline.
        return value and SecretStr(value.get_secret_value().strip())

    @field_validator("webhook_url", "api_url")
    @classmethod
    def _is_url(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        url = value.get_secret_value() if isinstance(value, SecretStr) else value
        if url and not _URL.fullmatch(url):
            raise ValueError("it is no URL that begins with 'https://' or 'http://'")
        return value

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if self.webhook_url:
            for field in ("token", "channel"):
                if getattr(self, field):
                    raise _problem(field, "webhook_url is set too, and a message goes one way")
        elif not self.token:
            raise _problem("token" if self.channel else "webhook_url")
        elif not self.channel:
            raise _problem("channel")
        return self


def _problem(field: str, message: str | None = None) -> ValidationError:
    """Return the error of one field: with *message*, or that it is missing.

    A ValueError of a model's validator names no field, and carries all values as its input.
    """
    kind = PydanticCustomError("one_way", message) if message else "missing"
    detail = InitErrorDetails(type=kind, loc=(field,), input=None)
    return ValidationError.from_exception_data("SlackSettings", [detail], hide_input=True)
