"""What every test of the core starts from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clean-python",
        type=Path,
        metavar="PATH",
        help="interpreter that has our wheels installed, for tests/wheels; built if not given",
    )


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("CHAIN_CALLBACKS")]:
        monkeypatch.delenv(name)
