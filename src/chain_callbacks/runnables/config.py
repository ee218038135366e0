"""The ``config`` of a call: how two add up, and what a nested call is given of it."""

from __future__ import annotations

from typing import Final

from ..dispatch.manager import manager_around
from ..dispatch.run import Run

# The modules beside this one import both from here.
from ..resolution.config import RunnableConfig as RunnableConfig  # noqa: PLC0414
from ..resolution.config import check as check  # noqa: PLC0414
from ..resolution.sources import Attachments, Layered

DEFAULT_RECURSION_LIMIT: Final = 25


def merged(
    bound: RunnableConfig, attachments: Attachments | None, config: RunnableConfig | None
) -> RunnableConfig:
    """Return what ``with_config`` bound with what the call says added; neither is changed."""
    result: RunnableConfig = {**bound, **(config or {})}
    if config:
        result["tags"] = [*(bound.get("tags") or ()), *(config.get("tags") or ())]
        result["metadata"] = {**(bound.get("metadata") or {}), **(config.get("metadata") or {})}
        for key in bound.keys() & config.keys():
            if config.get(key) is None:
                result[key] = bound[key]  # type: ignore[literal-required]
    if attachments is not None:
        result["callbacks"] = Layered(attachments, result.get("callbacks"))
    return result


def child_config(run: Run | None) -> RunnableConfig:
    """Return the config that a function is given: its child manager, and what is inherited."""
    manager = manager_around() if run is None else run.manager()
    config: RunnableConfig = {
        "callbacks": manager if manager.parent is not None else None,
        "tags": [*manager.tags],
        "metadata": {**manager.metadata},
        "recursion_limit": manager.limits.get("recursion_limit", DEFAULT_RECURSION_LIMIT),
    }
    if (most := manager.limits.get("max_concurrency")) is not None:
        config["max_concurrency"] = most
    return config


def limits_here() -> RunnableConfig:
    """Return the limits that hold where the caller is: of the current run, or of nobody."""
    return {**manager_around().limits}  # type: ignore[typeddict-item]
