"""What every test of the bridge starts from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import chain_callbacks.auto  # noqa: F401  As a program does; LangChain is imported after it.
from chain_callbacks import register, reload
from chain_callbacks.context import surroundings
from chain_callbacks.testing import RecordingHandler


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("CHAIN_CALLBACKS", "LANG"))]:
        monkeypatch.delenv(name)
    yield
    reload()
    # What other tests count is not to include a host that has gone by.
    surroundings.finders = surroundings.model_finders = ()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> RecordingHandler:
    """What the handler hears that the environment names."""
    handler = RecordingHandler()
    register("heard", lambda: handler)
    monkeypatch.setenv("CHAIN_CALLBACKS", "heard")
    return handler


@pytest.fixture
def other() -> RecordingHandler:
    """What a second handler hears, ``other``, which nobody names yet."""
    handler = RecordingHandler()
    register("other", lambda: handler)
    return handler
