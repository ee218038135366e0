"""The examples of model vendors' clients meet a server on loopback: no key, no network, no cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chain_callbacks.testing import ModelServer


@pytest.fixture(scope="session", autouse=True)
def _vendors() -> Iterator[None]:
    """Put the server in the place of the vendors', for every example."""
    with ModelServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "none")
        patch.setenv("ANTHROPIC_BASE_URL", server.url)
        patch.setenv("OPENAI_API_KEY", "none")
        patch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        yield
