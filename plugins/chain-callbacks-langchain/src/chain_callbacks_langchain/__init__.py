"""Handlers of chain-callbacks in LangChain's and LangGraph's runs.

Importing it imports nothing of LangChain: `named` is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .handlers import named

__all__ = ["named"]


def __getattr__(name: str) -> Any:
    if name != "named":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # First what the handlers stand on: where bridges are asked for, importing it attaches ours.
    import langchain_core.runnables.config
    import langchain_core.tracers.context  # noqa: F401

    from .handlers import named

    globals()[name] = named
    return named
