"""A count of failures that are not told one by one, of the same size however many they are."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final
from uuid import UUID

from .failure import Failure

RUNS: Final = 3
CLASSES: Final = 5


class Tally:
    """How many failures there were, of which classes, when, and a few of the runs.

    Attributes:
        count: Of all of them.
        first_at, last_at: When the first and the last happened; None where there were none.
        run_ids: Those of the first three.
        classes: How many of each class, for the first five; the rest are in *count* alone.
    """

    __slots__ = ("classes", "count", "first_at", "last_at", "run_ids")

    def __init__(self) -> None:
        self.count = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.run_ids: tuple[UUID, ...] = ()
        self.classes: Counter[str] = Counter()

    def add(self, failure: Failure) -> None:
        """Count one more."""
        self._extend(failure.failed_at)
        self._count(failure.error_class, 1)
        self.count += 1
        if len(self.run_ids) < RUNS:
            self.run_ids += (failure.run_id,)

    def merge(self, later: Tally) -> None:
        """Count all that *later* has."""
        for each in (later.first_at, later.last_at):
            if each is not None:
                self._extend(each)
        for error_class, count in later.classes.items():
            self._count(error_class, count)
        self.count += later.count
        self.run_ids = (self.run_ids + later.run_ids)[:RUNS]

    def _extend(self, at: datetime) -> None:
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)

    def _count(self, error_class: str, count: int) -> None:
        if error_class in self.classes or len(self.classes) < CLASSES:
            self.classes[error_class] += count
