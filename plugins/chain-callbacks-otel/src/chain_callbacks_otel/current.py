"""The span of the run that the calling code is in is the current one: asked for, never attached.

A token that one context attached cannot be taken out in another, and the start and the end of a run
may come from two. So nothing is attached: OpenTelemetry's own context is looked at through this,
which asks the framework which run the code is in. ``docs/decisions/0020`` has the reasons.
"""

from __future__ import annotations

import threading
import weakref
from contextvars import Token
from typing import Any, Final, Protocol
from uuid import UUID

from opentelemetry import context as api
from opentelemetry.context.context import Context, _RuntimeContext
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from chain_callbacks.hosts import here, run_around

# Not by `create_key`, which is not there yet where OpenTelemetry loads this by its entry point.
_RUN: Final = "chain-callbacks-run-2b0c6d7e"


class HasContexts(Protocol):
    """Who made spans of runs."""

    def context_of(self, run_id: UUID) -> Context | None:
        """Return the context with a run's span; None where it has none."""
        ...


class _Makers:
    """The handlers that have contexts; replaced, never changed, since any thread reads it."""

    def __init__(self) -> None:
        self.known: tuple[weakref.ref[Any], ...] = ()
        self.lock = threading.Lock()

    def add(self, maker: HasContexts) -> None:
        """Ask *maker* from now on, after those that are asked already."""
        with self.lock:
            if not any(each() is maker for each in self.known):
                self.known = (*self._living(), weakref.ref(maker))

    def remove(self, maker: HasContexts) -> None:
        """Ask *maker* no more."""
        with self.lock:
            self.known = tuple(each for each in self._living() if each() is not maker)

    def context_of(self, run_id: UUID) -> Context | None:
        """Return what the first says that knows the run."""
        for reference in self.known:
            maker = reference()
            context: Context | None = None if maker is None else maker.context_of(run_id)
            if context is not None:
                return context
        return None

    def _living(self) -> tuple[weakref.ref[Any], ...]:
        return tuple(each for each in self.known if each() is not None)


_makers: Final = _Makers()


class RunContext(_RuntimeContext):
    """OpenTelemetry's context, and in the place of an outer one that of the run around the code.

    The entry point ``opentelemetry_context`` names it, for ``OTEL_PYTHON_CONTEXT``; where that is
    not set, ``look_through`` puts it round the one that is there.
    """

    def __init__(self, inner: _RuntimeContext | None = None) -> None:
        self.inner = inner or ContextVarsRuntimeContext()

    def attach(self, context: Context) -> Token[Context]:
        """Do what the one within does."""
        return self.inner.attach(context)

    def detach(self, token: Token[Context]) -> None:
        """Do what the one within does."""
        self.inner.detach(token)

    def get_current(self) -> Context:
        """Return the context of the innermost: a run's, or what was attached inside of that run."""
        attached = self.inner.get_current()
        if not _makers.known:
            return attached
        scope = here()
        if scope is None:
            return attached
        run = run_around(scope)
        while run is not None:
            context = _makers.context_of(run.id)
            if context is not None:
                return attached if attached.get(_RUN) == run.id else context
            run = run.parent
        return attached


def look_through(maker: HasContexts) -> None:
    """Have the spans of *maker* be current in their runs, in the whole process."""
    _makers.add(maker)
    with _makers.lock:  # Two threads must not put one round the other.
        if not isinstance(api._RUNTIME_CONTEXT, RunContext):
            # The one private name: there is no other way to choose once the API was imported.
            api._RUNTIME_CONTEXT = RunContext(api._RUNTIME_CONTEXT)


def after_fork() -> None:
    """Have a lock of the child's own: its parent's may be held by a thread that is not here."""
    _makers.lock = threading.Lock()


def forget(maker: HasContexts) -> None:
    """Have the spans of *maker* be current no more."""
    _makers.remove(maker)


def attached_context() -> Context:
    """Return what the application has attached, whatever run the calling code is in."""
    runtime = api._RUNTIME_CONTEXT
    return runtime.inner.get_current() if isinstance(runtime, RunContext) else api.get_current()


def marked(context: Context, run_id: UUID) -> Context:
    """Return *context* as that of a run: what is derived from it was attached inside of the run."""
    return api.set_value(_RUN, run_id, context)


def is_inside(context: Context, around: Context) -> bool:
    """Tell whether *context* is derived from *around*, that of a run, and from no run's in that."""
    return context.get(_RUN) == around[_RUN]
