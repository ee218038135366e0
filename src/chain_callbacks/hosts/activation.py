"""Which bridges are installed, and having each set up once its host was imported."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ..errors import ChainCallbacksError
from ..resolution import plugins
from ..resolution.index import HOSTS, Candidate, index
from ..resolution.names import normalised
from .imports import after_import

log = logging.getLogger("chain_callbacks")

BridgeStatus = Literal["idle", "waiting", "active", "failed"]

FIRST_PARTY: Final = {
    "anthropic": "chain-callbacks-anthropic",
    "langchain_core": "chain-callbacks-langchain",
    "langgraph": "chain-callbacks-langchain",
    "openai": "chain-callbacks-openai",
}
"""The hosts that this project bridges, and the distributions that do it."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """One bridge that is installed.

    Attributes:
        host: The import name of what it bridges.
        distribution, version: Whose it is; the version is None where it cannot be read.
        status: ``idle`` where nobody asked for bridges in this process, ``waiting`` until the host
            is imported, then ``active``, or ``failed``.
        reason: Why it failed; empty otherwise.
    """

    host: str
    distribution: str
    version: str | None
    status: BridgeStatus
    reason: str = ""


_states: Final[dict[tuple[str, str], tuple[BridgeStatus, str]]] = {}


def activate() -> None:
    """Have every installed bridge set up as soon as its host is imported; at once where it is.

    Calling it again finds what was installed meanwhile, and does nothing else.
    """
    for candidate in candidates():
        key = _key(candidate)
        if key not in _states:
            _states[key] = ("waiting", "")
            after_import(candidate.name, functools.partial(_set_up, candidate))


def _set_up(candidate: Candidate) -> None:
    key = _key(candidate)
    try:
        plugins.load(candidate, source="")()
    except Exception as error:
        why = str(error) if isinstance(error, ChainCallbacksError) else plugins.describe(error)
        _states[key] = ("failed", why)
        raise
    _states[key] = ("active", "")


def _key(candidate: Candidate) -> tuple[str, str]:
    return candidate.name, normalised(candidate.distribution)


def candidates() -> Iterator[Candidate]:
    """Yield the bridges that are used: of the hosts that this project bridges only its own."""
    for host, offered in index().others.get(HOSTS, {}).items():
        owner = FIRST_PARTY.get(host)
        for each in offered:
            # As with handlers' names: another distribution cannot take a host of ours over.
            if owner is None or normalised(each.distribution) == owner:
                yield each


def bridges() -> tuple[Bridge, ...]:
    """Return the bridges that are installed, by host, and what became of each in this process."""
    found = []
    for each in candidates():
        status, reason = _states.get(_key(each), ("idle", ""))
        found.append(Bridge(each.name, each.distribution, each.version, status, reason))
    return tuple(found)
