"""Errors of a native chat model, besides those that its client raises."""

from __future__ import annotations

from chain_callbacks.errors import ChainCallbacksError, Statement, leaf


@leaf
class MissingKeyError(ChainCallbacksError, LookupError):
    """A model has no API key; nothing was sent."""

    model: str
    variable: str

    def _state(self) -> Statement:
        return Statement(
            f"{self.model} has no API key",
            f"{self.variable} is not set and api_key was not given",
            "Set one of them; a local server, given by base_url, may accept any text.",
        )


@leaf
class NoAnswerError(ChainCallbacksError, ValueError):
    """A server answered successfully, but not with an answer of a model."""

    model: str
    expected: str

    def _state(self) -> Statement:
        return Statement(
            f"{self.model} got no answer",
            f"the server did not send {self.expected}",
            "Check that base_url is the address of a compatible server.",
        )
