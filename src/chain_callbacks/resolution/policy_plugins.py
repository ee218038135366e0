"""Plugins that enforce something: an organisation's audit handler, or what it forbids.

Nobody names them in a list of handlers. The operator lists them in ``CHAIN_CALLBACKS_PLUGINS``,
and they fail closed: where one is missing or raises, nothing is resolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Final, NamedTuple

from ..errors import BrokenPluginError, PolicyPluginError
from . import plugins
from .index import index
from .names import Entry, Ref, parse_entry
from .settings import settings
from .sources import Attachments, Item

HOOK: Final = "chain_callbacks_resolved"


class Change(NamedTuple):
    """What a policy plugin wants changed."""

    plugin: str
    item: Item


class Proposal:
    """Who would listen, as a policy plugin sees it, and what it may change.

    Attributes:
        names: Of the handlers, in their order; of an object its class.
        handlers: The objects in the same order; None for a name whose handler is not made yet.
    """

    def __init__(self, names: tuple[str, ...], handlers: tuple[object | None, ...]) -> None:
        self.names = names
        self.handlers = handlers
        self._plugin = ""
        self._changes: list[Change] = []

    def add(self, handler: object) -> None:
        """Have *handler*, a name or an object, listen here and below; once, if it does already."""
        for item in Attachments([handler], self._source).items:
            self._changes.append(Change(self._plugin, item))

    def remove(self, name: str) -> None:
        """Have the named handler not listen, here and below."""
        entry = parse_entry(name, source=self._source)
        removal = Entry("remove", entry.ref, f"-{entry.ref}")
        self._changes.append(Change(self._plugin, Item(removal, removal.text, self._source)))

    def move_to_end(self, name: str) -> None:
        """Have the named handler told after all others."""
        self.remove(name)
        self.add(name)

    @property
    def _source(self) -> str:
        return f"the plugin {self._plugin}"


def changes_to(proposal: Proposal) -> Iterator[Change]:
    """Give what the policy plugins want changed, each asked once; nothing where there are none.

    Raises:
        PolicyPluginError: One is missing or raised.
    """
    refs = settings().plugins
    if not refs:
        return
    listed = [_load(ref) for ref in refs]
    hook = getattr(plugins.plugin_manager().hook, HOOK)
    # In pluggy's order, the last registered first, but each for itself: a failure has a name.
    for implementation in reversed(hook.get_hookimpls()):
        if implementation.plugin not in listed:
            continue  # It was loaded for a handler of its, or was listed once.
        proposal._plugin = implementation.plugin_name
        failure: BaseException | None = None
        try:
            problem = plugins.call(implementation, {"resolution": proposal})
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failure, problem = error, f"raised {plugins.describe(error)}"
        if problem is not None:
            reason = f"{HOOK} {problem}"
            raise PolicyPluginError(plugin=proposal._plugin, reason=reason) from failure
    yield from proposal._changes


def _load(ref: Ref) -> ModuleType:
    name = str(ref)
    candidates = index().find(ref) or index(fresh=True).find(ref)
    if not candidates:
        raise PolicyPluginError(plugin=name, reason="it is not installed")
    if len(candidates) > 1:
        offered = ", ".join(each.distribution for each in candidates)
        raise PolicyPluginError(plugin=name, reason=f"several distributions offer it: {offered}")
    try:
        return plugins.load_hooks(next(iter(candidates)), source="CHAIN_CALLBACKS_PLUGINS")
    except BrokenPluginError as error:
        failure = error
    raise PolicyPluginError(plugin=name, reason=failure.reason) from failure.__cause__
