"""The ``config`` of a call: what it may hold, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict
from uuid import UUID

from ..errors import InvalidConfigError, did_you_mean, quoted


class RunnableConfig(TypedDict, total=False):
    """What a call may state; every key may be left out.

    Attributes:
        callbacks: A name, a handler, a manager, or a list of them, in addition to what is there.
        tags: Of this run and all nested in it, after those inherited.
        metadata: Likewise; the inner key wins.
        run_name: Of this run alone.
        run_id: Of this run alone; for a batch a list, one an input.
        max_concurrency: How many items of a batch, or branches, run at a time; inherited.
        recursion_limit: How many steps an agent takes, and how deep functions may return
            runnables; inherited, 25 if nobody says.
    """

    callbacks: Any
    tags: Sequence[str] | None
    metadata: Mapping[str, Any] | None
    run_name: str | None
    run_id: UUID | None
    max_concurrency: int | None
    recursion_limit: int


_KEYS: Final = frozenset(RunnableConfig.__annotations__)


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_CHECKS: Final = (
    ("tags", _is_texts, "a list of texts"),
    ("metadata", lambda value: isinstance(value, Mapping), "a mapping"),
    ("run_name", lambda value: isinstance(value, str), "a text"),
    ("run_id", lambda value: isinstance(value, UUID), "a uuid.UUID"),
    ("max_concurrency", _is_count, "a whole number above 0"),
    ("recursion_limit", _is_count, "a whole number above 0"),
)


def check(config: Mapping[str, Any]) -> None:
    """Refuse a config with something in it that would have no effect.

    Raises:
        InvalidConfigError: It is no mapping, or has an unknown key or a value of a wrong type.
    """
    if config.__class__ is dict and len(config) == 1 and "callbacks" in config:
        return  # The resolver checks them.
    if not isinstance(config, Mapping):
        raise InvalidConfigError(
            key=None,
            reason=f"is of type {type(config).__name__}",
            advice="Pass a dict: {'callbacks': [...]}.",
        )
    if not config.keys() <= _KEYS:
        key = min(map(str, config.keys() - _KEYS))
        hint = did_you_mean(key, _KEYS)
        raise InvalidConfigError(
            key=key,
            reason="is not a key of a config",
            advice=f"{hint} Valid: {quoted(sorted(_KEYS))}.".strip(),
        )
    for key, is_right, wanted in _CHECKS:
        value = config.get(key)
        if value is not None and not is_right(value):
            reason = f"is of type {type(value).__name__}"
            raise InvalidConfigError(key=key, reason=reason, advice=f"It must be {wanted}.")
