"""See, log, trace, alert on and meter what an LLM application does, with installable handlers.

Importing this package imports nothing else: each name is loaded when it is first used. It has no
assertion, and may be there before pytest is: PYTEST_DONT_REWRITE keeps pytest from warning of that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .context import submit, to_thread
    from .delivery.flush import (
        FlushReport,
        HandlerStats,
        aflush,
        flush,
        stats,
    )
    from .delivery.lifecycle import flush_on_sigterm
    from .dispatch.manager import CallbackManager
    from .dispatch.run import Run
    from .errors import (
        BrokenPluginError,
        ChainCallbacksError,
        HandlerDeniedError,
        UnknownHandlerError,
    )
    from .handler import BaseCallbackHandler
    from .handlers.run_state import RunEnd, RunStart, RunStateHandler
    from .inspection.explain import explain
    from .policies import Local, policy
    from .redaction import DefaultRedactor, Redactor
    from .resolution.hookspecs import hookimpl
    from .resolution.instances import register
    from .resolution.names import requested
    from .resolution.resolver import attached, check, current_manager, reload, resolve
    from .resolution.settings_model import HandlerSettings
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
    "CallbackManager": "resolution.resolver",
    "ChainCallbacksError": "errors",
    "DefaultRedactor": "redaction",
    "FlushReport": "delivery.flush",
    "HandlerDeniedError": "errors",
    "HandlerSettings": "resolution.settings_model",
    "HandlerStats": "delivery.flush",
    "Local": "policies",
    "Redactor": "redaction",
    "Run": "dispatch.run",
    "RunEnd": "handlers.run_state",
    "RunStart": "handlers.run_state",
    "RunStateHandler": "handlers.run_state",
    "UnknownHandlerError": "errors",
    "aflush": "delivery.flush",
    "attached": "resolution.resolver",
    "check": "resolution.resolver",
    "current_manager": "resolution.resolver",
    "explain": "inspection.explain",
    "flush": "delivery.flush",
    "flush_on_sigterm": "delivery.lifecycle",
    "hookimpl": "resolution.hookspecs",
    "policy": "policies",
    "register": "resolution.instances",
    "reload": "resolution.resolver",
    "requested": "resolution.names",
    "resolve": "resolution.resolver",
    "stats": "delivery.flush",
    "submit": "context",
    "to_thread": "context",
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
