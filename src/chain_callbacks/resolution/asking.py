"""What a program asks the resolver: who would listen, and what is wrong with its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..dispatch.context import Quiet, here
from ..dispatch.manager import CallbackManager
from ..dispatch.routes import Routes
from ..dispatch.runs import Run
from ..errors import (
    ChainCallbacksError,
    ConfigurationErrors,
    HandlerDeniedError,
    InvalidNameError,
    SettingsError,
)
from . import factory
from .explanation import Row, describe, table
from .fold import Folded, fold
from .names import parse_entry
from .operator import operator
from .resolver import enter, given_manager, unwrapped
from .root import environment_items, misspelt_variables
from .scope import manager_here
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

    Args:
        callbacks: A name, a handler, a manager, or a list of them; as ``config["callbacks"]``.
        constructor: The same, as a component's constructor takes it.

    Raises:
        ChainCallbacksError: One of them cannot be used.
    """
    own = None if constructor is None else Attachments(constructor, "constructor")
    config = {"callbacks": callbacks}
    manager = enter(own, config)
    return Resolution(manager or manager_here(), _trace(own, callbacks).rows, ())


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
    scope, attached, runtime, bound = unwrapped(here(), runtime)
    manager, runtime = given_manager(runtime)
    items: list[Item] = []
    problems: list[ChainCallbacksError] = []
    base = Routes()
    if manager is not None:
        base, attached = manager.down, []
    elif scope is None:
        if operator().is_disabled:
            return Folded(base, base, (), ())
        items, problems = environment_items()
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
    """
    if operator().is_disabled:
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
    factory.reset()


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
    source = "requested(allow=...)"
    operation, ref, _ = parse_entry(text, source=source)
    if operation != "add" or str(ref) != ref.name:
        raise InvalidNameError(entry=text, position=1, source=source)
    return ref.name
