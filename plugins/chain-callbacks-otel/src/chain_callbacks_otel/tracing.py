"""The spans of runs: where each begins in the tree, and how it ends."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from opentelemetry import context as api
from opentelemetry.trace import NonRecordingSpan, get_tracer, set_span_in_context
from opentelemetry.util.genai.environment_variables import (
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT,
)
from opentelemetry.util.genai.handler import TelemetryHandler
from opentelemetry.util.genai.invocation import (
    CLIENT_EMBEDDING_CONTEXT_KEY,
    CLIENT_INFERENCE_CONTEXT_KEY,
    CLIENT_RETRIEVAL_CONTEXT_KEY,
    InferenceInvocation,
)
from opentelemetry.util.genai.types import ContentCapturingMode
from opentelemetry.util.genai.utils import fq_exception_type

from chain_callbacks import RunEnd, RunStart

from . import openinference
from .bounds import Bounds
from .current import attached_context, is_inside, marked
from .names import ERROR_TYPE, RESPONSE_MODEL, RUN_ID, RUN_STATUS, RUN_TYPE, SCOPE, TAGS
from .operations import Call, begin, describe, dimensions, kind_of
from .sdk import Telemetry

if TYPE_CHECKING:
    from opentelemetry.context import Context

_CLAIMS: Final = frozenset(
    (CLIENT_INFERENCE_CONTEXT_KEY, CLIENT_RETRIEVAL_CONTEXT_KEY, CLIENT_EMBEDDING_CONTEXT_KEY)
)
"""By these the library keeps a second instrumentation from reporting a call; not our runs."""

_ON_SPANS: Final = (ContentCapturingMode.SPAN_ONLY, ContentCapturingMode.SPAN_AND_EVENT)
_MOST_ENDED: Final = 1_000


class Spanned(NamedTuple):
    """What is kept of a run: its span, and the context of what runs in it."""

    run_id: UUID
    kind: str
    call: Call
    context: Context


class _Library(TelemetryHandler):
    """The library, with content on spans where its variable does not say otherwise.

    How much of it there is, our own levels say: what a handler is not shown is not in its events.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        providers = (telemetry.tracers, telemetry.meters, telemetry.loggers)
        super().__init__(*providers, instrumentation_scope_name=SCOPE)
        if not os.environ.get(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT, "").strip():
            self._content_capturing_mode = ContentCapturingMode.SPAN_ONLY
        self.has_content_on_spans = self._content_capturing_mode in _ON_SPANS


class Tracing:
    """Makes spans of runs with the providers of *telemetry*."""

    def __init__(self, telemetry: Telemetry, *, has_openinference: bool) -> None:
        self._library = _Library(telemetry)
        self._tracer = get_tracer(SCOPE, tracer_provider=telemetry.tracers)
        self._has_openinference = has_openinference
        self._bounds = Bounds()
        self._ended = Ended()

    def start(self, run: RunStart, parent: Spanned | None) -> Spanned:
        """Start the span of a run, under that of its *parent*."""
        kind = kind_of(run, None if parent is None else parent.kind)
        call = begin(self._library, self._tracer, kind, run, self._around(run, parent))
        call.attributes |= {RUN_ID: str(run.run_id), RUN_TYPE: run.run_type}
        if run.tags:
            call.attributes[TAGS] = [str(tag) for tag in run.tags]
        if self._has_openinference:
            call.attributes |= openinference.at_start(
                kind, run, has_content=self._library.has_content_on_spans
            )
        call.metric_attributes |= self._bounds.beyond(dimensions(call))
        return Spanned(run.run_id, kind, call, marked(call.context, run.run_id))

    def end(self, spanned: Spanned, run: RunEnd) -> None:
        """End the span of a run, with what came of it."""
        call = spanned.call
        describe(call, run)
        call.attributes[RUN_STATUS] = run.status
        if self._has_openinference:
            call.attributes |= openinference.at_end(
                spanned.kind, run, has_content=self._library.has_content_on_spans
            )
        if isinstance(call, InferenceInvocation):
            answered = (RESPONSE_MODEL, call.response_model_name)
            call.metric_attributes |= self._bounds.beyond([answered])
        error = run.payload.get("error")
        if run.status == "cancelled" and isinstance(error, BaseException):
            # It is said, and kept apart in the metrics, but is no failure: the API's own spans
            # leave the status unset where something else than an `Exception` passes, too.
            kind = fq_exception_type(error)
            call.attributes[ERROR_TYPE] = call.metric_attributes[ERROR_TYPE] = kind
        if run.status == "error" and isinstance(error, BaseException):
            call.fail(error)
        else:
            call.stop()
        self._ended.add(spanned)

    def lose(self, spanned: Spanned) -> None:
        """End the span of a run whose end was not told in time."""
        spanned.call.attributes[RUN_STATUS] = "lost"
        spanned.call.stop()
        self._ended.add(spanned)

    def hear_token(self, spanned: Spanned) -> None:
        """Take the time of a token."""
        if isinstance(spanned.call, InferenceInvocation):
            spanned.call.record_stream_chunk()

    def note(self, spanned: Spanned, name: str, attributes: dict[str, Any]) -> None:
        """Put an event on the span of a run."""
        spanned.call.span.add_event(name, attributes)

    def after_fork(self) -> None:
        """Have locks of the child's own."""
        self._bounds, self._ended = Bounds(), Ended()

    def context_of(self, run_id: UUID, spanned: Spanned | None) -> Context | None:
        """Return the context of what runs in a run, also where that has ended not long ago."""
        return self._ended.get(run_id) or (None if spanned is None else spanned.context)

    def _around(self, run: RunStart, parent: Spanned | None) -> Context:
        """Return the context that a run begins in.

        Of a root it is the application's. Of another one it is its parent's, by the run's id; or
        what the program opened inside of that very run, where the calling code is in that.
        """
        attached = attached_context()
        above = parent and self.context_of(parent.run_id, parent)
        if above is None and run.parent_run_id is not None:
            above = self._ended.get(run.parent_run_id)
        if above is None:
            return attached
        return unclaimed(attached if is_inside(attached, above) else above)


class Ended:
    """The contexts of the last runs that ended: a task may outlive the run that it was begun in.

    They hold the ids of spans, not the spans, which may have content.
    """

    def __init__(self) -> None:
        self._contexts: OrderedDict[UUID, Context] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, spanned: Spanned) -> None:
        """Remember a run that ended."""
        span = NonRecordingSpan(spanned.call.span.get_span_context())
        context = set_span_in_context(span, unclaimed(spanned.context))
        with self._lock:
            self._contexts[spanned.run_id] = context
            if len(self._contexts) > _MOST_ENDED:
                self._contexts.popitem(last=False)

    def get(self, run_id: UUID) -> Context | None:
        """Return the context of a run; None where it goes on, or ended long ago."""
        return self._contexts.get(run_id)


def unclaimed(context: Context) -> Context:
    """Return *context* as one in which a call is reported, whichever call is going on around it."""
    if _CLAIMS.isdisjoint(context):
        return context
    for claim in _CLAIMS:
        if context.get(claim) is not None:
            context = api.set_value(claim, None, context)
    return context
