"""Which manager is around: the one answer to it, from whatever state the context is in."""

from __future__ import annotations

from typing import Any

from ..context import Attached, here
from .manager import NOBODY, CallbackManager
from .run import Run


def manager_of(scope: Any) -> CallbackManager | None:
    """Return the manager that *scope*, a state of the context, hands down to what starts there.

    What was attached in it is not folded in. None where neither a run nor a manager is around, and
    where a handler runs.
    """
    while isinstance(scope, Attached):
        scope = scope.around
    if isinstance(scope, Run):
        return scope.child
    return scope if isinstance(scope, CallbackManager) else None


def manager_around() -> CallbackManager:
    """Return the manager of the scope that the calling code is in; NOBODY where there is none."""
    return manager_of(here()) or NOBODY
