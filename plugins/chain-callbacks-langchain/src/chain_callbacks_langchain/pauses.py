"""LangGraph's own events: a graph that pauses for a person, and one that is resumed.

LangGraph has a list of its own for them, of handlers of one class in `config["callbacks"]`. No hook
of LangChain's reaches that list, so one of our handlers is put into it here.
"""

from __future__ import annotations

import functools
from typing import Any

from langgraph import callbacks
from langgraph.callbacks import GraphCallbackHandler

from chain_callbacks.events import EVENTS
from chain_callbacks.hosts import Run

from .dispatching import Event, Listed, Receiver, call_the_bridge_apart, receivers
from .tree import tree


class Pauses(Listed, GraphCallbackHandler):
    """Stands in the lists that graphs have for their own events."""


def _paused(event: Event) -> Run | None:
    run_id = event.arguments[0].run_id
    place = None if run_id is None else tree.open(run_id)
    return None if place is None else place.run


def _tell(event: Event) -> None:
    run = _paused(event)
    if run is not None:
        run.tell(EVENTS[event.name], tuple(event.arguments))


async def _atell(event: Event) -> None:
    run = _paused(event)
    if run is not None:
        await run.atell(EVENTS[event.name], tuple(event.arguments))


def hear_pauses() -> None:
    """Have our handlers told of pauses, in the versions of LangGraph that have such events."""
    original = getattr(callbacks, "_configure_graph_callbacks", None)
    if original is None or hasattr(original, "__wrapped__"):
        return
    receivers.update(dict.fromkeys(("on_interrupt", "on_resume"), Receiver(_tell, _atell)))
    call_the_bridge_apart()
    listed = Pauses()

    @functools.wraps(original)
    def configure(*arguments: Any, **keywords: Any) -> Any:
        manager = original(*arguments, **keywords)
        manager.add_handler(listed)
        return manager

    callbacks._configure_graph_callbacks = configure
