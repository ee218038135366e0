"""Removals, and the operator's controls, where LangChain's runs and ours are nested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from chain_callbacks import CallbackManager, attached
from chain_callbacks.runnables import RunnableLambda as NativeLambda
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_langchain import named

from .test_names import WAYS


def calling(step: Any) -> Callable[[int], int]:
    """Return a function that calls *step*, and hands no config on to it."""
    return lambda number: int(step.invoke(number))


native = NativeLambda(lambda number: number + 1, name="native")
theirs = RunnableLambda(calling(native), name="theirs")
mixed = NativeLambda(calling(theirs), name="mixed")
outer = RunnableLambda(calling(mixed), name="outer")
ALL = "chain outer\n  chain mixed\n    chain theirs\n      chain native"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", [["none"], [named("-other")], [named("none")]], ids=repr)
def test_removal_silences_all_that_is_nested(way: str, form: Any, other: RecordingHandler) -> None:
    """Whosever runs they are; a sibling is heard."""
    with attached("other"):
        for _ in range(2):
            WAYS[way](outer, {"callbacks": form})
        assert () == other.records
        outer.invoke(1)

    assert ALL == other.tree()
    assert [] == other.problems()


@pytest.mark.parametrize("removal", [["none"], ["-heard"]], ids=str)
def test_removal_of_a_native_step_reaches_runs_of_langchain(
    removal: list[str], heard: RecordingHandler
) -> None:
    """The run of ours is silent, and so is LangChain's inside of it, each time."""
    for _ in range(2):
        mixed.invoke(1, {"callbacks": removal})
    with attached(heard):
        mixed.invoke(1, {"callbacks": ["none"]})
    assert () == heard.records


def test_removal_within_leaves_what_is_around(other: RecordingHandler) -> None:
    """A step in the middle is silent with all below it; what is beside it is heard."""
    quiet = mixed.with_config(callbacks=["none"])
    steps = RunnableLambda(
        lambda number: quiet.invoke(number) + theirs.invoke(number), name="steps"
    )
    with attached("other"):
        steps.invoke(1)

    assert "chain steps\n  chain theirs\n    chain native" == other.tree()


@pytest.mark.parametrize("way", WAYS)
def test_disabled_holds_for_runs_of_langchain(
    way: str, heard: RecordingHandler, other: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the environment, nor a config, nor a manager made by hand makes them heard."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "1")
    with CallbackManager([other]).run("chain", "by hand", {}), attached("other"):
        WAYS[way](outer, {"callbacks": [named("other")]})
    assert ((), ()) == (heard.records, other.records)


def test_what_is_required_hears_runs_of_langchain_below_a_manager_made_by_hand(
    other: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears each once, whatever is taken out."""
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "other")
    with CallbackManager().run("chain", "by hand", {}):
        outer.invoke(1, {"callbacks": [named("none")]})
    lines = ["chain by hand", *(f"  {line}" for line in ALL.splitlines())]
    assert lines == other.tree().splitlines()
