"""The test kit: a recorder whose run trees compare as text, and runs with fixed ids and times.

With pytest its fixtures ``recorder`` and ``isolated_callbacks`` are there once the package is
installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .determinism import FakeClock, deterministic
    from .models import ModelServer
    from .recorder import RecordingHandler
    from .records import Record
    from .servers import Received, Reply, ScriptedServer
    from .trees import RunSummary

__all__ = [
    "FakeClock",
    "ModelServer",
    "Received",
    "Record",
    "RecordingHandler",
    "Reply",
    "RunSummary",
    "ScriptedServer",
    "deterministic",
]

_MODULES = {
    "FakeClock": "determinism",
    "ModelServer": "models",
    "Received": "servers",
    "Record": "records",
    "RecordingHandler": "recorder",
    "Reply": "servers",
    "RunSummary": "trees",
    "ScriptedServer": "servers",
    "deterministic": "determinism",
}


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project that has it installed: nothing more than asked.
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value
