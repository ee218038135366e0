"""What several tests of redaction use: the redactor that is there, and its patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import Any

import pytest

from chain_callbacks import DefaultRedactor, redaction


@pytest.fixture(scope="session")
def redactor() -> DefaultRedactor:
    return DefaultRedactor()


def patterns_in(value: Any, name: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield each pattern that a value holds, with where it stands."""
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from patterns_in(each, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        for number, each in enumerate(value):
            yield from patterns_in(each, f"{name}[{number}]")
    elif hasattr(value, "__dict__"):
        for key, each in vars(value).items():
            yield from patterns_in(each, f"{name}.{key}")


@pytest.fixture(scope="session")
def patterns() -> dict[str, re.Pattern[str]]:
    """All patterns of the package: its modules make them in functions that remember them."""
    found: dict[str, re.Pattern[str]] = {}
    for each in iter_modules(redaction.__path__):
        module = import_module(f"{redaction.__name__}.{each.name}")
        for name, value in vars(module).items():
            is_own = getattr(value, "__module__", None) == module.__name__
            if is_own and hasattr(value, "cache_info") and not signature(value).parameters:
                found.update(patterns_in(value(), f"{each.name}.{name}"))
    assert len(found) > 60
    return found
