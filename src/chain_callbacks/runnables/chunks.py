"""How the chunks of a stream add up to the value that would have come in one piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from numbers import Number
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Whole(Generic[T]):
    """A stream of one item that is known beforehand: a step can report it as its input."""

    __slots__ = ("_left", "value")

    def __init__(self, value: T) -> None:
        self.value = value
        self._left = True

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if not self._left:
            raise StopIteration
        self._left = False
        return self.value

    def __aiter__(self) -> Whole[T]:
        return self

    async def __anext__(self) -> T:
        if not self._left:
            raise StopAsyncIteration
        self._left = False
        return self.value


def combined(chunks: Sequence[Any]) -> Any:
    """Return the sum of *chunks*: texts, lists, message chunks and dicts of them are added.

    What cannot be added becomes a list of all; numbers are no parts of a number, so they do too.
    One chunk is itself, none is None.
    """
    if len(chunks) < 2:
        return chunks[0] if chunks else None
    first = chunks[0]
    if all(isinstance(chunk, str) for chunk in chunks):
        return "".join(chunks)
    if all(isinstance(chunk, dict) for chunk in chunks):
        parts: dict[Any, list[Any]] = {}
        for chunk in chunks:
            for key, value in chunk.items():
                parts.setdefault(key, []).append(value)
        return {key: combined(values) for key, values in parts.items()}
    if all(isinstance(chunk, list) for chunk in chunks):
        return [item for chunk in chunks for item in chunk]
    # What adds up to something else than the whole: numbers, durations, arrays.
    if isinstance(first, Number | timedelta | tuple) or hasattr(first, "__array__"):
        return list(chunks)
    total = first
    try:
        for chunk in chunks[1:]:
            total = total + chunk
    except TypeError:
        return list(chunks)
    return total


def reported(chunks: Sequence[Any]) -> Any:
    """Return the sum of *chunks* for an event; a list where adding them fails in whatever way.

    A run must not fail for being listened to.
    """
    try:
        return combined(chunks)
    except Exception:
        return list(chunks)
