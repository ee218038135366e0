"""The fixtures of the test kit; pytest finds them through an entry point."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .recorder import RecordingHandler


@pytest.fixture
def recorder() -> RecordingHandler:
    """A new ``RecordingHandler``, attached to nothing: pass it where callbacks are taken."""
    from .recorder import RecordingHandler

    return RecordingHandler()


@pytest.fixture
def isolated_callbacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs that no handler from outside of the test hears, and that leave none behind.

    The variables ``CHAIN_CALLBACKS...`` are hidden, handlers that were made from names are made
    anew, and what the test registers is forgotten after it.
    """
    from ..delivery import counters, inline
    from ..resolution import instances

    for name in [name for name in os.environ if name.upper().startswith("CHAIN_CALLBACKS")]:
        monkeypatch.delenv(name)
    registered = dict(instances._registered)
    instances.reset()
    counters.clear()
    inline.forget_slow()
    yield
    instances._registered.clear()
    instances._registered.update(registered)
    instances.reset()
    counters.clear()
    inline.forget_slow()
