"""The framework's own extension points, as pluggy hooks. Events of runs are none of them.

A distribution implements them in a module that its entry point names, with the ``hookimpl``
marker. They are called seldom: never for an event, never on the way of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from .policy_plugins import Proposal
    from .provenance import Provenance

PROJECT: Final = "chain_callbacks"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of a hook."""


@hookspec
def chain_callbacks_resolved(resolution: Proposal) -> None:
    """Who would listen was resolved; called once for each distinct list, before handlers are made.

    A policy plugin adds an audit handler, takes one out, or moves one. Only those listed in
    ``CHAIN_CALLBACKS_PLUGINS`` are sure to be asked.
    """


@hookspec
def chain_callbacks_handler_created(name: str, handler: object, provenance: Provenance) -> None:
    """An instance of a named handler was made; it is the one that all runs of the process share."""


@hookspec
def chain_callbacks_plugin_failed(name: str, error: BaseException, provenance: Provenance) -> None:
    """A handler that was asked for by name cannot be used."""
