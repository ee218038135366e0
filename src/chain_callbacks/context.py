"""The one context variable: the scope that code runs in, and how it goes along to other threads."""

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, Protocol, TypeAlias, TypeVar

from .loops import asyncio

P = ParamSpec("P")
T = TypeVar("T")


class HasManager(Protocol):
    """A run, a manager, a block with handlers attached, or SUPPRESSED."""

    def manager(self) -> Any:
        """Return the manager for what starts here, without what was attached; None for none."""


Scope: TypeAlias = HasManager | None
"""Where code is; None outside of everything."""


@dataclass(frozen=True, eq=False, slots=True)
class Attached:
    """A scope with entries added to the one around it; opaque here, the resolver reads them.

    *before* is what the context held: it is put back on leaving.
    """

    around: Scope
    entries: Any
    before: Scope = None

    def manager(self) -> Any:
        """Return the manager of the scope around it."""
        return None if self.around is None else self.around.manager()


class _Suppressed:
    """The type of SUPPRESSED."""

    __slots__ = ()

    def manager(self) -> None:
        """Return None: runs that a handler starts have no parent, and no listeners."""

    def __repr__(self) -> str:
        return "SUPPRESSED"


SUPPRESSED: Final = _Suppressed()
"""The scope of a handler: whoever it calls, nobody is told of the runs that start there."""

current: Final[ContextVar[Scope]] = ContextVar("chain_callbacks", default=None)
"""The scope of the running code; None outside of all."""


class _Surroundings:
    """The functions that know, besides the context variable, which run code is in."""

    __slots__ = ("finders", "model_finders")

    def __init__(self) -> None:
        self.finders: tuple[Callable[[Scope], Scope], ...] = ()
        self.model_finders: tuple[Callable[[], Scope], ...] = ()


surroundings: Final = _Surroundings()
"""The finders of hosts that have a context of their own; empty where there is none."""


def here() -> Scope:
    """Return the scope of the calling code, the innermost of ours and the hosts'; None outside."""
    scope = current.get()
    for find in surroundings.finders:
        scope = find(scope)
    return scope


def leave(token: Token[Any]) -> None:
    """Take out of the context what *token* stands for; tolerate a context that is not ours.

    An asynchronous finaliser, and a generator closed by another task, meet a foreign context.
    Nothing was set there, so there is nothing to take out; setting the old value would be wrong.
    """
    try:  # noqa: SIM105 - `suppress` is four calls, and this is done at every run
        current.reset(token)
    except ValueError:
        pass


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """Tell nobody of the runs that start in a ``with`` block: a plugin's code runs in it."""
    token = current.set(SUPPRESSED)
    try:
        yield
    finally:
        leave(token)


async def to_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what *function* returns when called in a thread, inside the current run.

    The thread works in a copy of the caller's context, so runs that start there are children of
    the current run.
    """

    def call() -> T:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            # A future cannot hold one, and would never be done.
            raise RuntimeError("a function raised StopIteration in a thread") from error

    return await asyncio.to_thread(call)


def submit(
    executor: Executor, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> Future[T]:
    """Submit *function* to a thread pool, inside the current run; return its future.

    Each call works in its own copy of the context, taken here, on the submitting thread.

    Raises:
        TypeError: *executor* is a process pool, to which no run can be sent.
    """
    process_pools = sys.modules.get("concurrent.futures.process")
    if process_pools is not None and isinstance(executor, process_pools.ProcessPoolExecutor):
        raise TypeError(
            "submit() takes a thread pool: a run and its handlers stay in their process. Call "
            "executor.submit() itself. The function's runs are roots there, told to the handlers "
            "that CHAIN_CALLBACKS names, or that it names itself: config={'callbacks': ['slack']}."
        )
    context = contextvars.copy_context()
    return executor.submit(lambda: context.run(function, *args, **kwargs))
