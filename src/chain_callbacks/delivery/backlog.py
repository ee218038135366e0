"""A bounded list of what waits for one handler: in order, and the least important goes first."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Any, Final

from ..events import EventSpec, on_llm_new_token, on_text

_RANKS: Final = {"start": 1, "during": 1, "end": 2, "error": 3}
RANKS: Final = 4


def rank_of(spec: EventSpec[...]) -> int:
    """Return how much an event matters: tokens and texts least, then starts, ends, errors."""
    return 0 if spec.name in (on_llm_new_token.name, on_text.name) else _RANKS[spec.phase]


_Waiting = tuple[int, int, Any]
"""The number of an item, its size, and it."""


class Backlog:
    """What waits, bounded by *records* and by *size*, the sum of the items' sizes in bytes.

    Where there is no room the oldest of the least important goes; the new one alone where what
    matters more than it leaves it none. It is not synchronised.
    """

    __slots__ = ("_lanes", "_length", "_number", "_totals", "records", "size", "total")

    def __init__(self, records: int, size: int) -> None:
        self.records = records
        self.size = size
        self.total = 0
        self._length = 0
        self._number = 0
        self._lanes: tuple[deque[_Waiting], ...] = tuple(deque() for _ in range(RANKS))
        self._totals = [0] * RANKS

    def __len__(self) -> int:
        return self._length

    def has_room(self, size: int) -> bool:
        """Tell whether an item of that size fits in beside what waits."""
        return self._length < self.records and self.total + size <= self.size

    def put(self, rank: int, size: int, item: Any) -> int:
        """Put *item* at the end; return how many were dropped, perhaps it alone."""
        dropped = 0
        if self._length >= self.records or self.total + size > self.size:
            if not self._can_have_room(rank, size):
                return 1
            for each in range(rank + 1):
                while self._lanes[each] and not self.has_room(size):
                    self._take_out(each)
                    dropped += 1
        self._number += 1
        self._lanes[rank].append((self._number, size, item))
        self._length += 1
        self.total += size
        self._totals[rank] += size
        return dropped

    def _can_have_room(self, rank: int, size: int) -> bool:
        left = sum(map(len, self._lanes[rank + 1 :]))
        return left < self.records and sum(self._totals[rank + 1 :]) + size <= self.size

    def take(self, until: float = inf) -> Any:
        """Return the oldest item and take it out; None where nothing waits up to number *until*."""
        first, oldest = -1, until + 1
        for rank, lane in enumerate(self._lanes):
            if lane and lane[0][0] < oldest:
                first, oldest = rank, lane[0][0]
        return None if first < 0 else self._take_out(first)

    def last(self) -> int:
        """Return the number of the item that was put in last."""
        return self._number

    def _take_out(self, rank: int) -> Any:
        _, size, item = self._lanes[rank].popleft()
        self._length -= 1
        self.total -= size
        self._totals[rank] -= size
        return item
