"""What holds for the delivery to all handlers of this process; the resolver sets it."""

from __future__ import annotations

from typing import Final

EXIT_TIMEOUT: Final = 5.0
"""Seconds that all handlers together have at the end of the process, unless a setting says so."""


class Options:
    """How events are delivered.

    Attributes:
        exit_timeout: Seconds that all handlers together have at the end of the process.
        is_inline: Whether no handler is queued, whatever it or a policy states.
    """

    __slots__ = ("exit_timeout", "is_inline")

    def __init__(self) -> None:
        self.exit_timeout = EXIT_TIMEOUT
        self.is_inline = False


options: Final = Options()
