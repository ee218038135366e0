"""LangGraph's own events: a graph that pauses for a person, and one that is taken up again.

LangGraph tells them to handlers of one class in `config["callbacks"]` alone, where no hook of
LangChain's reaches; so the list that it makes of them gets one more.
"""

from __future__ import annotations

import functools
from typing import Any

from langgraph import callbacks
from langgraph.callbacks import GraphCallbackHandler

from chain_callbacks.hosts import Run

from .tree import tree


class Pauses(GraphCallbackHandler):
    """Passes a graph's pauses on to our run of that graph."""

    run_inline = True
    raise_error = True

    def on_interrupt(self, event: Any) -> None:
        """Tell our handlers that the graph has paused."""
        run = _run_of(event)
        if run is not None:
            run.on_interrupt(event)

    def on_resume(self, event: Any) -> None:
        """Tell our handlers that the graph was taken up."""
        run = _run_of(event)
        if run is not None:
            run.on_resume(event)


def _run_of(event: Any) -> Run | None:
    place = None if event.run_id is None else tree.open(event.run_id)
    return None if place is None else place.run


def hear_pauses() -> None:
    """Have LangGraph tell us of pauses, in the versions that have such events."""
    original = getattr(callbacks, "_configure_graph_callbacks", None)
    if original is None or hasattr(original, "__wrapped__"):
        return
    listener = Pauses()

    @functools.wraps(original)
    def configure(*arguments: Any, **keywords: Any) -> Any:
        manager = original(*arguments, **keywords)
        manager.add_handler(listener)
        return manager

    callbacks._configure_graph_callbacks = configure
