"""A bound on the values of a metric's attribute: what is made of a user's data is no series."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from .names import OTHER

_MOST: Final = 100
"""Different values of one attribute; a program has fewer models, tools and agents than that."""


class Bounds:
    """The first values of each attribute; those that come later are ``_OTHER`` in a metric."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def beyond(self, values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        """Return what a metric has in the place of those *values* that are too many."""
        return {name: OTHER for name, value in values if value and not self._has(name, str(value))}

    def _has(self, name: str, value: str) -> bool:
        seen = self._seen[name]
        if value in seen:
            return True
        with self._lock:
            if len(seen) < self._most:
                seen.add(value)
        return value in seen
