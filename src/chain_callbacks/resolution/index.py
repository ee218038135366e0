"""Which handlers are installed: the entry points of our groups, read once, nothing imported.

pluggy's own scan imports what it finds and stops at the first failure, and one bad line in an
unrelated distribution breaks ``entry_points()`` for everybody. So each distribution is read inside
a guard of its own, and only those that offer something to us are read twice.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .names import Ref, handler_name, normalised
from .ownership import CONVERSIONS, GROUP, HOSTS, owner_of

if TYPE_CHECKING:
    from importlib_metadata import Distribution, EntryPoint

log = logging.getLogger("chain_callbacks")

_GROUPS: Final = frozenset({GROUP, HOSTS, CONVERSIONS})


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a handler comes from, for anyone to see; all None for one registered by hand."""

    distribution: str | None = None
    version: str | None = None
    location: str | None = None
    value: str | None = None


UNKNOWN: Final = Provenance()
"""The provenance of a handler that no distribution offers."""


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
        """The distribution of ours that owns its name; None if anybody may offer it."""
        return owner_of(self.name, self.entry_point.group)

    @property
    def is_first_party(self) -> bool:
        """Whether it is this project's own: its distribution owns the name."""
        return normalised(self.distribution) == self.owner

    @property
    def provenance(self) -> Provenance:
        """Where it comes from; the distribution's metadata is read for it."""
        return Provenance(self.distribution, self.version, self.location, self.value)

    @property
    def version(self) -> str | None:
        """The distribution's version; None if its metadata cannot be read."""
        try:
            return self.found.version
        except Exception:
            return None

    @property
    def location(self) -> str | None:
        """The folder that the distribution is installed in; None if that is unknown."""
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


def scan() -> Index:
    """Read the entry points of everything that is installed, but what cannot be read.

    The loops are plain ones: there may be a thousand distributions, and few concern us.
    """
    import importlib_metadata

    context_of: Any = importlib_metadata.DistributionFinder.Context
    path = _path()
    found: dict[tuple[str, str, str], Candidate] = {}
    # What `importlib_metadata.distributions` does, each finder inside a guard of its own.
    for finder in tuple(sys.meta_path):
        try:
            for distribution in _search(finder, context_of(path=path)):
                try:
                    text = distribution.read_text("entry_points.txt")
                    if text and GROUP in text:
                        for each in _offered(distribution, text, context_of, path):
                            group = each.entry_point.group
                            key = (group, each.name, normalised(each.distribution))
                            found.setdefault(key, each)
                except Exception as error:
                    log.debug("A distribution was passed over: %s.", type(error).__name__)
        except Exception as error:
            log.debug("%s found no distributions: %s.", finder, type(error).__name__)
    groups: dict[str, dict[str, tuple[Candidate, ...]]] = {}
    for key in sorted(found):
        by_name = groups.setdefault(key[0], {})
        by_name[key[1]] = (*by_name.get(key[1], ()), found[key])
    return Index(groups.pop(GROUP, {}), groups)


def _search(finder: object, context: Any) -> Iterable[Distribution]:
    found: Iterable[Distribution] = getattr(finder, "find_distributions", _nothing)(context)
    return found


def _nothing(_context: object) -> tuple[Distribution, ...]:
    return ()


def _offered(
    distribution: Distribution, text: str, context_of: Any, path: list[str]
) -> list[Candidate]:
    """Return what a distribution offers to us; nothing if another one hides it."""
    name = distribution.metadata["Name"]
    if not name:
        return []
    # What comes first on the path hides the others of its name, an older version among them.
    first = _first(context_of(name=name, path=path)) or distribution
    if first.read_text("entry_points.txt") != text:
        return []
    return [
        Candidate(
            handler_name(each.name) if each.group == GROUP else each.name,
            each.value,
            name,
            each,
            distribution,
        )
        for each in distribution.entry_points
        if each.group in _GROUPS
    ]


def _first(context: Any) -> Distribution | None:
    for finder in tuple(sys.meta_path):
        try:
            for distribution in _search(finder, context):
                return distribution
        except Exception as error:
            log.debug("%s found no distributions: %s.", finder, type(error).__name__)
    return None


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
