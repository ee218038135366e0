"""Delivery by queue, and what is shown of payloads: redacted views, lines of structlog."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

import chain_callbacks
from chain_callbacks import policy
from chain_callbacks.dispatch import privacy
from chain_callbacks.errors import InvalidPolicyError
from chain_callbacks.events import EVENTS
from chain_callbacks.handlers.structlog_handler import StructlogHandler
from chain_callbacks.redaction import Copier, DefaultRedactor
from chain_callbacks.runnables import RunnableLambda

from .ears import Silent
from .harness import OURS, PLAIN, Case, Counted, Goal, Sample, Side, Skipped
from .samples import plain, repeated, step

_NOWHERE: Final = Path(os.devnull)

_BATCH: Final = 2_000
"""Runs whose events are on a queue at once, at most: it holds 10,000."""

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
"""Characters of payloads."""


def cases() -> Iterator[Case | Counted | Skipped]:
    """Give the cases; those of a policy that is not there yet with the reason."""
    yield _redacted_view()
    names = (
        "queued delivery, the caller's cost",
        "queued delivery: microseconds to drain an event",
        "`structlog` at `content=redacted`, 4 kB",
    )
    try:
        policy(Silent(), delivery="queued", content="none")
    except InvalidPolicyError as error:
        for name in names:
            yield Skipped(name, str(error))
        return
    yield _caller(names[0])
    yield _drained(names[1])
    yield _line(names[2])


def _redacted_view() -> Case:
    # The cap is at `copies.TEXT` characters of a text and `copies.CHARACTERS` of all.
    def view(size: int, _ears: object) -> Sample:
        spec, redactor = EVENTS["on_chain_start"], DefaultRedactor()
        arguments = ({"name": "step", "id": ["step"]}, {"texts": ["word " * 200] * (size // 1000)})
        return repeated(
            lambda: privacy.view(spec, arguments, {}, "redacted", Copier(redactor)) and None
        )

    sides = {f"{size // 1000:,} kB": Side(partial(view, size), tells=False) for size in SIZES}
    return Case(
        "a redacted view, by size of the payload",
        "a view of a start whose inputs are texts of 1 kB; capped at 200 kB in all",
        sides,
        (Goal("within", 1.2, "1,000 kB", ours="10,000 kB"),),
        is_alike=False,
    )


def _caller(name: str) -> Case:
    chain = RunnableLambda(step)

    def queued(_ears: object) -> Sample:
        config = {"callbacks": [policy(Silent(), delivery="queued", content="none")]}

        def sample(count: int) -> object:
            result: object = None
            for done in range(1, count + 1):
                result = chain.invoke(1, config)
                if not done % _BATCH:
                    chain_callbacks.flush(60)  # The worker is behind one that does nothing else.
            return result

        return sample

    inline = {"callbacks": [Silent()]}
    return Case(
        name,
        "`invoke`: its start and its end are put on the queue, as facts alone, and every "
        f"{_BATCH:,} are waited for; what drains it runs on another thread, whose processor time "
        "is not the caller's: the clock is the thread's",
        {
            OURS: Side(queued, above=PLAIN),
            "an inline no-op handler": Side(
                lambda _ears: repeated(lambda: chain.invoke(1, inline)), above=PLAIN
            ),
            PLAIN: plain(),
        },
        (Goal("within", 2, "an inline no-op handler"),),
        processor=time.thread_time,
    )


def _drained(name: str) -> Counted:
    class Held(Silent):
        """Lets nothing be told before all is on the queue."""

        gate = threading.Event()

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            self.gate.wait()

    def drained() -> float:
        Held.gate.clear()
        for _ in range(_BATCH):
            chain.invoke(1, config)
        began = time.perf_counter()
        Held.gate.set()
        if not chain_callbacks.flush(60).is_complete:
            raise AssertionError("not all was told")
        return (time.perf_counter() - began) / (2 * _BATCH)

    chain = RunnableLambda(step)
    config = {"callbacks": [policy(Held(), delivery="queued", content="none")]}
    microseconds = statistics.median(drained() for _ in range(9)) * 1e6
    return Counted(
        name,
        f"{2 * _BATCH:,} events on the queue, and `flush`; at 10, 100,000 are drained a second",
        {OURS: microseconds},
        (Goal("takes", 10),),
    )


def _line(name: str) -> Case:
    payload = {"text": "word " * 800}
    chain = RunnableLambda(step)

    def ours(_ears: object) -> Sample:
        config = {"callbacks": [policy(StructlogHandler(), content="redacted")]}
        return _unseen(lambda: chain.invoke(payload, config))

    def alone(_ears: object) -> Sample:
        logger = structlog.wrap_logger(
            structlog.PrintLogger(_NOWHERE.open("w", encoding="utf-8")),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper("iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            context_class=dict,
        )
        ids = {"run_type": "chain", "run_name": "step", "run_id": "-" * 36, "root_run_id": "-" * 36}
        shown = str(payload)[:1000]

        def call() -> object:
            logger.debug("chain_start", **ids, inputs=shown)
            step(payload)
            logger.info("chain_end", **ids, duration_ms=0.1, outputs=shown)
            return payload

        return _unseen(call)

    return Case(
        name,
        "two JSON lines to the null device, of a start and an end with the payload cut to 1,000 "
        "characters; structlog itself is given the same fields",
        {
            OURS: Side(ours, above=PLAIN),
            "structlog itself": Side(alone, above=PLAIN),
            PLAIN: plain(),
        },
        (Goal("within", 1.5, "structlog itself"),),
        is_alike=False,
    )


def _unseen(call: Any) -> Sample:
    sample = repeated(call)

    def unseen(count: int) -> object:
        with (
            _NOWHERE.open("w", encoding="utf-8") as nowhere,
            contextlib.redirect_stderr(nowhere),
        ):
            return sample(count)

    return unseen
