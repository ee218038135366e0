"""The command ``list``: what is installed, where it comes from, and whether it is enabled.

Bridges to hosts stand below the handlers; one is enabled if programs that ask for bridges get it.

``--json`` prints an object; keys may be added, none goes within a major version::

    {"handlers": [{
        "name": "slack",          # the handler's name
        "entry": "slack",         # what to write to mean it; "distribution/slack" where need be
        "kind": "handler",        # "hooks": a policy plugin, for CHAIN_CALLBACKS_PLUGINS; "bridge"
        "enabled": true,          # the environment, or the file, names it: every run is heard
        "distribution": "chain-callbacks-slack",       # null where it was registered
        "version": "0.1.0",                            # null where it cannot be told
        "location": "/usr/lib/python3/site-packages",  # null where it cannot be told
        "value": "chain_callbacks_slack:SlackHandler"  # of the entry point, or the file's class
    }],
     "bridges": [...]}    # the same keys; "entry" is what to write in CHAIN_CALLBACKS_HOSTS
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Final, NamedTuple

from ..errors import ChainCallbacksError
from ..hosts.selection import entry_for, offered, selection
from ..resolution.index import Candidate, index
from ..resolution.instances import FROM_FILE, REGISTERED, Key, identify, registered_names
from ..resolution.merge import chosen
from ..resolution.names import DEFAULT_INSTANCE, Ref
from ..resolution.resolver import configured_items
from ..resolution.settings import Settings, settings
from ..text import aligned, shortened
from .output import say, say_data

_HEAD: Final = ("name", "enabled", "distribution", "version", "from")


class Listed(NamedTuple):
    """What can be said of a handler without importing it: the JSON, in its order."""

    name: str
    entry: str
    kind: str
    enabled: bool
    distribution: str | None
    version: str | None
    location: str | None
    value: str | None


def run(arguments: Namespace) -> int:
    """Print what is installed and registered; nothing of a plugin is imported."""
    current = settings()
    enabled = _enabled(current)
    found = (*_registered(enabled), *_of_file(current, enabled), *_installed(current, enabled))
    listed = sorted(found, key=lambda each: (each.name, each.entry))
    bridges = list(_bridges())
    if arguments.json:
        say_data(
            {
                "handlers": [each._asdict() for each in listed],
                "bridges": [each._asdict() for each in bridges],
            }
        )
    elif listed or bridges:
        say(aligned(_HEAD, [_cells(each) for each in (*listed, *bridges)]))
    else:
        say("No handler is installed.")
    return 0


def _cells(each: Listed) -> tuple[str, ...]:
    enabled = "yes" if each.enabled else "-"
    return (
        shortened(each.entry),
        enabled if each.kind == "handler" else f"{enabled} ({each.kind})",
        each.distribution or "-",
        each.version or "-",
        each.location or "registered",
    )


def _enabled(current: Settings) -> frozenset[Key]:
    """Return the handlers that the environment, or its file, attaches to every run.

    What cannot be used is passed over, as a run does it; ``explain`` says why. What a policy
    plugin changes is not known here: asking one imports it.
    """
    return frozenset() if current.disabled else chosen(configured_items())


def _registered(enabled: frozenset[Key]) -> Iterator[Listed]:
    for name in registered_names():
        is_enabled = _is_among(enabled, REGISTERED, name)
        yield Listed(name, name, "handler", is_enabled, None, None, None, None)


def _of_file(current: Settings, enabled: frozenset[Key]) -> Iterator[Listed]:
    file = None if current.config is None else str(current.config)
    for entry, section in current.handlers.items():
        if isinstance(section.get("class"), str):
            name, _, instance = entry.partition(":")
            is_enabled = Key(FROM_FILE, name, instance or DEFAULT_INSTANCE) in enabled
            yield Listed(name, entry, "handler", is_enabled, None, None, file, section["class"])


def _installed(current: Settings, enabled: frozenset[Key]) -> Iterator[Listed]:
    hooks = {ref.name for ref in current.plugins}
    for each in chain.from_iterable(index().candidates.values()):
        # The value of a handler has the name of a class, or a function, in its module.
        is_handler = ":" in each.value
        yield Listed(
            each.name,
            _entry_of(each),
            "handler" if is_handler else "hooks",
            _is_among(enabled, each.distribution, each.name) if is_handler else each.name in hooks,
            each.distribution,
            each.version,
            each.location,
            each.value,
        )


def _bridges() -> Iterator[Listed]:
    chosen, _ = selection()
    for each in offered():
        yield Listed(
            each.name,
            entry_for(each),
            "bridge",
            each in chosen,
            each.distribution,
            each.version,
            each.location,
            each.value,
        )


def _is_among(keys: frozenset[Key], distribution: str, name: str) -> bool:
    return any(key[:2] == (distribution, name) for key in keys)


def _entry_of(candidate: Candidate) -> str:
    """Return the name alone where that means this one; else with its distribution."""
    with suppress(ChainCallbacksError):
        if identify(Ref(candidate.name), source="list").distribution == candidate.distribution:
            return candidate.name
    return f"{candidate.distribution}/{candidate.name}"
