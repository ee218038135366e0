"""The SDK's batches of spans, with a count of those that never arrived."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class Counts:
    """How many spans wait to be exported, and how many were let go; exact, from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.begin()

    def begin(self) -> None:
        """Begin again at zero, with a lock of this process."""
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.waiting = self.dropped = 0

    def take(self) -> bool:
        """Count a span that ended; return whether there is room for it."""
        if self._pid != os.getpid():
            self.begin()  # The SDK forgets what its parent had, too.
        with self._lock:
            if self.waiting >= self._most:
                self.dropped += 1
                return False
            self.waiting += 1
            return True

    def leave(self, count: int) -> None:
        """Count spans that are being exported: they wait no more."""
        with self._lock:
            self.waiting = max(0, self.waiting - count)

    def lose(self, count: int) -> None:
        """Count spans that an exporter could not send, and that nobody tries again."""
        with self._lock:
            self.dropped += count


class _CountedExporter(SpanExporter):
    def __init__(self, exporter: SpanExporter, counts: Counts) -> None:
        self._exporter = exporter
        self._counts = counts

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._counts.leave(len(spans))
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._counts.lose(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class CountedBatches(BatchSpanProcessor):
    """Exports spans in batches, as ``OTEL_BSP_*`` says, and counts what is lost.

    The SDK says of a span that finds its queue full no more than a line of a log. So one that would
    is refused here, before the SDK sees it: what is dropped is the newest.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self.counts = Counts(BatchSpanProcessor._default_max_queue_size())  # type: ignore[no-untyped-call]
        super().__init__(_CountedExporter(exporter, self.counts))

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that ended, where there is room."""
        if span.context and span.context.trace_flags.sampled and self.counts.take():
            super().on_end(span)
