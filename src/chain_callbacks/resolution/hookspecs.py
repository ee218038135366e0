"""The framework's own extension points, as pluggy hooks. Events of runs are none of them.

A distribution implements them in a module that its entry point names, with the ``hookimpl``
marker. They are called rarely: never for an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pluggy import HookimplMarker, HookimplOpts, HookspecMarker, PluginManager

if TYPE_CHECKING:
    from .index import Provenance
    from .proposal import Proposal

PROJECT: Final = "chain_callbacks"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of a hook."""


class Register(PluginManager):
    """The modules with hooks that were loaded. What a module loads lazily stays unloaded."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> HookimplOpts | None:
        """Look at what is in the module, and not at what asking for it would import."""
        return super().parse_hookimpl_opts(plugin, name) if name in vars(plugin) else None


@hookspec
def chain_callbacks_resolved(resolution: Proposal) -> None:
    """The handlers of a run were resolved; called once a distinct list, before they are made.

    A policy plugin adds an audit handler, removes one, or moves one. Only those listed in
    ``CHAIN_CALLBACKS_PLUGINS`` are asked.
    """


@hookspec
def chain_callbacks_handler_created(name: str, handler: object, provenance: Provenance) -> None:
    """A named handler was made; all runs of the process share it."""


@hookspec
def chain_callbacks_plugin_failed(name: str, error: BaseException, provenance: Provenance) -> None:
    """A handler that was asked for by name cannot be used."""
