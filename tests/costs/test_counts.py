"""What one call costs, counted and not timed: the same on every machine, however busy.

A number here is a limit at what there is. Whoever makes something cheaper lowers it, so that it
stays so; whoever raises one says in the commit what it buys.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextvars import copy_context
from typing import Any, Final, NamedTuple

import pytest

from benchmarks import counting
from chain_callbacks import CallbackManager
from chain_callbacks.context import current
from chain_callbacks.dispatch.identity import uuid7
from chain_callbacks.resolution.resolver import _MOST_MERGES
from chain_callbacks.runnables import AIMessageChunk, BaseChatModel, RunnableLambda, base


class Costs(NamedTuple):
    """The most that one call may do on Python 3.11, the user's function and handlers included."""

    python: int
    """Functions called that are written in Python."""
    c: int
    """Functions called that are written in C."""
    instructions: int
    """Instructions of bytecode."""
    ids: int
    """Ids made."""
    sets: int
    """Values put into a context variable."""
    reads: int
    """Variables of the environment looked up."""


LIMITS: Final = {
    #                                    python   c  instr. ids sets reads
    "no handler": Costs(                      6,   2,   105,  0,  0,  0),
    "no handler, nested": Costs(              5,   5,    99,  0,  0,  0),
    "1 handler": Costs(                      21,  23,   692,  1,  3,  0),
    "1 handler, nested": Costs(              19,  17,   583,  1,  3,  0),
    "3 handlers": Costs(                     33,  34, 1_036,  1,  3,  0),
    "a handler of errors alone": Costs(      12,  15,   397,  0,  1,  0),
    "a fresh handler": Costs(                91,  84, 2_266,  1,  3,  0),
    "no handler, async": Costs(              14,   6,   256,  0,  0,  0),
    "1 handler, async": Costs(               32,  31,   909,  1,  3,  0),
    "start and end on a manager": Costs(     22,  19,   630,  1,  2,  0),
    "10 tokens, no handler": Costs(          94,  29, 1_879,  1,  0,  0),
    "10 tokens, 1 handler": Costs(          188, 125, 4_210,  1, 21,  0),
}  # fmt: skip

BYTES_OF_A_LIVE_RUN: Final = 512
BLOCKS_OF_A_LIVE_RUN: Final = 8
BLOCKS_KEPT_OF_A_RUN: Final = 16
BLOCKS_WHERE_NOBODY_HEARS: Final = 6
# The resolver remembers so many lists of handlers, and keeps them.
BYTES_LEFT: Final = {"a fresh handler": _MOST_MERGES * 4_096}
BYTES_FOR_A_LARGE_INPUT: Final = 8_192


class Silent:
    def on_chain_start(self, serialized, inputs, **kwargs): ...
    def on_chain_end(self, outputs, **kwargs): ...
    def on_chain_error(self, error, **kwargs): ...
    def on_llm_new_token(self, token, **kwargs): ...


class Errors:
    def on_chain_error(self, error, **kwargs): ...


def step(value):
    return value


async def astep(value):
    return value


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine gives that waits for nothing; no loop's own work is counted."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for something")


def invoking(*handlers: object) -> Callable[[], object]:
    chain, config = RunnableLambda(step), {"callbacks": [*handlers]}
    return (lambda: chain.invoke(1, config)) if handlers else (lambda: chain.invoke(1))


def ainvoking(*handlers: object) -> Callable[[], object]:
    chain, config = RunnableLambda(astep), {"callbacks": [*handlers]}
    return lambda: finished(chain.ainvoke(1, config if handlers else None))


def fresh() -> Callable[[], object]:
    chain = RunnableLambda(step)
    return lambda: chain.invoke(1, {"callbacks": [Silent()]})


