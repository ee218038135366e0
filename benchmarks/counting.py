"""What one call does, counted and not timed; the tests of costs and the table share it."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from chain_callbacks.resolution import settings

Call = Callable[[], object]


class Calls(NamedTuple):
    """How often Python functions were called, and functions written in C."""

    python: int
    c: int


def calls_of(call: Call) -> Calls:
    """Return the calls that one *call* makes, its own included, once it is warm.

    What is counted is a function that begins, or a generator that goes on.
    """
    return Calls(*(sum(names.values()) for names in names_of(call)))


def names_of(call: Call) -> tuple[Counter[str], Counter[str]]:
    """Return which functions one *call* calls, those in Python and those in C, and how often."""
    call()
    python: Counter[str] = Counter()
    in_c: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            python[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1
        elif event == "c_call":
            in_c[getattr(argument, "__qualname__", repr(argument))] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    # The last call is the one that takes the profiler out.
    in_c["setprofile"] -= 1
    return python, +in_c


def instructions_of(call: Call) -> int:
    """Return how many instructions of bytecode one *call* runs in Python's own frames.

    What calls nothing shows here alone: a copy by ``{**mapping}``, an attribute, a subscript.
    """
    call()
    count = 0

    def note(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@contextmanager
def environment_reads() -> Iterator[Counter[object]]:
    """Count by name the reads of environment variables, by whatever way, meanwhile."""
    reads: Counter[object] = Counter()

    class Counting(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            reads[key] += 1
            return super().get(key, default)

        def __getitem__(self, key: Any) -> Any:
            reads[key] += 1
            return super().__getitem__(key)

        def __contains__(self, key: object) -> bool:
            reads[key] += 1
            return super().__contains__(key)

        def __iter__(self) -> Iterator[Any]:
            reads["all of them"] += 1
            return super().__iter__()

    environ: Any = os.environ
    before = environ._data
    environ._data = settings._raw = Counting(before)
    try:
        yield reads
    finally:
        environ._data = settings._raw = before


def blocks_of(call: Call, *, count: int = 200) -> float:
    """Return how many blocks of memory are held while one *call* has its result, on average.

    *call* returns what it made, or is to hold it itself; results are kept until all were made.
    """
    kept: list[object] = [None] * count
    call()
    with collector_off():
        before = sys.getallocatedblocks()
        for number in range(count):
            kept[number] = call()
        return (sys.getallocatedblocks() - before) / count


def bytes_of(call: Call, *, count: int = 200) -> float:
    """Return how many bytes the result of one *call* takes, with all that it made for it."""
    kept: list[object] = [None] * count
    call()
    with collector_off(), traced():
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            kept[number] = call()
        return (tracemalloc.get_traced_memory()[0] - before) / count


def peak_of(call: Call) -> int:
    """Return how many bytes one *call* has at most, at one time, above what was there before."""
    call()
    with collector_off(), traced():
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before


def growth_of(call: Call, *, count: int) -> int:
    """Return how many bytes more are held after *count* calls than after the first few."""
    for _ in range(100):
        call()
    with traced():
        call()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            call()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before


@contextmanager
def collector_off() -> Iterator[None]:
    """Have nothing collected meanwhile that somebody else left."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def traced() -> Iterator[None]:
    """Have every allocation traced meanwhile."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
