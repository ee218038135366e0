"""Decide once what a run is told, and tell it from synchronous or asynchronous code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

Step = tuple[
    Callable[..., None], Callable[..., Awaitable[None]], tuple[Any, ...], Mapping[str, Any]
]
"""A method of a run, its asynchronous twin, and the arguments for either."""

Steps = Iterable[Step]


def drive(steps: Steps) -> None:
    """Take *steps* from synchronous code."""
    for tell, _, arguments, keywords in steps:
        tell(*arguments, **keywords)


async def adrive(steps: Steps) -> None:
    """Take *steps* from asynchronous code."""
    for _, atell, arguments, keywords in steps:
        await atell(*arguments, **keywords)
