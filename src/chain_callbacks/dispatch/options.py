"""What holds for the delivery to all handlers of the process; the resolution sets it."""

from __future__ import annotations

from typing import Final

from ..redaction import DefaultRedactor, Redactor

EXIT_TIMEOUT: Final = 5.0
"""Seconds that all handlers together have at the end of the process, unless a setting says so."""


class Options:
    """The settings of delivery.

    Attributes:
        redactor: Masks what handlers below ``content=full`` may not see.
        exit_timeout: Seconds.
        is_inline: Whether no handler is queued, whatever it or a policy says.
    """

    __slots__ = ("exit_timeout", "is_inline", "redactor")

    def __init__(self) -> None:
        self.redactor: Redactor = DefaultRedactor()
        self.exit_timeout = EXIT_TIMEOUT
        self.is_inline = False


options: Final = Options()
