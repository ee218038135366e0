"""The one boundary that resolves: from the context, a constructor and a call to one manager."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextvars import Token
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from ..dispatch.context import Attached, Quiet, current, leave
from ..dispatch.manager import NOBODY, CallbackManager, Limits
from ..dispatch.routes import Routes
from ..dispatch.runs import Run
from ..errors import (
    BrokenPluginError,
    ChainCallbacksError,
    ConfigurationErrors,
    HandlerDeniedError,
    InvalidNameError,
    SettingsError,
    did_you_mean,
)
from . import environment as env
from . import factory
from .explanation import Row, describe, table
from .fold import Folded, fold
from .names import handler_name, parse_entry
from .operator import operator
from .sources import RUNTIME, Attachments, Item, Layered, items_of, key_of

log = logging.getLogger("chain_callbacks")

_MOST_FOLDS: Final = 64
"""How many lists are remembered for each base; a fresh handler a request fills it with garbage."""


@dataclass(frozen=True, eq=False)
class Resolution:
    """Who listens, and how that came about; print it.

    Attributes:
        manager: Starts runs that these handlers hear.
        rows: One for each entry that was kept, dropped, removed or wrong.
        problems: The errors that were met, as values.
    """

    manager: CallbackManager
    rows: tuple[Row, ...]
    problems: tuple[ChainCallbacksError, ...]

    def as_data(self) -> list[dict[str, Any]]:
        """Return the rows as plain data, ready for JSON."""
        return describe(self.rows)

    def __str__(self) -> str:
        return table(self.rows)


class Explained(Protocol):
    """What ``explain`` asks a component: what a call of it is resolved from."""

    def explained(self, config: Any, /) -> tuple[Attachments | None, Any]:
        """Return what its constructor attached, and the callbacks of the call."""


class _Environment:
    """What the environment named when it was last looked at."""

    __slots__ = ("changes", "is_disabled", "manager", "seen")

    def __init__(self) -> None:
        self.seen: tuple[Any, ...] | None = None
        self.changes = 0
        self.manager = NOBODY
        self.is_disabled = False


_environment = _Environment()


def _root() -> CallbackManager:
    """Return the root manager: of the environment as it is now, resolved when it has changed."""
    seen = env.fingerprint()
    if _environment.seen != seen or _environment.changes != factory.changes.count:
        changes = factory.changes.count
        word = operator()
        problems: list[ChainCallbacksError] = []
        manager = NOBODY
        if not word.is_disabled:
            items, problems = _environment_items()
            # A base of its own for each state of the environment: what is folded onto it dies
            # with it.
            folded = fold(Routes(), items)
            problems += folded.problems
            manager = CallbackManager.of(folded.here, folded.down)
        if problems and word.is_strict:
            raise ConfigurationErrors(problems)
        for problem in problems:
            _warn(problem)
        for sentence in misspelt_variables():
            log.warning("%s", sentence)
        _environment.manager, _environment.is_disabled = manager, word.is_disabled
        _environment.seen, _environment.changes = seen, changes
    return _environment.manager


def _environment_items() -> tuple[list[Item], list[ChainCallbacksError]]:
    items: list[Item] = []
    problems: list[ChainCallbacksError] = []
    for position, (text, source) in enumerate(operator().names, start=1):
        if text.strip():
            try:
                items.append(Item(parse_entry(text, source=source, position=position), source))
            except InvalidNameError as error:
                problems.append(error)
    return items, problems


def misspelt_variables() -> tuple[str, ...]:
    """Return a sentence for each variable that looks like one of the framework's and is none."""
    return tuple(
        f"{variable} is no setting of chain-callbacks.{did_you_mean(variable, env.CORE)}"
        for variable in env.unknown_variables()
    )


def _warn(problem: ChainCallbacksError) -> None:
    log.warning("%s The run goes on without it.", problem)


