"""What the tests of the native host share: a recorder, and a name for it."""

from __future__ import annotations

import pytest

from chain_callbacks import register
from chain_callbacks.testing import RecordingHandler
from chain_callbacks.testing.pytest_plugin import isolated_callbacks, recorder

__all__ = ["isolated_callbacks", "named", "recorder"]


@pytest.fixture
def named(recorder: RecordingHandler, isolated_callbacks: None) -> str:
    """Return a name under which the recorder is registered for the test."""
    register("test-recorder", lambda: recorder)
    return "test-recorder"
