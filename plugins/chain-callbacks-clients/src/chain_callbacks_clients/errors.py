"""What goes wrong between a chat model and its vendor's client, beyond the client's own errors."""

from __future__ import annotations

from chain_callbacks.errors import ChainCallbacksError


class MissingKeyError(ChainCallbacksError, LookupError):
    """A model has no key; nothing was sent."""

    model: str
    variable: str

    def __init__(self, *, model: str, variable: str) -> None:
        super().__init__(
            f"{model} has no key: {variable} is not set, and api_key was not given. Set one of "
            "them; a server of your own, at base_url, may take any text.",
            model=model,
            variable=variable,
        )


class NoAnswerError(ChainCallbacksError, ValueError):
    """A server answered with success, and with something that is no answer of a model."""

    model: str
    expected: str

    def __init__(self, *, model: str, expected: str) -> None:
        super().__init__(
            f"{model} got no answer: what the server sent is not {expected}. Check that base_url "
            "is that of a compatible server.",
            model=model,
            expected=expected,
        )
