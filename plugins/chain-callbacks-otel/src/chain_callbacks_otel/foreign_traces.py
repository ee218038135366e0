"""Spans as they come in, kept by trace until the topmost of this process has ended.

Spans are handed over when they end, inner ones before the ones around them, in batches. What they
are runs of is told from the outside to the inside, so the rest of a trace is waited for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .names import RUN_ID

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class Trace:
    """What has come of one trace, and was not told yet.

    Attributes:
        trace_id: Its id.
        spans: Those that become runs, by the id of the span.
        skipped: The parents of those that do not, by the id of the span.
        ours: Which runs of ours some of those were made of, by the id of the span.
        told: What became of those that were told before, by the id of the span.
        heard_at: When the last of them came.
    """

    __slots__ = ("heard_at", "ours", "skipped", "spans", "told", "trace_id")

    def __init__(self, trace_id: int, told: dict[int, Any], heard_at: float) -> None:
        self.trace_id = trace_id
        self.spans: dict[int, ReadableSpan] = {}
        self.skipped: dict[int, int | None] = {}
        self.ours: dict[int, str] = {}
        self.told = told
        self.heard_at = heard_at

    def __len__(self) -> int:
        return len(self.spans) + len(self.skipped)

    def above(self, span: ReadableSpan) -> tuple[int | None, Any]:
        """Return the nearest span around *span* that becomes a run, and what it was told as.

        The first is of this trace, the second was told before; at most one of them is not None.
        """
        span_id = parent_id_of(span)
        passed = set()
        while span_id is not None and span_id not in passed:
            passed.add(span_id)  # Ids are not ours: they may run in a circle.
            if span_id in self.spans:
                return span_id, None
            if span_id in self.told:
                return None, self.told[span_id]
            span_id = self.skipped.get(span_id)
        return None, None

    def run_around(self, span: ReadableSpan) -> str | None:
        """Return the id of the run of ours around *span*; None where no span of it has come."""
        span_id = parent_id_of(span)
        passed = set()
        while span_id is not None and span_id not in passed:
            passed.add(span_id)
            if span_id in self.ours:
                return self.ours[span_id]
            span_id = self.skipped.get(span_id)
        return None


class Traces:
    """The traces that are waited for; not more than *most* spans, and each *patience* seconds.

    It is the caller who sees to it that one thread at a time is in here.
    """

    def __init__(
        self, becomes_run: Callable[[ReadableSpan], bool], *, most: int, patience: float
    ) -> None:
        self._becomes_run = becomes_run
        self._most = most
        self._patience = patience
        self._count = 0
        # The one that was silent for the longest time is the first.
        self._open: OrderedDict[int, Trace] = OrderedDict()
        # For spans that come after the topmost has ended, or after their trace was given up.
        self._told: OrderedDict[int, dict[int, Any]] = OrderedDict()
        self._told_count = 0

    def add(self, spans: Iterable[ReadableSpan], now: float) -> list[Trace]:
        """Take *spans* in; return the traces of which nothing more is waited for."""
        ready: dict[int, Trace] = {}
        for span in spans:
            trace = self._take(span, now)
            if trace is None:
                continue
            # What is below one that was told has outlived the topmost.
            if is_topmost(span) or parent_id_of(span) in trace.told:
                ready[trace.trace_id] = trace
        # Not before all have been seen: a batch may hold some that ended after the topmost.
        for trace in ready.values():
            self._let_go(trace)
        return [*ready.values(), *self._too_old(now)]

    def take_all(self) -> list[Trace]:
        """Return all that are waited for, and wait for none of them any more."""
        traces = [*self._open.values()]
        for trace in traces:
            self._let_go(trace)
        return traces

    def remember(self, trace: Trace, told: Mapping[int, Any]) -> None:
        """Note what became of the spans of *trace*, for those that are still to come."""
        kept = self._told.pop(trace.trace_id, {})
        self._told_count -= len(kept)
        kept.update(told)
        self._told[trace.trace_id] = kept
        self._told_count += len(kept)
        while self._told_count > self._most:
            _, forgotten = self._told.popitem(last=False)
            self._told_count -= len(forgotten)

    def clear(self) -> None:
        """Forget everything."""
        self._count = self._told_count = 0
        self._open.clear()
        self._told.clear()

    def _take(self, span: ReadableSpan, now: float) -> Trace | None:
        context = span.context
        if context is None:
            return None
        trace = self._open.get(context.trace_id)
        if trace is None:
            told = self._told.get(context.trace_id, {})
            trace = self._open[context.trace_id] = Trace(context.trace_id, told, now)
        trace.heard_at = now
        self._open.move_to_end(context.trace_id)
        span_id = context.span_id
        if span_id in trace.spans or span_id in trace.skipped or span_id in trace.told:
            return trace  # Two processors hand over to one exporter.
        if self._becomes_run(span):
            trace.spans[span_id] = span
        else:
            trace.skipped[span_id] = parent_id_of(span)
            if run_id := (span.attributes or {}).get(RUN_ID):
                trace.ours[span_id] = str(run_id)
        self._count += 1
        return trace

    def _let_go(self, trace: Trace) -> None:
        if self._open.pop(trace.trace_id, None) is not None:
            self._count -= len(trace)

    def _too_old(self, now: float) -> list[Trace]:
        late = []
        for trace in [*self._open.values()]:
            if self._count <= self._most and now - trace.heard_at <= self._patience:
                break
            self._let_go(trace)
            late.append(trace)
        return late


def parent_id_of(span: ReadableSpan) -> int | None:
    """Return the id of the span around *span*; None where there is none."""
    return None if span.parent is None else span.parent.span_id


def is_topmost(span: ReadableSpan) -> bool:
    """Tell whether nothing of this process is around *span*."""
    return span.parent is None or span.parent.is_remote
