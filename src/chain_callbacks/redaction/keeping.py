"""What a payload holds at this moment, for those who are shown all of it, but later.

Its lists, dicts and sets are copied, and so is what they hold of that kind. Objects are shared.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from types import NoneType
from typing import Any, Final

from .objects import CUT, cut_off
from .sizes import SIZES, Meter, shallow_size, size_of_all

NODES: Final = 10_000
"""How many values a copy has in all."""
BYTES: Final = 16 * 1_024 * 1_024
"""How much of a bytearray is copied."""

_DEPTH: Final = 16
# They cannot be changed: many of them are copied at once, which costs this much less.
_FLAT: Final = frozenset({NoneType, bool, int, float, complex, str, bytes})
_CHEAPER: Final = 16


class Keeper:
    """Copies the payload of one event; *size* is the bytes that the copies keep, roughly.

    A container that is found twice is copied once. Past the bounds a copy ends, and says so.
    """

    __slots__ = ("_copies", "_meter", "_nodes", "size")

    def __init__(self) -> None:
        self.size = 0
        self._nodes = NODES
        self._meter = Meter()
        # With the copy goes the original, so that no other one gets its id meanwhile.
        self._copies: dict[int, tuple[Any, Any]] = {}

    def copy(self, value: Any, depth: int = _DEPTH) -> Any:
        """Return *value* as it is now, in containers of its own."""
        kind = type(value)
        copy = _COPIES.get(kind)
        if copy is None:
            self.size += SIZES[kind](value) if kind in SIZES else self._meter.size(value)
            return value
        if not depth:
            return CUT
        known = self._copies.get(id(value))
        if known is None:
            made = copy(self, value, depth - 1)
            self.size += shallow_size(made)
            known = self._copies[id(value)] = made, value
        return known[0]

    def _items(self, value: Collection[Any], depth: int) -> list[Any]:
        length = len(value)
        # Taken at once, whatever another thread does to it meanwhile.
        items = [*islice(value, self._nodes * _CHEAPER)]
        return cut_off(items if self._is_flat(items) else self._deep(items, depth), length)

    def _mapping(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        length = len(value)
        pairs = dict(islice(value.items(), self._nodes * _CHEAPER))
        if not self._is_flat(pairs):
            self.size += sum(map(self._meter.size, pairs))
        if not self._is_flat(pairs.values()):
            pairs = dict(zip(pairs, self._deep(pairs.values(), depth), strict=False))
        if len(pairs) < length:
            pairs["…"] = f"[cut, {length} items]"
        return pairs

    def _deep(self, values: Collection[Any], depth: int) -> list[Any]:
        copies: list[Any] = []
        for each in values:
            if not self._nodes:
                break
            self._nodes -= 1
            copies.append(self.copy(each, depth))
        return copies

    def _is_flat(self, values: Collection[Any]) -> bool:
        """Tell whether none of *values* holds another one; then they are measured."""
        kinds = set(map(type, values))
        if not kinds <= _FLAT:
            return False
        self._nodes = max(0, self._nodes - len(values) // _CHEAPER)
        self.size += size_of_all(values, kinds)
        return True

    def _set(self, value: set[Any], _: int) -> set[Any]:
        length = len(value)
        items = {*islice(value, self._nodes * _CHEAPER)}
        if not self._is_flat(items):
            self.size += sum(map(self._meter.size, items))
        if len(items) < length:
            items.add(f"… [cut, {length} items]")
        return items


def _bytes(_: Keeper, value: bytearray, __: int) -> bytearray:
    length = len(value)
    return value[:] if length <= BYTES else value[:BYTES] + f"… [cut, {length} bytes]".encode()


_COPIES: Final[Mapping[type, Callable[[Keeper, Any, int], Any]]] = {
    list: Keeper._items,
    tuple: lambda keeper, value, depth: tuple(keeper._items(value, depth)),
    deque: lambda keeper, value, depth: deque(keeper._items(value, depth), value.maxlen),
    dict: Keeper._mapping,
    OrderedDict: lambda keeper, value, depth: OrderedDict(keeper._mapping(value, depth)),
    defaultdict: lambda keeper, value, depth: defaultdict(
        value.default_factory, keeper._mapping(value, depth)
    ),
    set: Keeper._set,
    bytearray: _bytes,
}
