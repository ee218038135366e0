"""What is kept of a run that failed: facts, cut to a size that does not depend on the program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, Self
from uuid import UUID

# Slack takes 3,000 characters in a section's text and 2,000 in a field. Escaping makes five of one,
# so the longest, a path of six names, stays under 2,500.
_LONGEST: Final = 60
_NAMES_SHOWN: Final = 6


class Failure(NamedTuple):
    """One root run that was left by an exception, as it will be told; not escaped.

    Attributes:
        group: Equal for what has the same class of error and the same origin.
        key: Equal for what is one error, whoever tells of it.
        name, error_class: Of the run, and of the exception.
        began: The names of the runs from the root to where the exception began.
        run_id: The run's.
        failed_at: When, in UTC.
        duration: Of the run, in seconds; None if nobody knows.
    """

    group: int
    key: UUID
    name: str
    error_class: str
    began: str
    run_id: UUID
    failed_at: datetime
    duration: float | None

    @classmethod
    def of(
        cls,
        *,
        name: str,
        error_class: str,
        origin: Sequence[str],
        run_id: UUID,
        error_id: UUID | None,
        failed_at: datetime,
        duration: float | None,
    ) -> Self:
        """Return what is kept of these facts; without an *error_id*, each run is its own error."""
        path = tuple(origin) or (name,)
        return cls(
            group=hash((error_class, path)),  # Names of any length are compared, and not kept.
            key=error_id or run_id,
            name=cut(name),
            error_class=cut(error_class),
            began=_path(path),
            run_id=run_id,
            failed_at=failed_at,
            duration=duration,
        )


def cut(text: str) -> str:
    """Return *text*, or of a long one the beginning and its length."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _path(names: Sequence[str]) -> str:
    shown = [cut(name) for name in (*names[:1], *names[1:][1 - _NAMES_SHOWN :])]
    if len(names) > _NAMES_SHOWN:
        # The ends say most: what was called, and where it broke.
        shown[1] = f"… {len(names) - _NAMES_SHOWN + 1:,} more …"
    return " > ".join(shown)
