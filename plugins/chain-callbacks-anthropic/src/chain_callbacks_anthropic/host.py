"""Anthropic's client as a host: the calls that a program makes of it are runs."""

from __future__ import annotations

from types import ModuleType
from typing import Final, TypeVar

from chain_callbacks.clients import Vendor, watch, watch_all

from .messages import Messages

Client = TypeVar("Client")

ANTHROPIC: Final = Vendor(
    provider="anthropic", package="anthropic", endpoints={"/v1/messages": Messages()}
)


def instrument(client: Client) -> Client:
    """Make each model call of *client*, and of its copies by ``with_options``, a run; return it.

    Args:
        client: An ``Anthropic``, ``AsyncAnthropic``, or one of their kinds for other clouds.
    """
    return watch(ANTHROPIC, client)


def activate(module: ModuleType | None = None) -> None:  # noqa: ARG001  A bridge's form.
    """Make each model call of every client a run; calling it again does nothing.

    *module* is ``anthropic``, imported by then: what a bridge to a host may be given.
    """
    watch_all(ANTHROPIC)
