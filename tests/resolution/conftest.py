"""Handlers offered by name, and a clean slate around each test of resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, register
from chain_callbacks.resolution import factory


class Listening(BaseCallbackHandler):
    """Writes its name and what it hears into a list."""

    def __init__(self, name: str, heard: list[tuple[str, str]]) -> None:
        self.name = name
        self.heard = heard

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.heard.append((serialized["name"], self.name))


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """Forget what a test registered, made and scanned."""
    before = dict(factory._registered)
    yield
    factory._registered.clear()
    factory._registered.update(before)
    factory.reset()


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    """What was heard: pairs of a run's name and a handler's."""
    return []


@pytest.fixture
def listening(heard: list[tuple[str, str]]) -> Callable[[str], Listening]:
    """Make a handler object that writes into `heard`."""
    return lambda name: Listening(name, heard)


@pytest.fixture
def names(heard: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Register a, b, c and d, and configure the instance a:x."""
    made: dict[str, int] = {}

    def provider(name: str) -> Callable[..., Listening]:
        def make() -> Listening:
            made[name] = made.get(name, 0) + 1
            return Listening(name if made[name] == 1 else f"{name}:x", heard)

        return make

    for name in ("a", "b", "c", "d"):
        register(name, provider(name))
    monkeypatch.setenv("CHAIN_CALLBACKS_A__X__ONLY", "all")
    return ("a", "b", "c", "d")