def nested(*handlers: object) -> Callable[[], object]:
    """Return a call of a step inside a run; the run around it is not counted."""
    manager = CallbackManager(handlers)
    chain = RunnableLambda(step)
    context = copy_context()
    context.run(current.set, manager.run("chain", "around", 1) if handlers else manager)
    return lambda: context.run(chain.invoke, 1)


def starting() -> Callable[[], object]:
    manager = CallbackManager([Silent()])
    serialized = {"name": "step", "id": ["step"]}
    return lambda: manager.on_chain_start(serialized, 1).on_chain_end(1)


class Tokens(BaseChatModel):
    def _stream(self, messages, *, count, **kwargs: Any) -> Iterator[AIMessageChunk]:
        for _ in range(count):
            yield AIMessageChunk("t")


def streaming(count: int, *handlers: object) -> Callable[[], object]:
    model, config = Tokens(), {"callbacks": [*handlers]}
    return lambda: list(model.stream("question", config if handlers else None, count=count))


WAYS: Final[dict[str, Callable[[], Callable[[], object]]]] = {
    "no handler": invoking,
    "no handler, nested": nested,
    "1 handler": lambda: invoking(Silent()),
    "1 handler, nested": lambda: nested(Silent()),
    "3 handlers": lambda: invoking(Silent(), Silent(), Silent()),
    "a handler of errors alone": lambda: invoking(Errors()),
    "a fresh handler": fresh,
    "no handler, async": ainvoking,
    "1 handler, async": lambda: ainvoking(Silent()),
    "start and end on a manager": starting,
    "10 tokens, no handler": lambda: streaming(10),
    "10 tokens, 1 handler": lambda: streaming(10, Silent()),
}


class Counted(NamedTuple):
    costs: Costs
    python: Counter[str]
    c: Counter[str]
    reads: Counter[object]


def counted(call: Callable[[], object]) -> Counted:
    call()
    python, in_c = counting.names_of(call)
    with counting.environment_reads() as reads:
        call()
    ids = [count for name, count in (python + in_c).items() if re.search(r"\buuid\d", name)]
    costs = Costs(
        python=python.total(),
        c=in_c.total(),
        # What a test before this one left to the collector may be swept meanwhile.
        instructions=min(counting.instructions_of(call) for _ in range(5)),
        ids=sum(ids),
        sets=in_c["ContextVar.set"],
        reads=reads.total(),
    )
    return Counted(costs, python, in_c, reads)


@pytest.mark.parametrize("way", WAYS)
def test_a_call_does_no_more_than_it_did(way):
    """Nobody adds a call, a copy, a lookup, an id or a look at the environment unawares."""
    found = counted(WAYS[way]())
    over = over_the_limit(way, found.costs)

    told = "\n".join(
        f"{count:4} {name}"
        for names in (found.python, found.c, found.reads)
        for name, count in names.most_common()
    )
    assert not over, f"{way}, from and to: {over}. What was called and read:\n{told}"


def over_the_limit(way: str, costs: Costs) -> dict[str, tuple[int, int]]:
    # What the standard library calls in turn, and what is compiled to what, is a version's own.
    is_comparable = sys.version_info[:2] == (3, 11)
    compared = Costs._fields if is_comparable else ("ids", "sets", "reads")
    both = {name: (getattr(LIMITS[way], name), getattr(costs, name)) for name in compared}
    return {name: (limit, found) for name, (limit, found) in both.items() if found > limit}


ADDED: Final[dict[str, tuple[str, Callable[[], object]]]] = {
    "a copy": ("instructions", lambda: [*range(3)]),
    "a call of Python's": ("python", lambda: step(1)),
    "a call of C's": ("c", lambda: len("")),
    "an id": ("ids", uuid7),
    "a look at the environment": ("reads", lambda: os.environ.get("CHAIN_CALLBACKS")),
    "a value in the context": ("sets", lambda: current.set(current.get())),
}


