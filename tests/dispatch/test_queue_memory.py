"""What a queue keeps at ``content=full``: bounded by ``queue_bytes``, whatever the payloads are."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from chain_callbacks import CallbackManager, policy, stats
from chain_callbacks.redaction.keeping import NODES
from chain_callbacks.runnables import Document, HumanMessage

from .conftest import Gate, Other, Queued, Told, chain, flushed

QUEUE_BYTES = 1_000_000
EVENTS = 16


class Plain:
    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class Slotted:
    __slots__ = ("parts",)

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


@dataclass
class Table:
    rows: list[Any]


class Model(BaseModel):
    rows: list[Any]


class Text(str):
    __slots__ = ()


Named = namedtuple("Named", "rows")  # noqa: PYI024


def rows(count: int) -> list[Any]:
    return [{"id": number, "name": f"n{number}", "tags": ["a", "b"]} for number in range(count)]


# Each makes 100 kB or more, of its own.
PAYLOADS: dict[str, Callable[[], Any]] = {
    "rows": lambda: rows(1_000),
    "rows in a dataclass": lambda: Table(rows(1_000)),
    "rows in a model": lambda: Model(rows=rows(1_000)),
    "rows in a tuple with names": lambda: Named(rows(1_000)),
    "rows in an object": lambda: Plain(rows(1_000)),
    "rows in an object with slots": lambda: Slotted(rows(1_000)),
    "objects with a text each": lambda: [Plain("x" * 1_000 + str(n)) for n in range(200)],
    "messages": lambda: [[HumanMessage("x" * 1_000 + str(n)) for n in range(200)]],
    "documents": lambda: [Document("x", metadata={"x": "y" * 1_000 + str(n)}) for n in range(200)],
    "one text": lambda: "x" * 199_999 + "y",
    "one text of a class of its own": lambda: Text("x" * 199_999 + "y"),
    "one text of another script": lambda: "\u6587" * 99_999 + "y",
    "bytes": lambda: bytes(200_000),
    "a bytearray": lambda: bytearray(200_000),
    "texts": lambda: [f"{n:0100}" for n in range(1_000)],
    "keys": lambda: {f"{n:0100}": n for n in range(1_000)},
    "numbers": lambda: [n + 0.5 for n in range(10_000)],
    "vectors": lambda: [[n + m + 0.5 for n in range(1_000)] for m in range(10)],
    "a set": lambda: {n + 0.5 for n in range(4_000)},
    "a frozen set": lambda: frozenset(n + 0.5 for n in range(4_000)),
    "a deque": lambda: deque([[n + 0.5] for n in range(1_000)]),
    "tuples": lambda: tuple((n + 0.5, str(n)) for n in range(1_000)),
    "a counter": lambda: Counter(str(n) for n in range(1_000)),
    "a defaultdict": lambda: defaultdict(list, {n: [n + 0.5] for n in range(1_000)}),
    "an ordered dict": lambda: OrderedDict((n, [n + 0.5]) for n in range(1_000)),
    "a mapping": lambda: UserDict({n: [n + 0.5] for n in range(1_000)}),
    "an error": lambda: ValueError(rows(1_000)),
    "a large number": lambda: 1 << 1_600_000,
}

TOO_LARGE: dict[str, Callable[[], Any]] = {
    "rows": lambda: rows(12_000),
    "rows in a model": lambda: Model(rows=rows(12_000)),
    "one text": lambda: "x" * QUEUE_BYTES,
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_queue_of_a_stuck_handler_keeps_no_more_than_its_bytes(gate: Gate, payload: str) -> None:
    """Fresh payloads of any kind are held up to the bound, and dropped beyond it."""
    kept = kept_of(PAYLOADS[payload], gate)

    assert 0.2 * QUEUE_BYTES < kept < 1.5 * QUEUE_BYTES
    assert stats()["Queued"].dropped > 0


@pytest.mark.parametrize("payload", TOO_LARGE)
def test_payload_larger_than_the_queue_is_not_kept(gate: Gate, payload: str) -> None:
    """Its events are told without it, whether it is copied, cut or shared."""
    assert kept_of(TOO_LARGE[payload], gate, 4) < 0.25 * QUEUE_BYTES
    assert stats()["Queued"].dropped == 0


def kept_of(make: Callable[[], Any], gate: Gate, events: int = EVENTS) -> int:
    """Return the bytes that events with fresh payloads leave behind."""
    manager = CallbackManager([policy(Queued(gate), content="full", queue_bytes=QUEUE_BYTES)])
    chain(manager, 0, make())
    gate.wait_for_visitor()

    tracemalloc.start()
    try:
        for number in range(events):
            chain(manager, number, make())
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def calls_of(action: Callable[[], Any]) -> int:
    """Return how many calls of functions, Python's or C's, *action* makes on this thread."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("content", ["full", "redacted"])
@pytest.mark.parametrize("wrap", [lambda each: each, Table, Plain, lambda each: {"rows": each}])
def test_giant_payload_costs_its_caller_no_more_than_a_large_one(
    gate: Gate, content: str, wrap: Callable[[Any], Any]
) -> None:
    """What is copied and measured on the caller's thread is bounded in values."""
    manager = CallbackManager([policy(Queued(gate), content=content)])
    chain(manager, 0)
    gate.wait_for_visitor()
    large, giant = wrap(rows(NODES)), wrap(rows(6 * NODES))

    costs = [calls_of(lambda: chain(manager, 0, each)) for each in (large, giant)]  # noqa: B023

    assert costs[1] < costs[0] + 200
    assert costs[0] < 20 * NODES


def test_what_is_cut_from_a_copy_at_full_is_said_in_it(gate: Gate) -> None:
    """A list and a dict end with how many items they had; what fits in is as it was."""
    handler = Queued()
    numbers = {str(number): [number] for number in range(2 * NODES)}
    chain(CallbackManager([handler]), 1, [numbers, rows(2 * NODES), rows(3)])
    flushed()

    _, (shown, cut, *others) = handler.heard[1]

    assert shown["…"] == f"[cut, {2 * NODES} items]"
    assert 0.8 * NODES < len(shown) <= NODES
    assert shown["7"] == [7]
    assert [cut, *others] == ["… [cut, 3 items]"]


def test_payload_within_the_bounds_is_whole_at_full() -> None:
    """A long text, a hundred vectors, a thousand messages and as many containers are not cut."""
    handler = Queued()
    payload = [
        "x" * 1_000_000,
        [[0.5] * 1_000 for _ in range(100)],
        [HumanMessage("x") for _ in range(1_000)],
        {"a": {number: (number,) for number in range(1_000)}},
    ]
    chain(CallbackManager([handler]), 1, payload)
    flushed()

    assert handler.heard[1] == ("on_chain_end", payload)


class Unreadable(dict[Any, Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("hostile payload")

    keys = values = items = copy = __len__ = __sizeof__ = __iter__  # type: ignore[assignment]


class Lazy:
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


@dataclass
class Field(Lazy):
    x: int = 1


class Measured:
    @property
    def nbytes(self) -> int:
        raise RuntimeError("hostile payload")


@pytest.mark.parametrize("kind", [Unreadable, Lazy, Field, Measured])
def test_payload_whose_own_code_raises_is_told_at_full(
    kind: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """What it is, it is its handler's to read; what it raises while it is measured is nobody's."""
    one, two, payload = Told(), Other(), kind()
    chain(CallbackManager([one, two]), 1, payload)
    flushed()

    for handler in (one, two):
        assert [name for name, _ in handler.heard] == ["on_chain_start", "on_chain_end"]
        assert handler.heard[1][1] is payload
    assert caplog.records == []
