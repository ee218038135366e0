"""What a program asks the resolver: who would listen, and what is wrong with its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..dispatch.around import manager_of
from ..dispatch.context import Quiet, here
from ..dispatch.manager import NOBODY, CallbackManager
from ..dispatch.routes import Routes
from ..errors import (
    BrokenPluginError,
    ChainCallbacksError,
    ConfigurationErrors,
    HandlerDeniedError,
    InvalidNameError,
    SettingsError,
)
from . import instances
from .config import check as check_config
from .explanation import Row, describe, table
from .fold import Folded, fold
from .names import parse_plain_name
from .resolver import given_manager, over, unwrapped
from .root import environment_items, misspelt_variables, warn
from .settings import settings
from .sources import RUNTIME, Attachments, Item, items_of


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
        ...


def resolve(callbacks: Any = None, *, constructor: Any = None) -> Resolution:
    """Return who would hear a run that starts here with *callbacks*, and a manager to start it.

    Its ``problems`` are those that a call goes on without: of the environment, and what is broken.

    Args:
        callbacks: A name, a handler, a manager, or a list of them; as ``config["callbacks"]``.
        constructor: The same, as a component's constructor takes it.

    Raises:
        ChainCallbacksError: One of them cannot be used, or the configuration is wrong.
    """
    own = None if constructor is None else Attachments(constructor, "constructor")
    traced = _trace(own, callbacks)
    if traced.problems and settings().is_strict:
        raise ConfigurationErrors([problem for problem, _ in traced.problems])
    if traced.fatal is not None:
        raise traced.fatal
    for problem, is_of_call in traced.problems:
        if is_of_call and not isinstance(problem, BrokenPluginError):
            raise problem
    for problem, _ in traced.problems:
        warn(problem)
    return traced.as_resolution()


def explain(
    runnable: Explained | None = None,
    *,
    callbacks: Any = None,
    config: Mapping[str, Any] | None = None,
) -> Resolution:
    """Return who would hear *runnable*, or a run that starts here, without running anything.

    What cannot be used is a row that says why, and one of ``problems``. Print the result.

    Args:
        runnable: A component; where none is given, a run that is started by hand.
        callbacks: Those of the call; short for ``config={"callbacks": callbacks}``.
        config: Of the call.

    Raises:
        InvalidConfigError: A call would refuse *config* too.
        TypeError: *runnable* is no component.
    """
    if callbacks is not None:
        config = {**(config or {}), "callbacks": callbacks}
    if config is not None:
        check_config(config)
    own, runtime = None, (config or {}).get("callbacks")
    if runnable is not None:
        if not hasattr(runnable, "explained"):
            raise TypeError(
                f"explain() takes a component, and a {type(runnable).__name__} is none. Pass "
                "names and handlers as explain(callbacks=[...])."
            )
        own, runtime = runnable.explained(config)
    try:
        return _trace(own, runtime).as_resolution()
    except SettingsError as error:
        row = Row("the settings", "the environment", "refused", reason=str(error))
        return Resolution(NOBODY, (row,), (error,))


@dataclass(frozen=True, slots=True)
class _Traced:
    """A fold, what it was folded onto, and each problem with whether the call brought it."""

    base: CallbackManager
    folded: Folded
    rows: tuple[Row, ...] = ()
    problems: tuple[tuple[ChainCallbacksError, bool], ...] = ()

    @property
    def fatal(self) -> ChainCallbacksError | None:
        return self.folded.fatal

    def as_resolution(self) -> Resolution:
        manager = over(self.base, self.folded)
        return Resolution(manager, self.rows, tuple(problem for problem, _ in self.problems))


def _trace(own: Attachments | None, runtime: Any) -> _Traced:
    """Fold everything at once, from nothing where no run is around: each entry has a row."""
    scope, attached, runtime, bound = unwrapped(here(), runtime)
    items: list[Item] = []
    rows: list[Row] = []
    problems: list[tuple[ChainCallbacksError, bool]] = []
    given, runtime = given_manager(runtime)
    base = manager_of(scope) or NOBODY
    if isinstance(scope, Quiet) or (given is None and scope is None and settings().is_disabled):
        # While a handler runs, and where all is disabled, nobody is told of anything.
        return _Traced(NOBODY, Folded(NOBODY.here, NOBODY.down, (), ()))
    if given is not None:
        base, attached = given, []
    elif scope is None:
        items, wrong = environment_items()
        problems += [(error, False) for error in wrong]
        rows += [
            Row(error.entry, error.source, "refused", reason=str(error))
            for error in wrong
            if isinstance(error, InvalidNameError)
        ]
    environment = len(items)
    sources = [(layer.callbacks, layer.source) for layer in (*attached, own, *bound) if layer]
    for callbacks, source in (*sources, (runtime, RUNTIME)):
        try:
            items.extend(items_of(callbacks, source))
        except ChainCallbacksError as error:
            problems.append((error, True))
            rows.append(Row(_shown(callbacks), source, "refused", reason=str(error)))
    folded = fold(base.down, items)
    configured = {item.source for item in items[:environment]}
    problems += [
        (error, source not in configured)
        for error, source in zip(folded.problems, folded.sources, strict=True)
    ]
    return _Traced(base, folded, (*rows, *folded.rows), tuple(problems))


def _shown(callbacks: Any) -> str:
    return callbacks if isinstance(callbacks, str) else type(callbacks).__name__


def check() -> None:
    """Raise everything that is wrong with the configuration, all at once; for a service's start.

    The names of the environment and of the file are resolved, and their handlers made.

    Raises:
        ConfigurationErrors: A group with one error for each thing that is wrong.
        SettingsError: The framework's own settings cannot be read.
    """
    if settings().is_disabled:
        return
    items, problems = environment_items()
    problems += fold(Routes(), items).problems
    sentences = misspelt_variables()
    if sentences:
        problems.append(SettingsError(problems=sentences))
    if problems:
        raise ConfigurationErrors(problems)


def reload() -> None:
    """Close the named handlers and read everything anew: environment, file, what is installed.

    Runs that go on keep the handlers they have, which are closed now; runs that start get new ones.
    """
    instances.reset()


def requested(text: str, *, allow: Iterable[str]) -> list[str]:
    """Return the handler names in a text from outside, such as a request's; nothing but names.

    Args:
        text: Names, separated by commas.
        allow: The only ones that may be in it.

    Raises:
        HandlerDeniedError: It holds anything else: another name, ``none``, a removal, an instance.
        InvalidNameError: *allow* holds anything but names.
    """
    allowed = {_name(each) for each in ([allow] if isinstance(allow, str) else allow)}
    rule = f"requested(allow={tuple(sorted(allowed))!r})"
    names: list[str] = []
    refused: str | None = None
    for part in text.split(","):
        stripped = part.strip()
        try:
            name = _name(stripped) if stripped else None
        except InvalidNameError:
            refused = stripped
            continue
        if name in allowed:
            names.append(name)
        elif name is not None:
            refused = stripped
    if refused is not None:
        # Cut: it is somebody else's text, and goes into logs.
        raise HandlerDeniedError(name=refused[:_LONGEST_SHOWN], source="a request", rule=rule)
    return list(dict.fromkeys(names))


_LONGEST_SHOWN: Final = 60


def _name(text: str) -> str:
    return parse_plain_name(text, source="requested(allow=...)")