@pytest.mark.parametrize("what", ADDED)
def test_what_is_added_to_the_way_of_a_call_is_found(monkeypatch, what):
    """One of each, put into what every call passes, and the test above fails."""
    name, added = ADDED[what]
    if name in ("python", "c", "instructions") and sys.version_info[:2] != (3, 11):
        pytest.skip(f"{name} is compared on Python 3.11")
    passed = base.enter

    def enter(*arguments: Any) -> Any:
        added()
        return passed(*arguments)

    monkeypatch.setattr(base, "enter", enter)

    assert name in over_the_limit("no handler", counted(WAYS["no handler"]()).costs)


def test_a_run_that_nobody_hears_makes_little():
    """Without a handler a few blocks are held while the function works: no run is made."""
    # It holds numbers, and no objects that would be counted.
    marks = array("q", [0, 0])

    def note(_value):
        marks[1] = sys.getallocatedblocks()

    chain = RunnableLambda(note)
    with counting.collector_off():
        for _ in range(20):
            marks[0] = sys.getallocatedblocks()
            chain.invoke(1)

    assert marks[1] - marks[0] <= BLOCKS_WHERE_NOBODY_HEARS


def test_a_live_run_is_small():
    """A run that has started and not ended takes few bytes, its id and its place included.

    That of a step that runs late does, too: runs share one layout, whatever the first ones needed.
    A process of its own counts, for the layout depends on what runs came first.
    """
    done = subprocess.run(
        [sys.executable, "-c", LIVE_RUNS], check=True, capture_output=True, text=True
    )

    blocks, size = map(float, done.stdout.split())
    assert round(blocks) <= BLOCKS_OF_A_LIVE_RUN
    assert size <= BYTES_OF_A_LIVE_RUN


LIVE_RUNS: Final = """
from contextvars import copy_context
from benchmarks import counting
from chain_callbacks import CallbackManager

class Silent:
    def on_chain_start(self, serialized, inputs, **kwargs): ...
    def on_chain_end(self, outputs, **kwargs): ...

manager = CallbackManager([Silent()])
for _ in range(100):
    manager.on_chain_start({"name": "step"}, 1).on_chain_end(1)
manager.on_chain_start({"name": "step"}, 1).on_chain_error(ValueError())

def live():
    run = manager.run("chain", "step", 1)
    run.start(*run.payload)
    run.enter()
    return run

print(*(copy_context().run(each, live) for each in (counting.blocks_of, counting.bytes_of)))
"""


def test_a_handler_that_keeps_what_it_is_told_keeps_little():
    """A start and an end bring one fresh list each, one fresh dict, and `serialized`."""
    kept: list[object] = []

    class Keeping:
        def on_chain_start(self, serialized, inputs, **kwargs):
            kept.append((serialized, inputs, kwargs))

        def on_chain_end(self, outputs, **kwargs):
            kept.append((outputs, kwargs))

    chain = RunnableLambda(step)
    config = {"callbacks": [Keeping()]}

    assert round(counting.blocks_of(lambda: chain.invoke(1, config))) <= BLOCKS_KEPT_OF_A_RUN


@pytest.mark.parametrize("way", WAYS)
def test_runs_leave_nothing_behind(way):
    """After a thousand calls no more memory is held than after a few."""
    assert counting.growth_of(WAYS[way](), count=1_000) < BYTES_LEFT.get(way, 4_096)


@pytest.mark.parametrize("handlers", [0, 1, 3])
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("x" * 10_000_000, id="text"),
        pytest.param([0] * 1_000_000, id="list"),
        pytest.param(dict.fromkeys(range(100_000)), id="dict"),
    ],
)
def test_a_large_input_that_nobody_reads_is_not_copied(payload, handlers):
    """A payload is a reference: ten megabytes cost what one character does."""
    chain = RunnableLambda(step)
    config = {"callbacks": [Silent() for _ in range(handlers)]}

    assert counting.peak_of(lambda: chain.invoke(payload, config)) <= BYTES_FOR_A_LARGE_INPUT
