"""OpenAI's client as a host: each call that a program makes through it is a run."""

from __future__ import annotations

from typing import Final, TypeVar

from chain_callbacks_clients import Vendor, watch, watch_all

from .chat_completions import ChatCompletions
from .responses import Responses

Client = TypeVar("Client")

OPENAI: Final = Vendor(
    provider="openai",
    package="openai",
    endpoints={"/chat/completions": ChatCompletions(), "/responses": Responses()},
)


def instrument(client: Client) -> Client:
    """Make each model call of *client*, and of its copies by ``with_options``, a run; return it.

    Args:
        client: An ``OpenAI``, an ``AsyncOpenAI``, or one of their subclasses for Azure.
    """
    return watch(OPENAI, client)


def bridge() -> None:
    """Make each model call of every client a run. Calling it again does nothing."""
    watch_all(OPENAI)
