"""Token counts: of an answer, and of a stream that reports running totals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from chain_callbacks.runnables import UsageMetadata


class UsageSoFar:
    """Turns running totals into increments, since the pieces of an answer are added up."""

    def __init__(self) -> None:
        self._reported: Mapping[str, Any] = {}

    def added(self, total: UsageMetadata | None) -> UsageMetadata | None:
        """Return what *total* adds to the totals before it; None if that is nothing."""
        if total is None or total == self._reported:
            return None
        before, self._reported = self._reported, total
        return cast("UsageMetadata", _difference(total, before))


def _difference(total: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in total.items():
        old = before.get(key)
        if isinstance(value, Mapping):
            found[key] = _difference(value, old or {})
        else:
            found[key] = value - (old or 0)
    return found


def usage_of(
    *, input: int, output: int, total: int | None = None, **details: Mapping[str, Any]
) -> UsageMetadata:
    """Return token counts; of *details*, by field, those that are None are left out."""
    usage = UsageMetadata(
        input_tokens=input,
        output_tokens=output,
        total_tokens=input + output if total is None else total,
    )
    for name, counts in details.items():
        known = {kind: count for kind, count in counts.items() if isinstance(count, int)}
        if known:
            usage[name] = known  # type: ignore[literal-required]
    return usage
