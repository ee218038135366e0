"""The exporter ``chain_callbacks`` of OpenTelemetry: GenAI spans become runs for our handlers."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opentelemetry import trace as opentelemetry_trace
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from chain_callbacks import ChainCallbacksError, flush
from chain_callbacks.hosts import before_end, manager_at

from .foreign_runs import Bridged, Step, plan, report, tell
from .foreign_spans import run_type_of, scope_of
from .foreign_traces import Trace, Traces
from .names import SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class RunExporter(SpanExporter):
    """Tells the handlers that ``CHAIN_CALLBACKS`` names of each GenAI span, as of a run.

    ``OTEL_TRACES_EXPORTER=chain_callbacks`` makes it. A trace is told when the topmost of its spans
    in this process has ended, with the times of the spans. Spans of other kinds are passed over,
    and so are ours, and those of a host whose runs are heard over a bridge.

    Args:
        max_spans: How many spans are held; the trace that was silent for the longest time is told
            as far as it has come.
        patience: Seconds without a span after which a trace is told as far as it has come. That is
            looked at when spans come.
        clock: What tells seconds, for *patience*.
    """

    def __init__(
        self,
        *,
        max_spans: int = 10_000,
        patience: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._traces = Traces(self._becomes_run, most=max_spans, patience=patience)
        self._clock = clock
        self._lock = threading.Lock()
        self._bridged: Bridged | None = None
        self._is_shut_down = False
        self._forget = before_end(_Last(self))
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_Forgetting(self))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Tell the traces that *spans* complete; hold the others."""
        if self._is_shut_down:
            return SpanExportResult.FAILURE
        with self._lock:
            self._bridged = None
            ready = self._traces.add(spans, self._clock())
        return self._tell(ready)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Tell what is held, whether complete or not, and have the handlers send it."""
        until = time.monotonic() + timeout_millis / 1000
        self.tell_all()
        return flush(max(0.0, until - time.monotonic())).is_complete

    def shutdown(self) -> None:
        """Tell what is held, whether complete or not; take no more."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._forget()
            self.tell_all()

    def tell_all(self) -> None:
        """Tell what is held, whether complete or not."""
        with self._lock:
            held = self._traces.take_all()
        self._tell(held)

    def _tell(self, traces: Sequence[Trace]) -> SpanExportResult:
        if not any(each.spans for each in traces):
            return SpanExportResult.SUCCESS
        try:
            # Not with our lock held: it may import a plugin.
            manager = manager_at(None)
        except ChainCallbacksError as error:
            report(error)
            return SpanExportResult.FAILURE
        if manager is None:
            return SpanExportResult.SUCCESS
        steps: list[Step] = []
        with self._lock:
            for each in traces:
                planned, became = plan(each, manager)
                self._traces.remember(each, became)
                steps += planned
        tell(steps)
        return SpanExportResult.SUCCESS

    def _becomes_run(self, span: ReadableSpan) -> bool:
        if run_type_of(span) is None or scope_of(span) == SCOPE:
            return False
        if self._bridged is None:
            self._bridged = Bridged()
        return span not in self._bridged

    def after_fork(self) -> None:
        """Forget, in a child process, what its parent holds and will tell."""
        self._lock = threading.Lock()
        self._traces.clear()


class _Forgetting:
    """Has an exporter forget; Python never forgets whom it calls after a fork."""

    def __init__(self, exporter: RunExporter) -> None:
        self._exporter = weakref.ref(exporter)

    def __call__(self) -> None:
        exporter = self._exporter()
        if exporter is not None:
            exporter.after_fork()


class _Last:
    """At the end of the process, has what is still on its way told before handlers are closed.

    An exporter does not know who hands spans over to it, so all of the provider's are asked to.
    """

    def __init__(self, exporter: RunExporter) -> None:
        self._exporter = weakref.ref(exporter)

    def __call__(self) -> None:
        exporter = self._exporter()
        if exporter is None:
            return
        hand_over = getattr(opentelemetry_trace.get_tracer_provider(), "force_flush", None)
        if hand_over is not None:
            hand_over()
        exporter.tell_all()
