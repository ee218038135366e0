"""Which of the installed bridges are set up: our own, and those that the operator names.

``CHAIN_CALLBACKS_HOSTS`` is a list of names as ``CHAIN_CALLBACKS`` is, folded onto our own bridges:
``acme`` adds another distribution's, ``-openai`` takes one out, ``none`` all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ..errors import InvalidNameError, SettingsError, did_you_mean
from ..resolution.index import Candidate, index
from ..resolution.names import Entry, Ref, normalised, parse_entry
from ..resolution.ownership import FIRST_PARTY, HOSTS
from ..resolution.settings import VARIABLES, settings

VARIABLE: Final = VARIABLES["hosts"]


class Problem(NamedTuple):
    """An entry of the variable that is not usable, why, and what to do."""

    entry: str
    cause: str
    remedy: str


class Selection(NamedTuple):
    """The bridges to set up, by host and distribution, and the entries that name none."""

    chosen: tuple[Candidate, ...]
    problems: tuple[Problem, ...]


def offered() -> tuple[Candidate, ...]:
    """Return all bridges that are installed, by host, from any distribution."""
    by_host = index().others.get(HOSTS, {})
    return tuple(each for host in sorted(by_host) for each in by_host[host])


def selection() -> Selection:
    """Return the bridges to set up. A setting that cannot be read leaves our own."""
    try:
        texts = settings().hosts
    except SettingsError:  # The first run says it, and so does `doctor`.
        texts = ()
    bridges = offered()
    chosen = [each for each in bridges if each.is_first_party]
    problems: list[Problem] = []
    for text in texts:
        entry = _parsed(text)
        if isinstance(entry, Problem):
            problems.append(entry)
        elif entry.operation == "none":
            chosen.clear()
        else:
            meant = _meant(entry.ref, bridges, is_removal=entry.operation == "remove")
            problem = _problem(text, entry, meant)
            if problem is not None:
                problems.append(problem)
            elif entry.operation == "remove":
                chosen = [each for each in chosen if each not in meant]
            else:
                chosen += [each for each in meant if each not in chosen]
    return Selection(tuple(chosen), tuple(problems))


def entry_for(candidate: Candidate) -> str:
    """Return what to write to name a bridge: its host, with its distribution where need be."""
    meant = _meant(Ref(normalised(candidate.name)), offered(), is_removal=False)
    is_enough = meant == [candidate]
    return candidate.name if is_enough else f"{candidate.distribution}/{candidate.name}"


def _parsed(text: str) -> Entry | Problem:
    try:
        # The import name of a host may have dots; here they are one with dashes.
        entry = parse_entry(text.replace(".", "-"), source=VARIABLE)
    except InvalidNameError:
        entry = None
    if entry is None or entry.ref.instance is not None:
        return Problem(text, "no name of a host", "write its import name, such as openai")
    return entry


def _meant(ref: Ref, bridges: Iterable[Candidate], *, is_removal: bool) -> list[Candidate]:
    """Return the bridges that *ref* means: of a host of ours, ours alone, but all to remove."""
    found = [each for each in bridges if normalised(each.name) == ref.name]
    if ref.distribution is not None:
        return [each for each in found if normalised(each.distribution) == ref.distribution]
    return [each for each in found if is_removal or each.owner is None or each.is_first_party]


def _problem(text: str, entry: Entry, meant: Sequence[Candidate]) -> Problem | None:
    ref, is_removal = entry.ref, entry.operation == "remove"
    if len(meant) == 1 or (meant and is_removal):
        return None
    if meant:
        names = [each.distribution for each in meant]
        return Problem(text, f"offered by {' and '.join(names)}", f"write {names[0]}/{ref}")
    ours = {normalised(host): owner for host, owner in FIRST_PARTY[HOSTS].items()}
    if ref.distribution is None and ref.name in ours:
        # Taking out what is not there is no error.
        remedy = f"pip install {ours[ref.name]}"
        return None if is_removal else Problem(text, _NOTHING, remedy)
    known = {*FIRST_PARTY[HOSTS], *map(entry_for, offered())}
    hint = did_you_mean(text.removeprefix("-").rpartition("/")[2], sorted(known)).strip()
    return Problem(text, _NOTHING, hint or "install one, or remove the name")


_NOTHING: Final = "no bridge to it is installed"
