"""Errors of a native chat model, besides those that its client raises."""

from __future__ import annotations

from chain_callbacks.errors import ChainCallbacksError


class MissingKeyError(ChainCallbacksError, LookupError):
    """A model has no API key; nothing was sent."""

    model: str
    variable: str

    def __init__(self, *, model: str, variable: str) -> None:
        super().__init__(
            f"{model} has no API key: {variable} is not set and api_key was not given. Set one of "
            "them; a local server, given by base_url, may accept any text.",
            model=model,
            variable=variable,
        )


class NoAnswerError(ChainCallbacksError, ValueError):
    """A server answered successfully, but not with an answer of a model."""

    model: str
    expected: str

    def __init__(self, *, model: str, expected: str) -> None:
        super().__init__(
            f"{model} got no answer: the server did not send {expected}. Check that base_url is "
            "the address of a compatible server.",
            model=model,
            expected=expected,
        )