def enter(own: Attachments | None, config: Mapping[str, Any] | None) -> CallbackManager | None:
    """Return the manager for one call; None where nobody listens and nothing is to be handed down.

    *own* is what the constructor attached, *config* the call's, already checked. A manager that is
    silent says that the context changes, for nested calls, though no run is made.

    Raises:
        ChainCallbacksError: A name or an object cannot be used; nothing has run then.
    """
    scope = current.get()
    runtime = None
    is_plain = own is None
    if config:
        runtime = config.get("callbacks")
        is_plain = is_plain and (len(config) == 1 or not _adds(config))
    if is_plain and runtime is None:
        # The way of a call that adds nothing: nothing is made but what a run was asked for once.
        if scope is None:
            manager = _root()
        elif isinstance(scope, Run):
            manager = scope.child
        elif isinstance(scope, CallbackManager):
            manager = scope
        else:
            return _enter(scope, None, None, config)
        return None if manager.is_silent else manager
    if is_plain and scope is None and runtime.__class__ is list:
        # The way of a root call that names handlers: one look-up once the list was resolved.
        found = _root().down.folds.get(((), key_of(runtime)))
        if found is not None and found.manager is not None:
            known: CallbackManager = found.manager
            return None if known.is_silent else known
    return _enter(scope, own, runtime, config)


def _enter(
    scope: Any, own: Attachments | None, runtime: Any, config: Mapping[str, Any] | None
) -> CallbackManager | None:
    bound: list[Attachments] = []
    while isinstance(runtime, Layered):
        bound.append(runtime.bound)
        runtime = runtime.runtime
    attached: list[Attachments] = []
    while isinstance(scope, Attached):
        attached.insert(0, scope.entries)
        scope = scope.around
    if isinstance(scope, Quiet):
        return None
    manager, runtime = _given(runtime)
    if manager is not None:
        # A run's manager is the base and the parent; neither scope nor environment are asked.
        attached = []
    elif scope is None:
        manager = _root()
        if _environment.is_disabled:
            return None
    else:
        manager = scope.child if isinstance(scope, Run) else scope
    base = manager
    layers = [each for each in (*attached, own, *bound) if each is not None]
    if layers or runtime is not None:
        manager = _folded(base, layers, runtime)
    if config:
        manager = _configured(manager, config)
    return None if manager.is_silent and manager is base else manager


def _given(runtime: Any) -> tuple[CallbackManager | None, Any]:
    """Return the manager of a run that *runtime* is or begins with, and what is left of it."""
    is_list = isinstance(runtime, list | tuple)
    first = runtime[0] if is_list and runtime else runtime
    if isinstance(first, CallbackManager) and first.parent is not None:
        rest = tuple(runtime[1:]) if is_list else None
        return first, rest or None
    return None, runtime


def _adds(config: Mapping[str, Any]) -> bool:
    """Tell whether a config hands anything down besides callbacks."""
    get = config.get
    return bool(get("tags") or get("metadata") or get("max_concurrency") or get("recursion_limit"))


def _over(base: CallbackManager, folded: Folded) -> CallbackManager:
    if folded.here is base.here and folded.down is base.down:
        return base
    return CallbackManager.of(
        folded.here,
        folded.down,
        parent=base.parent,
        tags=base.tags,
        metadata=base.metadata,
        limits=base.limits,
        local_tags=base.local_tags,
    )


def _configured(base: CallbackManager, config: Mapping[str, Any]) -> CallbackManager:
    """Return *base* with the tags, metadata and limits of a call added."""
    if not _adds(config):
        return base
    limits: Limits = {**base.limits}
    if config.get("max_concurrency") is not None:
        limits["max_concurrency"] = config["max_concurrency"]
    if config.get("recursion_limit") is not None:
        limits["recursion_limit"] = config["recursion_limit"]
    return CallbackManager.of(
        base.here,
        base.down,
        parent=base.parent,
        tags=tuple(dict.fromkeys((*base.tags, *(config.get("tags") or ())))),
        metadata={**base.metadata, **(config.get("metadata") or {})},
        limits=limits,
        local_tags=base.local_tags,
    )


