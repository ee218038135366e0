"""How much memory a value keeps, roughly, found in a bounded time.

A payload's own code is run to read a field of a dataclass, or ``nbytes``; where that raises, what
it would have said is not counted.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from types import MemberDescriptorType, NoneType
from typing import Any, Final

from .objects import fields_of

# `sys.getsizeof` takes ten times as long.
SIZES: Final[Mapping[type, Callable[[Any], int]]] = {
    NoneType: lambda _: 16,
    bool: lambda _: 28,
    int: int.__sizeof__,
    float: lambda _: 24,
    complex: lambda _: 32,
    str: str.__sizeof__,
    bytes: bytes.__sizeof__,
    bytearray: bytearray.__sizeof__,
    array: array.__sizeof__,
}
"""Bytes of what holds nothing but itself, by its type."""
OBJECT: Final = 152
"""Bytes of an object and its ``__dict__``, roughly."""

_NODES: Final = 10_000
_DEPTH: Final = 16
_SEQUENCES: Final = (list, tuple, set, frozenset, deque)
_CONTAINERS: Final = frozenset({*_SEQUENCES, dict, OrderedDict, defaultdict})
_TEXTS: Final = (str, bytes, bytearray)
# Set for the classes that a program makes, and not for functions, modules and locks.
_HEAP_TYPE: Final = 1 << 9


def size_of_all(values: Iterable[Any], kinds: set[type]) -> int:
    """Return the bytes of *values*, whose types are *kinds*, each of them one of ``SIZES``."""
    if len(kinds) == 1:
        return sum(map(SIZES[next(iter(kinds))], values))
    return sum([SIZES[type(each)](each) for each in values])


def shallow_size(value: Any) -> int:
    """Return the bytes of *value* without those of what it holds; of an object, a guess."""
    kind = type(value)
    if kind in SIZES:
        return SIZES[kind](value)
    return int(value.__sizeof__()) if kind in _CONTAINERS else OBJECT


class Meter:
    """Measures what is not copied, each object once; past its bounds it goes by the average."""

    __slots__ = ("_nodes", "_seen")

    def __init__(self) -> None:
        self._nodes = _NODES
        # With the id goes the object, so that no other one gets it meanwhile.
        self._seen: dict[int, Any] = {}

    def size(self, value: Any, depth: int = _DEPTH, *, is_part: bool = False) -> int:
        """Return the bytes of *value* and of what it holds.

        *is_part* says that an object holds it. Then no more objects are looked into but dataclasses
        and models: a client, or a logger, leads to the whole program.
        """
        kind = type(value)
        if kind in SIZES:
            return SIZES[kind](value)
        if not depth or id(value) in self._seen:
            return 0
        self._seen[id(value)] = value
        if issubclass(kind, dict):
            # A quick look at the first of them, made at once whatever another thread does.
            pairs = [*islice(dict.items(value), max(1, self._nodes))]
            parts = [each for pair in pairs for each in pair]
            length = 2 * dict.__len__(value)
            return dict.__sizeof__(value) + self._sum(parts, length, depth, is_part=is_part)
        for base in _SEQUENCES:
            if issubclass(kind, base):
                parts = [*islice(base.__iter__(value), max(1, self._nodes))]
                length = base.__len__(value)
                return base.__sizeof__(value) + self._sum(parts, length, depth, is_part=is_part)
        try:
            return self._object(value, kind, depth, is_part=is_part)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return OBJECT

    def _sum(self, parts: Sequence[Any], length: int, depth: int, *, is_part: bool) -> int:
        total = 0
        for count, each in enumerate(parts, start=1):
            self._nodes -= 1
            total += self.size(each, depth - 1, is_part=is_part)
            if self._nodes <= 0:
                return total * length // count
        return total

    def _object(self, value: Any, kind: type, depth: int, *, is_part: bool) -> int:
        for base in _TEXTS:
            if issubclass(kind, base):
                return base.__sizeof__(value)
        if hasattr(kind, "nbytes"):
            return OBJECT + int(value.nbytes)
        fields = fields_of(value)
        parts = [] if fields is None else [*fields.values()]
        if issubclass(kind, BaseException):
            parts += value.args
        is_a_program_s = kind.__flags__ & _HEAP_TYPE and not issubclass(kind, type)
        if fields is None and not is_part and is_a_program_s:
            parts += _attributes(value, kind)
            is_part = True
        return OBJECT + self._sum(parts, len(parts), depth, is_part=is_part)


def _attributes(value: Any, kind: type) -> list[Any]:
    found = [*object.__getattribute__(value, "__dict__").values()] if kind.__dictoffset__ else []
    for slot in _slots(kind):
        with suppress(AttributeError):
            found.append(slot.__get__(value))
    return found


@lru_cache(maxsize=256)
def _slots(kind: type) -> list[MemberDescriptorType]:
    members = (each for base in kind.__mro__ for each in vars(base).values())
    return [each for each in members if type(each) is MemberDescriptorType]
