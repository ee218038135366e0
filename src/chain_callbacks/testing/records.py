"""One event as it was heard, kept after the run has gone on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Record:
    """One event of one run, as things stood when it was heard.

    Attributes:
        name: The handler's method: ``on_chain_start``.
        run_id, parent_id, root_id: Of the run, of the one around it, of the topmost one.
        run_name, run_type, tags, metadata: Of the run.
        payload: The event's arguments by name; a copy of the mapping, not of what is in it.
        status: None until the run ended.
        duration: Seconds that the run took, at its end; None before.
        at: When it was heard, in UTC, by the clock of ``deterministic()`` where that is in use.
    """

    name: str
    run_id: UUID
    parent_id: UUID | None
    root_id: UUID
    run_name: str
    run_type: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    payload: Mapping[str, Any]
    status: str | None
    duration: float | None
    at: datetime
