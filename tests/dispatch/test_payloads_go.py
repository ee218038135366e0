"""A run outlives its payloads: once the handlers have an event, nothing of it is kept.

A context that is held, of a task or of a connection, holds the run that it was made in.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager, flush, policy
from chain_callbacks.hosts import run_at

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _young() -> Iterator[None]:
    """Have the collector look at what the test makes, and at nothing older."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Payload:
    """What a run is given, and gives."""


class LostError(Exception):
    """Leaves a run."""


class Plain(BaseCallbackHandler):
    def on_event(self, record: Any) -> None: ...


class Awaited(BaseCallbackHandler):
    async def on_event(self, record: Any) -> None:
        await asyncio.sleep(0)


class Unmarked(BaseCallbackHandler):
    """Returns what is to be awaited, and does not say so."""

    def on_event(self, record: Any) -> Any:
        return asyncio.sleep(0, record)


class Raising(BaseCallbackHandler):
    """Stops what it does not like."""

    def on_event(self, record: Any) -> None:
        raise PermissionError


HANDLERS = (Plain, Awaited, Unmarked)
LEVELS = [(d, c) for d in ("inline", "queued") for c in ("none", "redacted", "full")]


def is_gone(thing: weakref.ref[Any]) -> bool:
    assert flush(PATIENCE).is_complete
    gc.collect()
    held = thing()
    if held is None:
        return True
    # A worker that has just delivered the last event holds it until its next step.
    gone = threading.Event()
    weakref.finalize(held, gone.set)
    del held
    return gone.wait(PATIENCE)


def started(manager: CallbackManager) -> tuple[Any, weakref.ref[Any]]:
    payload = Payload()
    run = manager.on_chain_start({"name": "step"}, {"inputs": [payload]})
    return run, weakref.ref(payload)


def failed(run: Any) -> weakref.ref[Any]:
    error = LostError("lost")
    run.on_chain_error(error)
    return weakref.ref(error)


async def astarted(manager: CallbackManager) -> tuple[Any, weakref.ref[Any]]:
    payload = Payload()
    run = await manager.aon_chain_start({"name": "step"}, {"inputs": [payload]})
    return run, weakref.ref(payload)


async def afailed(run: Any) -> weakref.ref[Any]:
    error = LostError("lost")
    await run.aon_chain_error(error)
    return weakref.ref(error)


@pytest.mark.parametrize(("delivery", "content"), LEVELS)
@pytest.mark.parametrize("kind", HANDLERS)
def test_run_keeps_nothing_of_an_event_that_was_told(
    kind: type[Any], delivery: Any, content: Any
) -> None:
    """Neither at its start, while it goes on, nor of the error that it ends with."""
    second = policy(Plain(), content="redacted")
    manager = CallbackManager([policy(kind(), delivery=delivery, content=content), second])

    run, payload = started(manager)
    assert is_gone(payload)
    error = failed(run)

    assert is_gone(error)
    assert run.views is None
    assert "error" == run.status


@pytest.mark.parametrize(("delivery", "content"), LEVELS)
@pytest.mark.parametrize("kind", HANDLERS)
def test_run_keeps_nothing_of_an_event_that_was_told_asynchronously(
    kind: type[Any], delivery: Any, content: Any
) -> None:
    """The same, where the last handler is awaited or where one before it is."""
    handler = policy(kind(), delivery=delivery, content=content)
    second = policy(Plain(), content="redacted")

    async def main(*handlers: Any) -> None:
        run, payload = await astarted(CallbackManager(handlers))
        assert is_gone(payload)
        error = await afailed(run)
        assert is_gone(error)
        assert run.views is None

    asyncio.run(main(handler, second))
    asyncio.run(main(second, handler))


@pytest.mark.parametrize("content", ["none", "redacted", "full"])
def test_run_that_a_handler_refuses_keeps_nothing(content: Any) -> None:
    """What the handlers after it were shown goes, too."""
    refusing = policy(Raising(), on_error="raise", content=content)
    manager = CallbackManager([refusing, policy(Plain(), content=content)])
    payload = Payload()
    run = manager.run("chain", "step", {"inputs": [payload]})

    with pytest.raises(PermissionError):
        run.__enter__()

    gone = weakref.ref(payload)
    del payload
    assert is_gone(gone)
    assert run.views is None


def test_view_is_made_once_for_all_handlers_of_a_level() -> None:
    """It is kept as long as one of them is to come."""
    shown: list[Any] = []

    class Keeping(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **_: Any) -> None:
            shown.append(inputs)

    manager = CallbackManager([policy(Keeping(), content="redacted") for _ in range(3)])

    manager.on_chain_start({"name": "step"}, {"inputs": ["text"]}).on_chain_end(None)

    assert 3 == len(shown)
    assert 1 == len({id(each) for each in shown})


def test_run_that_a_host_tells_of_later_keeps_nothing() -> None:
    """Its payload is dropped when it starts, as any run's is."""
    manager = CallbackManager([Plain()])
    run = run_at(manager, "chain", "past", times=(0, 1))
    run.payload = (Payload(),)
    payload = weakref.ref(run.payload[0])

    run.start(({"inputs": 1},))
    run.end(None)

    assert is_gone(payload)
