"""Hosts: frameworks that start runs of their own, and whose runs our handlers hear over a bridge.

A bridge is a plugin: an entry point in the group ``chain_callbacks.hosts`` whose name is the host's
import name and whose value is a function. ``import chain_callbacks.auto``, ``chain-callbacks run``
and ``activate()`` have it called once, after the host was imported. What a bridge needs is here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..context import SUPPRESSED, Scope, here
    from ..delivery.lifecycle import before_end
    from ..dispatch.run import Run
    from ..policies import WithPolicy
    from .activation import Bridge, activate, bridges
    from .imports import after_import
    from .running import (
        Gate,
        add_finder,
        add_model_finder,
        check_callbacks,
        defer,
        manager_at,
        manager_below,
        model_around,
        monotonic,
        own_scope,
        run_around,
        run_at,
        silent_manager,
        treat_as_interruption,
    )

__all__ = [
    "SUPPRESSED",
    "Bridge",
    "Gate",
    "Run",
    "Scope",
    "WithPolicy",
    "activate",
    "add_finder",
    "add_model_finder",
    "after_import",
    "before_end",
    "bridges",
    "check_callbacks",
    "defer",
    "here",
    "manager_at",
    "manager_below",
    "model_around",
    "monotonic",
    "own_scope",
    "run_around",
    "run_at",
    "silent_manager",
    "treat_as_interruption",
]

_MODULES = {
    "SUPPRESSED": "..context",
    "Bridge": ".activation",
    "Gate": ".running",
    "Run": "..dispatch.run",
    "Scope": "..context",
    "WithPolicy": "..policies",
    "activate": ".activation",
    "add_finder": ".running",
    "add_model_finder": ".running",
    "after_import": ".imports",
    "before_end": "..delivery.lifecycle",
    "bridges": ".activation",
    "here": "..context",
    "run_around": ".running",
    "own_scope": ".running",
    "manager_below": ".running",
    "check_callbacks": ".running",
    "defer": ".running",
    "manager_at": ".running",
    "model_around": ".running",
    "monotonic": ".running",
    "run_at": ".running",
    "silent_manager": ".running",
    "treat_as_interruption": ".running",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module, __name__), name)
    globals()[name] = value
    return value
