"""What a diagnosis says of hosts: which are installed, and what bridges them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

from ..hosts.selection import VARIABLE, entry_for, offered, selection
from ..resolution import plugins
from ..resolution.index import Candidate
from ..resolution.ownership import FIRST_PARTY, HOSTS, owner_of
from .doctor import Finding


def findings() -> Iterator[Finding]:
    """Yield what a diagnosis says of hosts: which are there, and what bridges them."""
    chosen, problems = selection()
    for problem in problems:
        yield Finding(problem.entry, "problem", problem.cause, problem.remedy, source=VARIABLE)
    by_host: dict[str, list[Candidate]] = {host: [] for host in FIRST_PARTY[HOSTS]}
    for each in offered():
        by_host.setdefault(each.name, []).append(each)
    for host, candidates in sorted(by_host.items()):
        present = _distribution(host) or (host if candidates and _is_there(host) else None)
        owner = owner_of(host, HOSTS)
        if present and owner and not any(each.is_first_party for each in candidates):
            cause = f"{present} is installed, and no bridge to it"
            yield Finding(host, "note", cause, f"pip install {owner}")
        for each in candidates:
            yield _about(each, present, is_chosen=each in chosen)


def _about(candidate: Candidate, present: str | None, *, is_chosen: bool) -> Finding:
    if not is_chosen:
        if candidate.is_first_party:
            cause = f"{VARIABLE} takes the bridge of {candidate.distribution} out"
            return _finding(candidate, "note", cause)
        cause = f"{candidate.distribution} offers a bridge, set up only if {VARIABLE} names it"
        if candidate.owner is not None:
            cause += f"; {candidate.owner} owns the name"
        remedy = f"to use it, name {entry_for(candidate)} in {VARIABLE}"
        return _finding(candidate, "note", cause, remedy)
    if present is None:
        return _finding(candidate, "note", "not installed: there is nothing to bridge")
    unmet = plugins.unmet_requirement(candidate)
    if unmet is not None:
        return _finding(candidate, "problem", f"{present} is not bridged: {unmet}")
    how = "chain-callbacks run, or import chain_callbacks.auto"
    return _finding(candidate, "ok", f"{present} is bridged where a program asks for it", how)


def _finding(
    candidate: Candidate, status: Literal["ok", "note", "problem"], cause: str, remedy: str = ""
) -> Finding:
    return Finding(
        candidate.name,
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
