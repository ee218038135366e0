"""OpenAI's client as a host: the calls that a program makes of it are runs."""

from __future__ import annotations

from types import ModuleType
from typing import Final, TypeVar

from chain_callbacks.clients import Vendor, watch, watch_all

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
        client: An ``OpenAI``, ``AsyncOpenAI``, or one of their kinds for Azure.
    """
    return watch(OPENAI, client)


def activate(module: ModuleType | None = None) -> None:  # noqa: ARG001  A bridge's form.
    """Make each model call of every client a run; calling it again does nothing.

    *module* is ``openai``, imported by then: what a bridge to a host may be given.
    """
    watch_all(OPENAI)
