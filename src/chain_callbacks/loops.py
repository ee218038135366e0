"""``asyncio``, imported where it is first used.

It is a third of what a process would pay for importing us, and a synchronous program needs none of
it: `python -m benchmarks --only processes`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .forks import no_fork


class _Asyncio:
    """Has what the module has; nothing is kept, for programs put functions of their own there."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        # By way of the import, which waits for another thread that is in the middle of it.
        return getattr(import_module("asyncio"), name)


if TYPE_CHECKING:
    import asyncio as asyncio  # noqa: PLC0414
else:
    asyncio: Final = _Asyncio()


def load() -> None:
    """Import ``asyncio`` now: where a thread of ours will need it, and a fork may come between."""
    with no_fork():
        import_module("asyncio")


def is_cancellation(error: object) -> bool:
    """Tell whether *error* cancels a task; where nobody imported ``asyncio`` none can."""
    kind = getattr(sys.modules.get("asyncio"), "CancelledError", None)
    return kind is not None and isinstance(error, kind)
