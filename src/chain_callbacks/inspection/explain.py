"""Who a run would tell, and why: the resolver's own record of a call, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..dispatch.manager import NOBODY
from ..errors import SettingsError
from ..resolution.config import check
from ..resolution.record import Row
from ..resolution.resolver import Resolution, as_resolution, recorded
from ..resolution.sources import Attachments


class Explained(Protocol):
    """What ``explain`` asks a component: what a call of it is resolved from."""

    def explained(self, config: Any, /) -> tuple[Attachments | None, Any]:
        """Return what its constructor attached, and the callbacks of the call."""
        ...


def explain(
    runnable: Explained | None = None,
    *,
    callbacks: Any = None,
    config: Mapping[str, Any] | None = None,
) -> Resolution:
    """Return who a call of *runnable*, or a run that starts here, tells, without running anything.

    What cannot be used is a row that says why, and one of ``problems``. Print the result.

    Args:
        runnable: A component; without one, a run that is started by hand.
        callbacks: Those of the call; short for ``config={"callbacks": callbacks}``.
        config: Of the call.

    Raises:
        InvalidConfigError: A call would refuse *config* too.
        TypeError: *runnable* is no component.
    """
    if callbacks is not None:
        config = {**(config or {}), "callbacks": callbacks}
    if config is not None:
        check(config)
    own, runtime = None, (config or {}).get("callbacks")
    if runnable is not None:
        if not hasattr(runnable, "explained"):
            raise TypeError(
                f"explain() takes a component, not a {type(runnable).__name__}. Pass names and "
                "handlers as explain(callbacks=[...])."
            )
        own, runtime = runnable.explained(config)
    try:
        return as_resolution(*recorded(own, runtime))
    except SettingsError as error:
        row = Row("the settings", "the environment", "refused", reason=str(error))
        return Resolution(NOBODY, (row,), (error,))
