"""The base of a call outside of any run: the handlers that the environment names, now."""

from __future__ import annotations

import logging
from typing import Any, Final

from ..dispatch.manager import NOBODY, CallbackManager
from ..dispatch.routes import Routes
from ..errors import ChainCallbacksError, ConfigurationErrors, InvalidNameError, did_you_mean
from . import environment as env
from . import instances
from .fold import fold
from .names import parse_entry
from .settings import settings
from .sources import Item

log = logging.getLogger("chain_callbacks")


class Root:
    """What the environment named when it was last looked at."""

    __slots__ = ("changes", "is_disabled", "is_empty", "manager", "seen")

    def __init__(self) -> None:
        self.seen: tuple[Any, ...] | None = None
        self.changes = 0
        self.manager = NOBODY
        self.is_disabled = False
        self.is_empty = False


root: Final = Root()


def root_manager() -> CallbackManager:
    """Return the root manager: of the environment as it is now, resolved when it has changed."""
    if root.is_empty and root.changes == instances.changes.count and env.is_empty():
        return root.manager
    seen = tuple(env.values())
    if root.seen != seen or root.changes != instances.changes.count:
        changes = instances.changes.count
        word = settings()
        problems: list[ChainCallbacksError] = []
        manager, fatal = NOBODY, None
        if not word.is_disabled:
            items, problems = environment_items()
            # A base of its own for each state of the environment: what is folded onto it dies
            # with it.
            folded = fold(Routes(), items)
            problems += folded.problems
            fatal = folded.fatal
            manager = CallbackManager.of(folded.here, folded.down)
        if problems and word.is_strict:
            raise ConfigurationErrors(problems)
        if fatal is not None:
            raise fatal
        for problem in problems:
            warn(problem)
        for sentence in misspelt_variables():
            log.warning("%s", sentence)
        root.manager, root.is_disabled = manager, word.is_disabled
        root.seen, root.changes = seen, changes
        root.is_empty = not any(seen)
    return root.manager


def environment_items() -> tuple[list[Item], list[ChainCallbacksError]]:
    """Return what the environment, or its file, names, and the entries that are no names."""
    items: list[Item] = []
    problems: list[ChainCallbacksError] = []
    for position, (text, source) in enumerate(settings().names, start=1):
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


class _Said:
    """What was said since something last changed: a name and why it cannot be used."""

    def __init__(self) -> None:
        self.changes = 0
        self.problems: set[tuple[str, str]] = set()


_said: Final = _Said()


def warn(problem: ChainCallbacksError) -> None:
    """Say once what is done without, whoever asks for it how often."""
    if _said.changes != instances.changes.count:
        _said.changes, _said.problems = instances.changes.count, set()
    what = (getattr(problem, "name", ""), getattr(problem, "reason", str(problem)))
    if what not in _said.problems:
        _said.problems.add(what)
        log.warning("%s\nThe run goes on without it.", problem)
