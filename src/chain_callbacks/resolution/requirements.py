"""Whether a plugin's requirement of this project is met: the little of PEP 440 that it takes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .names import normalised

_REQUIREMENT: Final = re.compile(
    r"\s*(?P<name>[A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?(?P<specifier>[^;)]*)\)?\s*(?:;.*)?"
)
_CLAUSE: Final = re.compile(
    r"(?P<operator>~=|==|!=|<=|>=|<|>)\s*(?P<version>\d+(?:\.\d+)*)(?P<rest>.*)"
)


@lru_cache(maxsize=1)
def own_version() -> str:
    """Return the version of this project that is installed; "0" where it has no metadata."""
    import importlib_metadata

    try:
        return importlib_metadata.version("chain-callbacks")
    except importlib_metadata.PackageNotFoundError:
        return "0"


def specifier_for(requirement: str, name: str) -> str | None:
    """Return the versions that a line of ``Requires-Dist`` asks of *name*; None if of another.

    A line that holds only for an extra, or somewhere else, is taken for one of nobody.
    """
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None or normalised(match["name"]) != name or ";" in requirement:
        return None
    return match["specifier"].strip()


def admits(specifier: str, version: str) -> bool:
    """Tell whether *version* is one of those; what is not understood is taken for met."""
    own = _release(version)
    if own is None or own == (0,):
        return True
    return all(_holds(clause.strip(), own) for clause in specifier.split(",") if clause.strip())


def _release(version: str) -> tuple[int, ...] | None:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return None if match is None else tuple(map(int, match[0].split(".")))


def _holds(clause: str, own: tuple[int, ...]) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None or match["rest"].strip() not in ("", ".*"):
        return True
    asked = tuple(map(int, match["version"].split(".")))
    width = max(len(own), len(asked))
    left, right = (each + (0,) * (width - len(each)) for each in (own, asked))
    match match["operator"]:
        case "==":
            return left[: len(asked)] == asked if match["rest"] else left == right
        case "!=":
            return left[: len(asked)] != asked if match["rest"] else left != right
        case "~=":
            return left >= right and left[: len(asked) - 1] == asked[:-1]
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right
