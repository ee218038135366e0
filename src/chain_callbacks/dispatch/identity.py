"""Ids and clocks of runs, in one place, so that a test can put its own there."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Final
from uuid import UUID, SafeUUID

from ..forks import in_child

_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0x2 << 62

# Of our own, so that a program's `random.seed(0)` does not make two processes draw the same ids.
_random = Random()  # noqa: S311  An id is no secret.
_bits = _random.getrandbits
in_child(_random.seed)

_new: Final = UUID.__new__
_set_int: Final = vars(UUID)["int"].__set__
_set_safety: Final = vars(UUID)["is_safe"].__set__
_unknown: Final = SafeUUID.unknown
_time_ns: Final = time.time_ns


def uuid7() -> UUID:
    """Return a new version-7 id (RFC 9562, method 3): ids sort by time, to a quarter microsecond.

    ``uuid.UUID(int=...)`` checks what needs no check here and takes four times as long.
    """
    milliseconds, rest = divmod(_time_ns(), 1_000_000)
    run_id = _new(UUID)
    _set_int(
        run_id,
        milliseconds << 80 | _VERSION_AND_VARIANT | (rest << 12) // 1_000_000 << 64 | _bits(62),
    )
    _set_safety(run_id, _unknown)
    return run_id


class Source:
    """Where runs take their ids and times from: *wall* in nanoseconds, *monotonic* in seconds."""

    __slots__ = ("make_id", "monotonic", "wall")

    def __init__(self) -> None:
        self.make_id: Callable[[], UUID] = uuid7
        self.wall: Callable[[], int] = time.time_ns
        self.monotonic: Callable[[], float] = time.perf_counter


source: Final = Source()


def moment(nanoseconds: int | None) -> datetime | None:
    """Return a time of the wall clock in UTC; None for none."""
    return None if nanoseconds is None else datetime.fromtimestamp(nanoseconds / 1e9, UTC)