class _Known(NamedTuple):
    """A fold that was made, and for a root the manager that came of it.

    *kept* keeps alive the objects by whose identity it is cached.
    """

    folded: Folded
    manager: CallbackManager | None
    kept: Any


def _folded(manager: CallbackManager, layers: list[Attachments], runtime: Any) -> CallbackManager:
    """Return *manager* with the layers and the call's own folded in, from the base's cache."""
    base = manager.down
    kept = tuple(runtime) if isinstance(runtime, list) else runtime
    key = (tuple(map(id, layers)), None if kept is None else key_of(kept))
    known: _Known | None = base.folds.get(key)
    if known is None:
        folded = _fold(base, layers, kept)
        is_root = manager is _environment.manager
        known = _Known(folded, _over(manager, folded) if is_root else None, (layers, kept))
        if len(base.folds) >= _MOST_FOLDS:
            base.folds.clear()
        base.folds[key] = known
    if known.manager is not None and manager is _environment.manager:
        return known.manager
    return _over(manager, known.folded)


def _fold(base: Routes, layers: list[Attachments], kept: Any) -> Folded:
    items = [item for layer in layers for item in layer.items]
    items.extend(items_of(kept, RUNTIME))
    folded = fold(base, items)
    if folded.problems and operator().is_strict:
        raise ConfigurationErrors(folded.problems)
    for problem in folded.problems:
        if not isinstance(problem, BrokenPluginError):
            raise problem
    for problem in folded.problems:
        _warn(problem)
    return folded


def resolve(callbacks: Any = None, *, constructor: Any = None) -> Resolution:
    """Return who would hear a run that starts here with *callbacks*, and a manager to start it.

    Args:
        callbacks: A name, a handler, a manager, or a list of them; as ``config["callbacks"]``.
        constructor: The same, as a component's constructor takes it.

    Raises:
        ChainCallbacksError: One of them cannot be used.
    """
    own = None if constructor is None else Attachments(constructor, "constructor")
    config = {"callbacks": callbacks}
    manager = enter(own, config)
    return Resolution(manager or _silent_here(), _trace(own, callbacks).rows, ())


def _silent_here() -> CallbackManager:
    scope = current.get()
    if isinstance(scope, Run):
        return scope.child
    return scope if isinstance(scope, CallbackManager) else NOBODY


def explain(
    runnable: Explained | None = None, *, config: Mapping[str, Any] | None = None
) -> Resolution:
    """Return who would hear *runnable*, or a run that starts here, without running anything.

    Nothing raises: what cannot be used is a row that says why. Print the result.
    """
    own, runtime = None, (config or {}).get("callbacks")
    if runnable is not None:
        own, runtime = runnable.explained(config)
    folded = _trace(own, runtime)
    manager = CallbackManager.of(folded.here, folded.down)
    return Resolution(manager, folded.rows, folded.problems)


def _trace(own: Attachments | None, runtime: Any) -> Folded:
    """Fold everything at once, from nothing where no run is around: each entry has a row."""
    scope = current.get()
    bound: list[Attachments] = []
    while isinstance(runtime, Layered):
        bound.append(runtime.bound)
        runtime = runtime.runtime
    attached: list[Attachments] = []
    while isinstance(scope, Attached):
        attached.insert(0, scope.entries)
        scope = scope.around
    manager, runtime = _given(runtime)
    items: list[Item] = []
    problems: list[ChainCallbacksError] = []
    base = Routes()
    if manager is not None:
        base, attached = manager.down, []
    elif scope is None:
        if operator().is_disabled:
            return Folded(base, base, (), ())
        items, problems = _environment_items()
    elif not isinstance(scope, Quiet):
        base = scope.manager.down if isinstance(scope, Run) else scope.down
    rows = [
        Row(each.entry, each.source, "refused", reason=str(each))
        for each in problems
        if isinstance(each, InvalidNameError)
    ]
    sources = [(layer.callbacks, layer.source) for layer in (*attached, own, *bound) if layer]
    for callbacks, source in (*sources, (runtime, RUNTIME)):
        try:
            items.extend(items_of(callbacks, source))
        except ChainCallbacksError as error:
            problems.append(error)
            rows.append(Row(_shown(callbacks), source, "refused", reason=str(error)))
    folded = fold(base, items)
    return Folded(
        folded.here,
        folded.down,
        (*rows, *folded.rows),
        (*problems, *folded.problems),
    )


