"""Setting bridges up once their host was imported, and what became of each."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import Final, Literal

from ..errors import ChainCallbacksError
from ..resolution import plugins
from ..resolution.index import Candidate
from ..resolution.names import normalised
from .imports import after_import
from .selection import VARIABLE, offered, selection

log = logging.getLogger("chain_callbacks")

BridgeStatus = Literal["idle", "waiting", "active", "failed"]


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
    """Have bridges set up as soon as their host is imported; at once where it is.

    Ours are, and those of others that ``CHAIN_CALLBACKS_HOSTS`` names. Calling it again finds what
    was installed meanwhile, and does nothing else.
    """
    chosen, problems = selection()
    for problem in problems:
        log.warning("%s names %r: %s.\n%s", VARIABLE, *problem)
    for candidate in chosen:
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


def bridges() -> tuple[Bridge, ...]:
    """Return the bridges that are installed, by host, and what became of each in this process.

    Without those that claim a host of ours, unless ``CHAIN_CALLBACKS_HOSTS`` names them.
    """
    chosen, _ = selection()
    found = []
    for each in offered():
        if each in chosen or each.owner is None or each.is_first_party:
            status, reason = _states.get(_key(each), ("idle", ""))
            found.append(Bridge(each.name, each.distribution, each.version, status, reason))
    return tuple(found)
