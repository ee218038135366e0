"""The handler: each run is a span, whose parent is the span of the run around it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

from chain_callbacks import RunEnd, RunStart, RunStateHandler

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from .sdk import Telemetry
    from .settings import OtelSettings
    from .tracing import Spanned, Tracing


class OtelHandler(RunStateHandler["Spanned"]):
    """Tells OpenTelemetry of runs: a span for each, and the metrics of the GenAI conventions.

    The parent of a span is that of the run around, found by its id; of a root it is the span that
    is current where the run starts. In a run its span is the current one, for spans of the
    program's own, in threads and tasks too. Where the program has set up an SDK before the first
    run, that is used; else one is set up as the standard ``OTEL_*`` variables say.

    It is told inline, so that times are right; the SDK exports from a thread of its own.
    """

    settings_model = "chain_callbacks_otel.settings:OtelSettings"
    sends_to = "OpenTelemetry, as OTEL_* says"
    content = "none"

    _telemetry: Telemetry | None = None
    _tracing: Tracing | None = None

    def __init__(self, settings: OtelSettings | None = None) -> None:
        # Here and not at the first event, which would hold up an event loop by the time it takes.
        self._sdk, self._current, self._tracings = (
            import_module(f".{name}", __package__) for name in ("sdk", "current", "tracing")
        )
        self._sdk.prepare()
        self._conventions = ("genai",) if settings is None else settings.conventions

    def start_run(self, run: RunStart, parent: Spanned | None) -> Spanned:
        return self._begun().start(run, parent)

    def end_run(self, state: Spanned, run: RunEnd) -> None:
        self._begun().end(state, run)

    def lose_run(self, state: Spanned) -> None:
        self._begun().lose(state)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        spanned = self.state_of(run_id)
        if spanned is not None:
            self._begun().hear_token(spanned)

    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        number = getattr(retry_state, "attempt_number", None)
        self._note(run_id, "retry", {"attempt": number} if isinstance(number, int) else {})

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._note(run_id, name, {})

    def _note(self, run_id: UUID, name: str, attributes: dict[str, Any]) -> None:
        spanned = self.state_of(run_id)
        if spanned is not None:
            self._begun().note(spanned, name, attributes)

    def context_of(self, run_id: UUID) -> Context | None:
        """Return OpenTelemetry's context of a run, with its span; None where it has none here."""
        if self._tracing is None:
            return None
        return self._tracing.context_of(run_id, self.state_of(run_id))

    @property
    def dropped(self) -> int:  # type: ignore[override]
        """How many spans found no room in the SDK's queue, or were not taken by a collector.

        Of an SDK that the program has set up, only that itself knows.
        """
        return 0 if self._telemetry is None else self._telemetry.dropped

    def flush(self, timeout: float) -> int:
        """Have spans and metrics exported within *timeout* seconds; return how many spans wait."""
        if self._telemetry is None or self._telemetry.flush(timeout):
            return 0
        return max(1, self._telemetry.waiting)

    def close(self) -> None:
        """Let the spans of this handler be current no more; the SDK goes on."""
        super().close()
        if self._tracing is not None:
            self._current.forget(self)

    def after_fork(self) -> None:
        """Forget, in a child process, the runs of its parent; the SDK forgets its queue."""
        super().after_fork()
        if self._tracing is not None:
            self._tracing.after_fork()
            self._current.after_fork()
            self._sdk.after_fork()

    def _begun(self) -> Tracing:
        tracing = self._tracing
        if tracing is None:
            # With the first run: by then the program has set up what it wants to.
            self._telemetry = self._sdk.telemetry()
            made = self._tracings.Tracing(
                self._telemetry, has_openinference="openinference" in self._conventions
            )
            # Where two threads start a first run at the same time, both use the same one.
            tracing = vars(self).setdefault("_tracing", made)
            self._current.look_through(self)
        return tracing
