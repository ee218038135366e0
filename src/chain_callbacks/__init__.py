"""See, log, trace, alert on and meter what an LLM application does, with installable handlers.

Importing this package imports nothing else: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dispatch.context import submit, to_thread
    from .dispatch.delivery.ending import (
        FlushReport,
        HandlerStats,
        aflush,
        flush,
        flush_on_sigterm,
        stats,
    )
    from .dispatch.manager import CallbackManager
    from .dispatch.runs import Run
    from .errors import (
        BrokenPluginError,
        ChainCallbacksError,
        HandlerDeniedError,
        UnknownHandlerError,
    )
    from .handler import BaseCallbackHandler
    from .handlers.run_state import RunEnd, RunStart, RunStateHandler
    from .policies import Local, policy
    from .redaction import DefaultRedactor, Redactor
    from .resolution.asking import check, explain, reload, requested, resolve
    from .resolution.factory import register
    from .resolution.hookspecs import hookimpl
    from .resolution.scope import attached, current_manager
    from .resolution.settings import HandlerSettings
    from .runnables.tracing import traced

__all__ = [
    "BaseCallbackHandler",
    "BrokenPluginError",
    "CallbackManager",
    "ChainCallbacksError",
    "DefaultRedactor",
    "FlushReport",
    "HandlerDeniedError",
    "HandlerSettings",
    "HandlerStats",
    "Local",
    "Redactor",
    "Run",
    "RunEnd",
    "RunStart",
    "RunStateHandler",
    "UnknownHandlerError",
    "aflush",
    "attached",
    "check",
    "current_manager",
    "explain",
    "flush",
    "flush_on_sigterm",
    "hookimpl",
    "policy",
    "register",
    "reload",
    "requested",
    "resolve",
    "stats",
    "submit",
    "to_thread",
    "traced",
]

_MODULES = {
    "BaseCallbackHandler": "handler",
    "BrokenPluginError": "errors",
    "CallbackManager": "dispatch.manager",
    "ChainCallbacksError": "errors",
    "DefaultRedactor": "redaction",
    "FlushReport": "dispatch.delivery.ending",
    "HandlerDeniedError": "errors",
    "HandlerSettings": "resolution.settings",
    "HandlerStats": "dispatch.delivery.ending",
    "Local": "policies",
    "Redactor": "redaction",
    "Run": "dispatch.runs",
    "RunEnd": "handlers.run_state",
    "RunStart": "handlers.run_state",
    "RunStateHandler": "handlers.run_state",
    "UnknownHandlerError": "errors",
    "aflush": "dispatch.delivery.ending",
    "attached": "resolution.scope",
    "check": "resolution.asking",
    "current_manager": "resolution.scope",
    "explain": "resolution.asking",
    "flush": "dispatch.delivery.ending",
    "flush_on_sigterm": "dispatch.delivery.ending",
    "hookimpl": "resolution.hookspecs",
    "policy": "policies",
    "register": "resolution.factory",
    "reload": "resolution.asking",
    "requested": "resolution.asking",
    "resolve": "resolution.asking",
    "stats": "dispatch.delivery.ending",
    "submit": "dispatch.context",
    "to_thread": "dispatch.context",
    "traced": "runnables.tracing",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
