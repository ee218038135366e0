"""What a bridge makes runs with: a manager for a place in the tree, and a run with a host's ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from ..context import Scope, current, surroundings
from ..delivery.threads import sweeper
from ..dispatch.identity import source
from ..dispatch.manager import NOBODY, CallbackManager
from ..dispatch.routes import Routes
from ..dispatch.run import PastRun, Run, interruptions
from ..events import KINDS, RunType
from ..resolution.resolver import enter, enter_at, root_manager
from ..resolution.sources import Attachments

T = TypeVar("T")

_MOST_REMEMBERED: Final = 64
_MODELS: Final = ("llm", "chat_model")


def manager_at(scope: Scope, callbacks: Any = None) -> CallbackManager | None:
    """Return the manager of what starts in *scope*; None where nobody listens there or below.

    Args:
        scope: What ``here()`` gives, or a run of the host's.
        callbacks: What is added: names, handlers, a manager, or a list of them.

    Raises:
        ChainCallbacksError: One of them cannot be used.
    """
    return enter_at(scope, callbacks)


class Gate(Generic[T]):
    """Holds *value* for a host that asks for it, as for a context variable's, before each run.

    Where nobody would hear a run that starts there, or one nested in it, the host gets None, and
    is spared the rest.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def get(self) -> T | None:
        """Return the value where somebody listens, else None.

        Raises:
            ConfigurationErrors: The environment is wrong, and ``CHAIN_CALLBACKS_STRICT`` is set.
        """
        # Asked for every run of the host: the way of one outside of all of ours makes no detour.
        if current.get() is None and not surroundings.finders:
            return None if root_manager().is_silent else self._value
        manager = enter(None, None)
        return None if manager is None or manager.is_silent else self._value


def own_scope() -> Scope:
    """Return what our own context says of the calling code, without asking any host."""
    return current.get()


def run_around(scope: Scope) -> Run | None:
    """Return the run that *scope* is in; None outside of all."""
    manager: CallbackManager | None = None if scope is None else scope.manager()
    return None if manager is None else manager.parent


def model_around() -> Scope:
    """Return the run of a model, ours or a host's, that the calling code answers for; else None.

    Where nobody hears that run, its manager stands for it. A call of a vendor's client that is made
    there is that run already, and no other.
    """
    for find in surroundings.model_finders:
        scope = find()
        if scope is not None:
            return scope
    run = run_around(own_scope())
    return run if run is not None and run.run_type in _MODELS else None


def manager_below(run: Run, tags: Sequence[str], metadata: Mapping[str, Any]) -> CallbackManager:
    """Return the manager for our own runs in a host's *run*, with what the host hands down."""
    child = run.manager()
    if not tags and not metadata:
        return child
    return child.replaced(
        tags=tuple(dict.fromkeys((*child.tags, *tags))), metadata={**child.metadata, **metadata}
    )


def check_callbacks(callbacks: Any, source: str) -> None:
    """Refuse what could never be used: a text that is no name, an object that is no handler.

    Raises:
        InvalidNameError: A text is no name; *source* is in the message.
        NotAHandlerError: One of them is neither.
    """
    Attachments(callbacks, source)


def silent_manager() -> CallbackManager:
    """Return the manager that tells nobody: what is handed down where nobody listens."""
    return NOBODY


def run_at(
    manager: CallbackManager,
    run_type: RunType,
    name: str,
    *,
    run_id: UUID | None = None,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    id_path: Sequence[str] = (),
    told_already: Collection[int] = (),
    times: tuple[int, int] | None = None,
) -> Run:
    """Return a run of *manager* that has not started, with what the host says of it.

    Args:
        manager: Of the place in the tree.
        run_type: What it is a run of.
        name, run_id, tags, metadata: As the host has them; its id is kept.
        id_path: What ``serialized["id"]`` shows.
        told_already: The ``id()`` of each handler that the host itself tells of this run: it is
            not told a second time.
        times: When it began and ended, in nanoseconds since 1970, of a run that the host tells of
            when it is over: our own clocks, else.
    """
    if told_already and any(id(each.handler) in told_already for each in manager.here.listeners):
        manager = _without(manager, told_already)
    run = manager.prepare(
        KINDS[run_type],
        name,
        id_path=id_path,
        run_id=run_id,
        tags=tags,
        metadata=metadata,
    )
    return run if times is None else PastRun(run, times)


def _without(manager: CallbackManager, handlers: Collection[int]) -> CallbackManager:
    # Remembered with the routes themselves: building them for each run is expensive.
    key = ("told already", frozenset(handlers))
    here = manager.here.folds.get(key)
    if here is None:
        here = Routes(each for each in manager.here.listeners if id(each.handler) not in handlers)
        if len(manager.here.folds) < _MOST_REMEMBERED:
            manager.here.folds[key] = here
    return manager.replaced(here=here)


def add_finder(finder: Callable[[Scope], Scope]) -> None:
    """Have *finder* asked, whenever our code looks for the run that it is in.

    It is given the scope of our own context, and returns that, or a manager of the host's run
    where that is further in.
    """
    if finder not in surroundings.finders:
        surroundings.finders = (*surroundings.finders, finder)


def add_model_finder(finder: Callable[[], Scope]) -> None:
    """Have *finder* asked, when a vendor's client is called, which of the host's models calls it.

    It returns the run of that model, its manager where nobody hears that, or None.
    """
    if finder not in surroundings.model_finders:
        surroundings.model_finders = (*surroundings.model_finders, finder)


def defer(function: Callable[[], Any]) -> None:
    """Have *function* called soon, on a thread of its own; ``flush()`` waits for it.

    It is for finalisers, which the collector may call while any lock is held.
    """
    sweeper.take(function)


def treat_as_interruption(kind: type[BaseException]) -> None:
    """Have runs that are left by an exception of *kind* end as ``interrupted``, and not as failed.

    For exceptions by which a host pauses a run, or that it throws as a matter of course.
    """
    if kind not in interruptions.kinds:
        interruptions.kinds = (*interruptions.kinds, kind)


def monotonic() -> float:
    """Return the time in seconds by the clock that times runs; tests may replace that clock."""
    return source.monotonic()
