"""Runs that a host tells of when they are over."""

from __future__ import annotations

from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager, RunStateHandler
from chain_callbacks.hosts import run_at

SECOND = 1_000_000_000


class Watch(BaseCallbackHandler):
    def __init__(self) -> None:
        self.found: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, *, started: Any, **kwargs: Any) -> None:
        self.found.append(started.timestamp())

    def on_chain_end(self, outputs: Any, *, started: Any, duration: Any, **kwargs: Any) -> None:
        self.found.append((started.timestamp(), duration))


@pytest.mark.parametrize("delivery", ["inline", "queued"])
def test_times_of_a_run_that_is_over_are_those_given(delivery: str) -> None:
    """Handlers hear when it was and how long it took, not when they were told."""
    from chain_callbacks import flush, policy

    watch = Watch()
    manager = CallbackManager([policy(watch, delivery=delivery)])
    run = run_at(manager, "chain", "past", times=(10 * SECOND, 12 * SECOND + SECOND // 4))
    run.start(({},))
    run.end(None)
    flush()

    assert [10.0, (10.0, 2.25)] == watch.found


def test_run_that_ended_before_it_began_took_no_time() -> None:
    """A clock may be set back in the middle of a run."""
    watch = Watch()
    run = run_at(CallbackManager([watch]), "chain", "past", times=(2 * SECOND, SECOND))
    run.start(({},))
    run.end(None)

    assert [2.0, (2.0, 0.0)] == watch.found


def test_runs_in_a_run_that_is_over_have_it_as_their_parent() -> None:
    """Also where they are told of after its end."""

    class Trees(RunStateHandler[str]):
        def start_run(self, run: Any, parent: str | None) -> str:
            found.append((run.name, parent, run.depth))
            return run.name

    found: list[Any] = []
    outer = run_at(CallbackManager([Trees()]), "chain", "outer", times=(1, 2))
    outer.start(({},))
    inner = run_at(outer.manager(), "tool", "inner", times=(1, 2))
    inner.start(("",))
    inner.end("")
    outer.end(None)
    late = run_at(outer.manager(), "tool", "late", times=(1, 2))
    late.start(("",))
    late.end("")

    assert [("outer", None, 0), ("inner", "outer", 1), ("late", None, 1)] == found
    assert (outer.id, outer.id) == (inner.parent_id, late.root_id)
