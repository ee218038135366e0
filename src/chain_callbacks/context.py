"""The one context variable: which run, and which entries attached since, the current code is in."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias, TypeVar

from .loops import asyncio

if TYPE_CHECKING:
    from .dispatch.manager import CallbackManager
    from .dispatch.run import Run

P = ParamSpec("P")
T = TypeVar("T")


class Quiet:
    """The state of the context while a handler runs: whatever runs then is told to nobody."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "QUIET"


QUIET: Final = Quiet()


@dataclass(frozen=True, eq=False, slots=True)
class Attached:
    """A scope with entries added to the one around it; opaque here, the resolver reads them.

    *before* is what the context held: on leaving it is put back.
    """

    around: Any
    entries: Any
    before: Any = None


Scope: TypeAlias = "Run | CallbackManager | Attached | Quiet | None"
"""What the context says of the calling code; nested runs are resolved from it."""

current: Final[ContextVar[Scope]] = ContextVar("chain_callbacks", default=None)
"""Nothing; a run, whose manager is handed down; a manager where no run was made; what is around
with entries attached since; or QUIET."""


class _Surroundings:
    """Who is asked, besides the context variable, which run the calling code is in."""

    __slots__ = ("finders", "model_finders")

    def __init__(self) -> None:
        self.finders: tuple[Callable[[Scope], Scope], ...] = ()
        self.model_finders: tuple[Callable[[], Scope], ...] = ()


surroundings: Final = _Surroundings()
"""The finders of hosts that have a context of their own; empty where there is none."""


def here() -> Scope:
    """Return the scope of the calling code: the innermost, whether ours or a host's."""
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

    Each call works in its own copy of the context, taken here, on the submitting thread. A process
    pool takes no context along: hand names over and resolve them there.
    """
    context = contextvars.copy_context()
    return executor.submit(lambda: context.run(function, *args, **kwargs))
