"""Anthropic's client as a host: each call that a program makes through it is a run."""

from __future__ import annotations

from typing import Final, TypeVar

from chain_callbacks_clients import Vendor, watch, watch_all

from .messages import Messages

Client = TypeVar("Client")

ANTHROPIC: Final = Vendor(
    provider="anthropic", package="anthropic", endpoints={"/v1/messages": Messages()}
)


def instrument(client: Client) -> Client:
    """Make each model call of *client*, and of its copies by ``with_options``, a run; return it.

    Args:
        client: An ``Anthropic``, an ``AsyncAnthropic``, or one of their subclasses for other
            clouds.
    """
    return watch(ANTHROPIC, client)


def bridge() -> None:
    """Make each model call of every client a run. Calling it again does nothing."""
    watch_all(ANTHROPIC)
