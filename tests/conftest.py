"""What every test of the core starts from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from chain_callbacks.delivery import inline


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clean-python",
        type=Path,
        metavar="PATH",
        help="interpreter that has our wheels installed, for tests/wheels; built if not given",
    )


@pytest.fixture(autouse=True)
def _clean_slate(isolated_callbacks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the shell, and what earlier tests registered, counted and warned of."""
    # On a busy machine any handler would seem to hold up its event loop.
    monkeypatch.setattr(inline, "SLOW", math.inf)
