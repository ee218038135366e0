"""What the environment says, read raw: which variables are ours, and whether one has changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

NAMES: Final = "CHAIN_CALLBACKS"
"""The variable that names the handlers."""

_raw: Final[Mapping[Any, Any]] = getattr(os.environ, "_data", os.environ)
_encode: Final[Callable[[str], Any]] = getattr(os.environ, "encodekey", lambda name: name)

CORE: Final = tuple(
    NAMES + suffix
    for suffix in (
        "",
        "_REQUIRE",
        "_ALLOW",
        "_DENY",
        "_DISABLED",
        "_STRICT",
        "_PLUGINS",
        "_HOSTS",
        "_CONFIG",
        "_SECRETS_DIR",
        "_DELIVERY",
        "_EXIT_TIMEOUT",
        "_FLUSH_ON_SIGTERM",
        "_REDACT_KEYS",
        "_REDACTOR",
    )
)
"""The variables of the framework itself; a change of one is seen by the next root run."""

_core_keys: Final = tuple(_encode(name) for name in CORE)


# Every root call asks these two. Looking a missing name up in `os.environ` raises and encodes, for
# over a microsecond each; the mapping behind it does neither, and this way none of it is Python.

values: Final = partial(map, _raw.get, _core_keys)
"""Gives the variables of the framework as they are now: ``tuple(values())`` tells of a change."""

is_empty: Final = partial(_raw.keys().isdisjoint, _core_keys)
"""Tells whether none of them is set."""


def unknown_variables() -> tuple[str, ...]:
    """Return the variables that begin as ours do and are none of the framework's, nor a handler's.

    A handler's have two underscores in them, which is how a misspelt one is told apart.
    """
    begins = f"{NAMES}_"
    return tuple(
        sorted(
            variable
            for variable in os.environ
            if variable.startswith(begins)
            and variable not in CORE
            and "__" not in variable[len(begins) :].strip("_")
        )
    )


def prefix_of(name: str, instance: str | None = None) -> str:
    """Return what the variables of a handler begin with: ``CHAIN_CALLBACKS_SLACK__``.

    Two underscores, so that a handler whose name has a dash is never taken for a field.
    """
    words = (name,) if instance is None else (name, instance)
    return f"{NAMES}_" + "".join(word.replace("-", "_").upper() + "__" for word in words)


def variables_of(name: str, instance: str | None = None) -> dict[str, str]:
    """Return the settings that the environment has for a handler, by field in lower case.

    Those of its named instances are left out: ``SLACK__AUDIT__TOKEN`` is of ``slack:audit``.
    """
    prefix = prefix_of(name, instance)
    return {
        field.lower(): value
        for variable, value in os.environ.items()
        if variable.upper().startswith(prefix)
        and "__" not in (field := variable[len(prefix) :])
        and field
    }


def state_of(name: str, instance: str | None = None) -> int:
    """Return a number that differs once a setting of a handler has changed, and tells no value."""
    return hash(frozenset(variables_of(name, instance).items()))


def instances_of(name: str) -> tuple[str, ...]:
    """Return the named instances that the environment configures, sorted."""
    prefix = prefix_of(name)
    found = {
        variable[len(prefix) :].split("__")[0].lower().replace("_", "-")
        for variable in os.environ
        if variable.upper().startswith(prefix) and "__" in variable[len(prefix) :]
    }
    return tuple(sorted(found - {""}))
