"""Which handlers are installed: entry points of the group, read once, nothing imported.

pluggy's own scan imports what it finds and stops at the first failure, and one bad line in an
unrelated distribution breaks ``entry_points()`` for everybody. So each distribution is read inside
a guard of its own, and only those that offer something to us are looked at twice.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .names import Ref, handler_name, normalised

if TYPE_CHECKING:
    from importlib_metadata import Distribution, EntryPoint

log = logging.getLogger("chain_callbacks")

GROUP: Final = "chain_callbacks"
"""The entry-point group, which is version 1 of the plugin API."""

HOSTS: Final = "chain_callbacks.hosts"
"""The group of those that bridge a host: the name is the host's import name."""

CONVERSIONS: Final = "chain_callbacks.conversions"
"""The group of those that put events into another framework's types, by its import name."""

_OTHER_GROUPS: Final = (HOSTS, CONVERSIONS)

FIRST_PARTY: Final[Mapping[str, Mapping[str, str]]] = {
    GROUP: {
        "console": "chain-callbacks",
        "otel": "chain-callbacks-otel",
        "slack": "chain-callbacks-slack",
        "structlog": "chain-callbacks",
    },
    HOSTS: {
        "anthropic": "chain-callbacks-anthropic",
        "langchain_core": "chain-callbacks-langchain",
        "langgraph": "chain-callbacks-langchain",
        "openai": "chain-callbacks-openai",
    },
    CONVERSIONS: {"langchain_core": "chain-callbacks-langchain"},
}
"""The names that this project publishes in each group, and the distribution that owns each.

Another distribution that claims one is reached as ``distribution/name`` only, and only these
distributions are ever suggested for installation."""


def owner_of(name: str, group: str = GROUP) -> str | None:
    """Return the distribution of ours that owns *name*; None where anybody may offer it."""
    return FIRST_PARTY[group].get(name)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One entry point: a handler's name, and the distribution that offers it."""

    name: str
    value: str
    distribution: str
    entry_point: EntryPoint
    found: Distribution

    @property
    def owner(self) -> str | None:
        """The distribution of ours that owns its name; None where anybody may offer it."""
        return owner_of(self.name, self.entry_point.group)

    @property
    def is_first_party(self) -> bool:
        """Whether it is this project's own: its distribution owns the name."""
        return normalised(self.distribution) == self.owner

    @property
    def version(self) -> str | None:
        """The distribution's version; None where its metadata cannot be read."""
        try:
            return self.found.version
        except Exception:
            return None

    @property
    def location(self) -> str | None:
        """The folder that the distribution is installed in; None where it cannot be told."""
        try:
            return str(self.found.locate_file(""))
        except Exception:
            return None


@dataclass(frozen=True)
class Index:
    """What one scan found: for each name the candidates, one a distribution.

    *others* has the same for the groups that offer no handlers, by group.
    """

    candidates: dict[str, tuple[Candidate, ...]]
    others: dict[str, dict[str, tuple[Candidate, ...]]] = field(default_factory=dict)

    def find(self, ref: Ref) -> tuple[Candidate, ...]:
        """Return who offers the handler; more than one only where the name alone cannot tell."""
        offered = self.candidates.get(ref.name, ())
        wanted = ref.distribution or owner_of(ref.name)
        if wanted is None:
            return offered
        return tuple(each for each in offered if normalised(each.distribution) == wanted)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are offered and found by name alone, sorted."""
        return tuple(sorted(name for name in self.candidates if self.find(Ref(name))))


def _path() -> list[str]:
    # What is no text, or no path, is nothing to imports, and breaks the search for distributions.
    entries: list[object] = [*sys.path]
    return [entry for entry in entries if isinstance(entry, str) and "\0" not in entry]


def _fingerprint() -> tuple[tuple[str, int], ...]:
    # An installation changes the time of the folder it goes into.
    stamped = []
    for entry in _path():
        try:
            stamped.append((entry, Path(entry).stat().st_mtime_ns))
        except OSError:
            stamped.append((entry, 0))
    return tuple(stamped)


def _distributions(**criteria: Any) -> Iterator[Distribution]:
    import importlib_metadata

    context = importlib_metadata.DistributionFinder.Context(  # type: ignore[no-untyped-call]
        path=_path(), **criteria
    )
    # What `importlib_metadata.distributions` does, each finder inside a guard of its own.
    for finder in tuple(sys.meta_path):
        try:
            yield from getattr(finder, "find_distributions", _nothing)(context)
        except Exception as error:
            log.debug("%s found no distributions: %s.", finder, type(error).__name__)


def _nothing(_context: object) -> tuple[Distribution, ...]:
    return ()


def _offers(distribution: Distribution) -> Iterator[Candidate]:
    text = distribution.read_text("entry_points.txt")
    if not text or GROUP not in text:
        return
    name = distribution.metadata["Name"]
    if not name:
        return
    # What comes first on the path hides the others of its name, an older version among them.
    first = next(_distributions(name=name), distribution)
    if first.read_text("entry_points.txt") != text:
        return
    for entry_point in distribution.entry_points:
        is_handler = entry_point.group == GROUP
        if is_handler or entry_point.group in _OTHER_GROUPS:
            key = handler_name(entry_point.name) if is_handler else entry_point.name
            yield Candidate(key, entry_point.value, name, entry_point, distribution)


def scan() -> Index:
    """Read the entry points of all that is installed; what cannot be read is passed over."""
    found: dict[tuple[str, str, str], Candidate] = {}
    for distribution in _distributions():
        try:
            for each in _offers(distribution):
                key = (each.entry_point.group, each.name, normalised(each.distribution))
                found.setdefault(key, each)
        except Exception as error:
            log.debug("A distribution was passed over: %s.", type(error).__name__)
    groups: dict[str, dict[str, tuple[Candidate, ...]]] = {}
    for (group, name, _), candidate in sorted(found.items(), key=lambda item: item[0]):
        by_name = groups.setdefault(group, {})
        by_name[name] = (*by_name.get(name, ()), candidate)
    return Index(groups.pop(GROUP, {}), groups)


_LEAST_SECONDS: Final = 1.0
"""How long a scan that a missing name asked for is the last one; folders may change all the time.
"""


class _Cache:
    """The last scan, what the path looked like before it, and when one was last made anew."""

    fingerprint: tuple[tuple[str, int], ...] | None = None
    index: Index | None = None
    renewed: float | None = None


_cache = _Cache()


def index(*, fresh: bool = False) -> Index:
    """Return the index, from the scan that this process made.

    *fresh* scans again if the path, or a folder on it, has changed since: so a plugin is found
    that was installed meanwhile, and asking for a missing name twice scans once.
    """
    found = _cache.index
    if found is None or (fresh and _may_renew()):
        # Taken before the scan: what changes during it is seen the next time. No lock: two threads
        # that scan at once find the same.
        fingerprint = _fingerprint()
        if found is None or _cache.fingerprint != fingerprint:
            _cache.renewed = time.monotonic() if fresh else None
            found = scan()
            _cache.index, _cache.fingerprint = found, fingerprint
    return found


def _may_renew() -> bool:
    return _cache.renewed is None or time.monotonic() - _cache.renewed >= _LEAST_SECONDS


def forget() -> None:
    """Have the next question answered by a new scan."""
    _cache.index = _cache.renewed = None
