"""The ids of the current run on an application's own log lines, in structlog and in ``logging``.

A run is made only where somebody listens; elsewhere there are no ids to put on a line.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from ..dispatch.manager import manager_around


def add_run_ids(
    logger: Any,  # noqa: ARG001  A processor's signature is structlog's.
    method_name: str,  # noqa: ARG001
    event_dict: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Return the line with ``run_id`` and ``root_run_id`` of the current run.

    A structlog processor: ``structlog.configure(processors=[add_run_ids, ...])``. Outside of a run
    it adds nothing; it never replaces a value that the line has.
    """
    run = manager_around().parent
    if run is not None:
        event_dict.setdefault("run_id", str(run.id))
        event_dict.setdefault("root_run_id", str(run.root_id))
    return event_dict


class RunIdFilter(logging.Filter):
    """Puts ``run_id`` and ``root_run_id`` of the current run on each record; lets every one pass.

    Add it to a ``logging`` handler, and ``%(run_id)s`` to the format. Outside of a run both are
    None; a value that the record has already, from ``extra``, is kept.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the ids on *record*; return True."""
        run = manager_around().parent
        for name, value in (
            ("run_id", run and str(run.id)),
            ("root_run_id", run and str(run.root_id)),
        ):
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
