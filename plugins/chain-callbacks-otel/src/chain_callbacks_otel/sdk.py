"""Where spans and metrics go: to the application's SDK, else to one that ``OTEL_*`` describes."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk import _configuration as standard
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.environment_variables import (
    OTEL_CONFIG_FILE,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_SDK_DISABLED,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from .batches import CountedBatches

log = logging.getLogger("chain_callbacks")

_GRPC: Final = "otlp_proto_grpc"
_HTTP: Final = "otlp_proto_http"


class Telemetry:
    """The providers that are used, and what is known of their queues.

    *batches* has the queues of an SDK that was set up here; an application's are its own.
    """

    def __init__(self, batches: tuple[CountedBatches, ...] = ()) -> None:
        self.tracers = trace.get_tracer_provider()
        self.meters = metrics.get_meter_provider()
        self.loggers = _logs.get_logger_provider()
        self.batches = batches
        self._flush: _Flush | None = None

    @property
    def waiting(self) -> int:
        """How many spans are not exported yet, of those that are known of."""
        return sum(each.counts.waiting for each in self.batches)

    @property
    def dropped(self) -> int:
        """How many spans found no room, or could not be sent, of those that are known of."""
        return sum(each.counts.dropped for each in self.batches)

    def flush(self, timeout: float) -> bool:
        """Export what waits; return whether that was done in *timeout* seconds.

        The SDK takes no heed of a timeout, and a collector that is dead holds it for ten seconds
        and more: it is waited for from outside.
        """
        deadline = time.monotonic() + timeout
        while True:
            pending, is_new = self._flush, False
            if pending is None or pending.is_over():
                pending, is_new = _Flush([self.tracers, self.meters, self.loggers]), True
                self._flush = pending
            if not pending.wait(deadline - time.monotonic()):
                return False
            if is_new:
                return True  # An older one may have begun before what is to be sent was there.


class _Flush:
    """One flush of several providers at a time, each in a thread of its own."""

    def __init__(self, providers: list[Any]) -> None:
        calls = [each.force_flush for each in providers if hasattr(each, "force_flush")]
        self._threads = [threading.Thread(target=_tolerant(call), daemon=True) for call in calls]
        for thread, call in zip(tuple(self._threads), calls, strict=True):
            try:
                thread.start()
            except RuntimeError:  # The interpreter is ending: who waits is a thread by then.
                self._threads.remove(thread)
                _tolerant(call)()

    def is_over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self.is_over()


def _tolerant(call: Callable[[], Any]) -> Callable[[], None]:
    def flush() -> None:
        try:
            call()
        except Exception as error:
            log.warning("A flush of OpenTelemetry's failed: %s.", type(error).__name__)

    return flush


_lock = threading.RLock()
_found: list[Telemetry] = []


def telemetry() -> Telemetry:
    """Return the application's SDK where it has set one up; else set one up, once a process."""
    if _found:
        return _found[0]
    # What is imported for it is imported here: an import under a lock of ours could wait for ever.
    plan = None if _is_set_up() else _plan_or_none()
    with _lock:
        if not _found:
            _found.append(Telemetry() if plan is None or _is_set_up() else _set_up(plan))
        return _found[0]


def after_fork() -> None:
    """Have a lock of the child's own: its parent's may be held by a thread that is not here."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


def _is_set_up() -> bool:
    if os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        return True  # Nothing is to be set up: what the API has does nothing.
    return not (
        isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        # The proxies of the other two have no public name.
        and type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"
    )


class _Plan(NamedTuple):
    """What ``OTEL_*`` asks for."""

    spans: Mapping[str, Any]
    readers: Mapping[str, Any]
    logs: Mapping[str, Any]
    sampler: Any
    id_generator: Any


def prepare() -> None:
    """Import what setting an SDK up will need, and set nothing up."""
    if not (_found or os.environ.get(OTEL_CONFIG_FILE) or _is_set_up()):
        with contextlib.suppress(Exception):  # It is said where it is needed.
            plan = _plan()
            if _HTTP in {*plan.spans, *plan.readers, *plan.logs}:
                # Imported by the exporters when they are made, and half of all the time it takes.
                import_module("requests")


def _plan_or_none() -> _Plan | None:
    try:
        if os.environ.get(OTEL_CONFIG_FILE):
            standard._OTelSDKConfigurator().configure()  # type: ignore[no-untyped-call]
            return None  # From here on it is as if the application had done it.
        return _plan()
    except Exception as error:
        log.warning(
            "The otel handler exports nothing: what OTEL_* asks for could not be set up: %s. The "
            "runs are not affected. Install the exporter, or change the variable.",
            error,
        )
        return None


def _plan() -> _Plan:
    exporters = standard._import_exporters(
        _exporters("traces"), _exporters("metrics"), _exporters("logs", otherwise=None)
    )
    return _Plan(
        *exporters,
        standard._import_sampler(standard._get_sampler()),
        standard._import_id_generator(standard._get_id_generator()),
    )


def _set_up(plan: _Plan) -> Telemetry:
    resource = Resource.create()
    batches = tuple(CountedBatches(exporter()) for exporter in plan.spans.values())
    # None of them registers an exit of its own, which waits for half a minute where a collector is
    # dead: the framework flushes all handlers within one budget, and nothing of theirs needs more.
    tracers = TracerProvider(
        sampler=plan.sampler,
        resource=resource,
        shutdown_on_exit=False,
        id_generator=plan.id_generator,
    )
    for batch in batches:
        tracers.add_span_processor(batch)
    readers = [_reader(each) for each in plan.readers.values()]
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider(readers, resource, shutdown_on_exit=False))
    if plan.logs:
        loggers = LoggerProvider(resource, shutdown_on_exit=False)
        for exporter in plan.logs.values():
            loggers.add_log_record_processor(BatchLogRecordProcessor(exporter()))
        _logs.set_logger_provider(loggers)
    return Telemetry(batches)


def _reader(made_of: type[Any]) -> MetricReader:
    made = made_of()
    return made if isinstance(made, MetricReader) else PeriodicExportingMetricReader(made)


def _exporters(signal: Any, otherwise: str | None = "otlp") -> list[str]:
    """Return the names of the exporters of a signal: what the variable says, else OTLP.

    The specification's protocol, where none is set, is HTTP; the SDK still takes gRPC then.
    """
    if os.environ.get(standard._EXPORTER_ENV_BY_SIGNAL_TYPE[signal], "").strip():
        names: list[str] = standard._get_exporter_names(signal)
    else:
        names = [standard._get_exporter_entry_point(otherwise, signal)] if otherwise else []
    protocols = (standard._PROTOCOL_ENV_BY_SIGNAL_TYPE[signal], OTEL_EXPORTER_OTLP_PROTOCOL)
    if any(os.environ.get(variable, "").strip() for variable in protocols):
        return names
    return [_HTTP if name == _GRPC else name for name in names]
