"""The handler names of a command line, checked before anything else happens."""

from __future__ import annotations

from collections.abc import Sequence

from ..resolution.names import parse_list


def read_names(given: Sequence[str]) -> list[str]:
    """Return the entries that were given, each alone or several joined by commas.

    Raises:
        InvalidNameError: One of them is no entry.
    """
    return [entry.text for entry in parse_list(",".join(given), source="the command line")]
