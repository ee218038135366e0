"""What a diagnosis says of hosts: which are installed, and what bridges them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

from ..hosts.activation import FIRST_PARTY, candidates
from ..resolution import plugins
from ..resolution.index import Candidate
from .doctor import Finding


def findings() -> Iterator[Finding]:
    """Yield what a diagnosis says of hosts: which are there, and what bridges them."""
    known = {each.name: each for each in candidates()}
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
