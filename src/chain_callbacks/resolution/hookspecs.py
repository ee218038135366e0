"""The framework's own extension points, as pluggy hooks. Events of runs are none of them.

A distribution implements them in a module that its entry point names, with the ``hookimpl``
marker. They are called seldom: never for an event, never on the way of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pluggy import HookimplMarker, HookimplOpts, HookspecMarker, PluginManager

if TYPE_CHECKING:
    from .index import Provenance
    from .policy_plugins import Proposal

PROJECT: Final = "chain_callbacks"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of a hook."""


class Register(PluginManager):
    """The register of loaded modules; what a module loads lazily stays unloaded."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> HookimplOpts | None:
        """Look at what stands in the module, and not at what asking for it would import."""
        return super().parse_hookimpl_opts(plugin, name) if name in vars(plugin) else None


@hookspec
def chain_callbacks_resolved(resolution: Proposal) -> None:
    """Who would listen was resolved; called once for each distinct list, before handlers are made.

    A policy plugin adds an audit handler, takes one out, or moves one. Only those listed in
    ``CHAIN_CALLBACKS_PLUGINS`` are asked.
    """


@hookspec
def chain_callbacks_handler_created(name: str, handler: object, provenance: Provenance) -> None:
    """An instance of a named handler was made; it is the one that all runs of the process share."""


@hookspec
def chain_callbacks_plugin_failed(name: str, error: BaseException, provenance: Provenance) -> None:
    """A handler that was asked for by name cannot be used."""
