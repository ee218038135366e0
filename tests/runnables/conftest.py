"""What the tests of the native host share: a recorder, and a name for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def _nothing_left_to_the_loop(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where asyncio found a task, or a generator, that nobody waited for or closed."""
    yield
    found = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert found == []
