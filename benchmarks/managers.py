"""Starting and ending a run on a manager by hand, as a host of its own does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pluggy
from langchain_core.callbacks import CallbackManager as PeerManager
from opentelemetry.sdk.trace import TracerProvider

from chain_callbacks import CallbackManager

from .ears import Ears
from .harness import FLOOR, OURS, PEER, Case, Goal, Sample, Side
from .samples import RUN_ID, repeated

_SERIALIZED = {"name": "step", "id": ["benchmarks", "step"]}

hookspec = pluggy.HookspecMarker("benchmarks")
hookimpl = pluggy.HookimplMarker("benchmarks")


class _Specs:
    @hookspec
    def on_start(
        self,
        serialized: Any,
        inputs: Any,
        run_id: Any,
        parent_run_id: Any,
        tags: Any,
        metadata: Any,
        name: Any,
        run_type: Any,
    ) -> None: ...
    @hookspec
    def on_end(self, outputs: Any, run_id: Any, parent_run_id: Any, tags: Any) -> None: ...


class _Plugin:
    def __init__(self, handler: Any) -> None:
        self._start, self._end = handler.on_chain_start, handler.on_chain_end
        self._handler = handler

    @hookimpl
    def on_start(
        self,
        serialized: Any,
        inputs: Any,
        run_id: Any,
        parent_run_id: Any,
        tags: Any,
        metadata: Any,
        name: Any,
        run_type: Any,
    ) -> None:
        self._handler.on_chain_start(
            serialized,
            inputs,
            run_id=run_id,
            parent_run_id=parent_run_id,
            tags=tags,
            metadata=metadata,
            name=name,
            run_type=run_type,
        )

    @hookimpl
    def on_end(self, outputs: Any, run_id: Any, parent_run_id: Any, tags: Any) -> None:
        self._handler.on_chain_end(outputs, run_id=run_id, parent_run_id=parent_run_id, tags=tags)


def cases() -> Iterator[Case]:
    """Give both cases: with the id made beforehand, and with its making."""
    for name, run_id, goals in (
        ("start and end on the manager, the id given", RUN_ID, (Goal("ahead", 4, PEER),)),
        ("start and end on the manager, the id made", None, ()),
    ):
        yield Case(
            name,
            "1 sync handler told of both; a span with a processor that does nothing makes its id "
            "itself, a hook has none and its plugin does nothing",
            {
                OURS: Side(partial(_manager, CallbackManager, run_id)),
                PEER: Side(partial(_manager, PeerManager, run_id)),
                "opentelemetry span": Side(_span),
                "pluggy, two hook calls": Side(_hooks),
                FLOOR: Side(_floor),
            },
            goals,
        )


def _manager(kind: Any, run_id: UUID | None, ears: Ears) -> Sample:
    manager = kind(ears.handlers())

    def call() -> None:
        run = manager.on_chain_start(_SERIALIZED, "question", run_id=run_id)
        run.on_chain_end("answer")

    return repeated(call)


def _span(ears: Ears) -> Sample:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(ears.processor())
    tracer = provider.get_tracer("benchmarks")

    def call() -> None:
        span = tracer.start_span("step", attributes={"input": "question"})
        span.set_attribute("output", "answer")
        span.end()

    return repeated(call)


def _hooks(ears: Ears) -> Sample:
    manager = pluggy.PluginManager("benchmarks")
    manager.add_hookspecs(_Specs)
    manager.register(_Plugin(ears.handler()))
    hook = manager.hook

    def call() -> None:
        hook.on_start(
            serialized=_SERIALIZED,
            inputs="question",
            run_id=RUN_ID,
            parent_run_id=None,
            tags=[],
            metadata={},
            name="step",
            run_type="chain",
        )
        hook.on_end(outputs="answer", run_id=RUN_ID, parent_run_id=None, tags=[])

    return repeated(call)


def _floor(ears: Ears) -> Sample:
    handlers = ears.handlers()
    starts = [handler.on_chain_start for handler in handlers]
    ends = [handler.on_chain_end for handler in handlers]

    def call() -> None:
        for tell in starts:
            tell(
                _SERIALIZED,
                "question",
                run_id=RUN_ID,
                parent_run_id=None,
                tags=[],
                metadata={},
                name="step",
                run_type="chain",
            )
        for tell in ends:
            tell("answer", run_id=RUN_ID, parent_run_id=None, tags=[])

    return repeated(call)
