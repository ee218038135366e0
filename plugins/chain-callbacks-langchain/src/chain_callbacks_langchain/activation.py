"""What is called once a host was imported: the bridge goes to where LangChain looks for handlers.

Each part is set up when the module of LangChain's that it concerns is imported, not before: a
program that imports LangChain's messages alone loads nothing on our account.
"""

from __future__ import annotations

from chain_callbacks.hosts import after_import, treat_as_interruption


def bridge_langchain() -> None:
    """Bridge LangChain's runs, and let names stand in its configs."""
    after_import("langchain_core.runnables.config", _admit_names_in_configs)
    after_import("langchain_core.tracers.context", _attach_the_bridge_in_time)


def bridge_langgraph() -> None:
    """Bridge what LangGraph adds: its pauses, its own configs, and its events of a graph's life."""
    after_import("langgraph.errors", _know_pauses)
    after_import("langgraph._internal._config", _admit_names_in_configs_of_graphs)
    after_import("langgraph.callbacks", _hear_pauses)


def _attach_the_bridge_in_time() -> None:
    # The one may be imported in the middle of the other.
    after_import("langchain_core.runnables.config", _attach_the_bridge)


def _attach_the_bridge() -> None:
    from .handlers import attach_bridge

    attach_bridge()


def _admit_names_in_configs() -> None:
    from .admission import admit_in_configs

    admit_in_configs("langchain_core.runnables.config")


def _admit_names_in_configs_of_graphs() -> None:
    from .admission import admit_in_configs

    admit_in_configs("langgraph._internal._config")


def _know_pauses() -> None:
    from langgraph.errors import GraphBubbleUp

    treat_as_interruption(GraphBubbleUp)


def _hear_pauses() -> None:
    from .pauses import hear_pauses

    hear_pauses()
