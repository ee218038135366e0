"""Which names belong to which distribution, in each group of entry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GROUP: Final = "chain_callbacks"
"""The entry-point group, which is version 1 of the plugin API."""

HOSTS: Final = "chain_callbacks.hosts"
"""The group of those that bridge a host: the name is the host's import name."""

CONVERSIONS: Final = "chain_callbacks.conversions"
"""The group of those that put events into another framework's types, by its import name."""

FIRST_PARTY: Final[Mapping[str, Mapping[str, str]]] = {
    GROUP: {
        "console": "chain-callbacks",
        "otel": "chain-callbacks-otel",
        "slack": "chain-callbacks-slack",
        "structlog": "chain-callbacks",
    },
    HOSTS: {
        "anthropic": "chain-callbacks-anthropic",
        "langchain_core": "chain-callbacks-langchain",
        "langgraph": "chain-callbacks-langchain",
        "openai": "chain-callbacks-openai",
    },
    CONVERSIONS: {"langchain_core": "chain-callbacks-langchain"},
}
"""The names that this project publishes in each group, and the distribution that owns each.

Another distribution that claims one is reached as ``distribution/name`` only, and only these
distributions are ever suggested for installation."""


def owner_of(name: str, group: str = GROUP) -> str | None:
    """Return the distribution of ours that owns *name*; None if anybody may offer it."""
    return FIRST_PARTY[group].get(name)