def _shown(callbacks: Any) -> str:
    return callbacks if isinstance(callbacks, str) else type(callbacks).__name__


def check() -> None:
    """Raise everything that is wrong with the configuration, all at once; for a service's start.

    The names of the environment and of the file are resolved, and their handlers made.

    Raises:
        ConfigurationErrors: A group with one error for each thing that is wrong.
        SettingsError: The framework's own settings cannot be read.
        PolicyPluginError: A policy plugin cannot be used.
    """
    if operator().is_disabled:
        return
    items, problems = _environment_items()
    problems += fold(Routes(), items).problems
    sentences = misspelt_variables()
    if sentences:
        problems.append(SettingsError(problems=[each.rstrip(".?") for each in sentences]))
    if problems:
        raise ConfigurationErrors(problems)


def reload() -> None:
    """Close the named handlers and read everything anew: environment, file, what is installed.

    Runs that go on keep the handlers they have, which are closed now; runs that start get new ones.
    """
    factory.reset()


def requested(text: str, *, allow: Iterable[str]) -> list[str]:
    """Return the handler names in a text from outside, such as a request's; nothing but names.

    Args:
        text: Names, separated by commas.
        allow: The only ones that may be in it.

    Raises:
        HandlerDeniedError: It holds anything else: another name, ``none``, a removal, an instance.
    """
    allowed = {handler_name(each) for each in allow}
    rule = f"requested(allow={tuple(sorted(allowed))!r})"
    names: list[str] = []
    refused: str | None = None
    for part in text.split(","):
        stripped = part.strip()
        if stripped and handler_name(stripped) not in allowed:
            refused = stripped
        elif stripped:
            names.append(handler_name(stripped))
    if refused is not None:
        # Cut: it is somebody else's text, and goes into logs.
        raise HandlerDeniedError(name=refused[:_LONGEST_SHOWN], source="a request", rule=rule)
    return list(dict.fromkeys(names))


_LONGEST_SHOWN: Final = 60


def current_manager() -> CallbackManager:
    """Return the manager of the code that calls: for what is started by hand, and other threads.

    Inside a run its child manager, with what was attached since; outside of one, that of the
    environment. Pass it on as ``config={"callbacks": current_manager()}``.
    """
    scope = current.get()
    if isinstance(scope, Quiet):
        return NOBODY
    return enter(None, {"callbacks": ()}) or _silent_here()


class attached:  # noqa: N801  It is used as a function.
    """Attach handlers, by name or object, to all runs that start in a ``with`` block.

    They come after those of the environment, or after what is inherited where a run is around.
    Names and objects are checked on entering.

    Raises:
        ChainCallbacksError: One of them cannot be used.
    """

    def __init__(self, *callbacks: Any) -> None:
        self._attachments = Attachments(callbacks, "attached()")
        self._tokens: list[Token[Any]] = []

    def __enter__(self) -> None:
        scope = Attached(current.get(), self._attachments)
        token = current.set(scope)
        try:
            _enter(scope, None, None, None)
        except BaseException:
            current.reset(token)
            raise
        self._tokens.append(token)

    def __exit__(self, *_: object) -> None:
        leave(self._tokens.pop())
