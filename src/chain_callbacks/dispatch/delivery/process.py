"""The end of the process: whoever has something to do then says so here."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any, Final

at_end: Final[list[Callable[[], Any]]] = []
"""What is called at the end, in this order."""


class _Watch:
    is_on = False


def watch() -> None:
    """Have the end of this process noticed, from its first listener on."""
    if _Watch.is_on:
        return
    _Watch.is_on = True
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        # Such a child ends without the interpreter's own end.
        from multiprocessing.util import Finalize

        Finalize(None, _end, exitpriority=0)
    else:
        atexit.unregister(_end)  # A child that was forked has its parent's.
        atexit.register(_end)


def _end() -> None:
    for call in at_end:
        call()


def _after_fork() -> None:
    _Watch.is_on = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
