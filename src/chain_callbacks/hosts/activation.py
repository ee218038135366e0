"""Which bridges are installed, and having each set up once its host was imported."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ..errors import ChainCallbacksError
from ..inspection.doctor import Finding
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
    for candidate in _candidates():
        key = _key(candidate)
        if key not in _states:
            _states[key] = ("waiting", "")
            after_import(candidate.name, functools.partial(_set_up, candidate))


def _set_up(candidate: Candidate) -> None:
    key = _key(candidate)
    try:
        plugins.load(candidate, source=HOSTS)()
    except Exception as error:
        why = str(error) if isinstance(error, ChainCallbacksError) else plugins.describe(error)
        _states[key] = ("failed", why)
        raise
    _states[key] = ("active", "")


def _key(candidate: Candidate) -> tuple[str, str]:
    return candidate.name, normalised(candidate.distribution)


def _candidates() -> Iterator[Candidate]:
    for host, candidates in index().others.get(HOSTS, {}).items():
        owner = FIRST_PARTY.get(host)
        for each in candidates:
            # As with handlers' names: another distribution cannot take a host of ours over.
            if owner is None or normalised(each.distribution) == owner:
                yield each


def bridges() -> tuple[Bridge, ...]:
    """Return the bridges that are installed, by host, and what became of each in this process."""
    found = []
    for each in _candidates():
        status, reason = _states.get(_key(each), ("idle", ""))
        found.append(Bridge(each.name, each.distribution, each.version, status, reason))
    return tuple(found)


def findings() -> Iterator[Finding]:
    """Yield what a diagnosis says of hosts: which are there, and what bridges them."""
    known = {each.name: each for each in _candidates()}
    for host in sorted({*known, *FIRST_PARTY}):
        candidate = known.get(host)
        present = _distribution(host) or (host if candidate and _is_there(host) else None)
        if present is None:
            if candidate is not None:
                yield _finding(host, "note", "not installed: there is nothing to bridge", candidate)
            continue
        if candidate is None:
            cause = f"{present} is installed, and no bridge to it"
            yield Finding(host, "note", cause, f"pip install {FIRST_PARTY[host]}")
            continue
        unmet = plugins.unmet_requirement(candidate)
        if unmet is not None:
            yield _finding(host, "problem", f"{present} is not bridged: {unmet}", candidate)
            continue
        cause = f"{present} is bridged where a program asks for it"
        how = "chain-callbacks run, or import chain_callbacks.auto"
        yield _finding(host, "ok", cause, candidate, how)


def _finding(
    host: str,
    status: Literal["ok", "note", "problem"],
    cause: str,
    candidate: Candidate,
    remedy: str = "",
) -> Finding:
    return Finding(
        host,
        status,
        cause,
        remedy,
        distribution=candidate.distribution,
        version=candidate.version,
        location=candidate.location,
    )


def _distribution(host: str) -> str | None:
    """Return the host's distribution and its version; None where there is none of its name."""
    import importlib_metadata

    name = host.replace("_", "-")
    try:
        return f"{name} {importlib_metadata.version(name)}"
    except Exception:  # It is not installed, or its metadata cannot be read.
        return None


def _is_there(host: str) -> bool:
    """Tell whether the host can be imported, without importing it."""
    from importlib.util import find_spec

    try:
        return host in sys.modules or find_spec(host) is not None
    except (ImportError, ValueError):
        return False
