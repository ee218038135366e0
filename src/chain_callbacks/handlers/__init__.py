"""The built-in handlers, and what puts the current run's id on an application's own log lines.

Importing this package imports no third party: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run_ids import RunIdFilter, add_run_ids

__all__ = ["RunIdFilter", "add_run_ids"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(".run_ids", __name__), name)
    globals()[name] = value
    return value
