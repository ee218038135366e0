"""What goes wrong between a chat model and its vendor's client, beyond the client's own errors."""

from __future__ import annotations

from ..errors import ChainCallbacksError, Statement, leaf


@leaf
class MissingKeyError(ChainCallbacksError, LookupError):
    """A model has no key; nothing was sent."""

    model: str
    variable: str

    def _state(self) -> Statement:
        return Statement(
            f"{self.model} has no key",
            f"{self.variable} is not set, and api_key was not given",
            "Set one of them; a server of your own, at base_url, may take any text.",
        )


@leaf
class NoAnswerError(ChainCallbacksError, ValueError):
    """A server answered with success, and with something that is no answer of a model."""

    model: str
    expected: str

    def _state(self) -> Statement:
        return Statement(
            f"{self.model} got no answer",
            f"what the server sent is not {self.expected}",
            "Check that base_url is that of a compatible server.",
        )
