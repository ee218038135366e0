"""The command ``show``: one handler, its settings and which are set, its events, its origin.

The handler is imported and not made. No value of a setting is shown but those of policies,
numbers, switches and choices. ``--json`` prints an object; keys may be added, none goes within a
major version::

    {"name": "slack",
     "distribution": "chain-callbacks-slack", "version": "0.1.0", "location": "/usr/lib/...",
     "value": "chain_callbacks_slack:SlackHandler",
     "sends_to": "Slack",               # null where its author does not say
     "events": ["on_chain_error"],      # empty where only making it would tell
     "instances": ["audit"],            # the named instances that are configured
     "settings": [{
        "name": "webhook_url", "kind": "SecretStr", "default": null, "description": "",
        "variable": "CHAIN_CALLBACKS_SLACK__WEBHOOK_URL",
        "is_required": true, "is_secret": true,
        "set_by": "environment",        # secret file, file, or null where nothing sets it
        "value": "********"             # null where it is not set
    }]}
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from ..inspection.show import Setting, Shown, show
from ..text import aligned, one_line
from .output import bold, say, say_data


def run(arguments: Namespace) -> int:
    """Print what there is to know of one handler."""
    shown = show(arguments.name)
    if arguments.json:
        say_data(_data(shown))
        return 0
    origin = shown.provenance
    say(bold(shown.name))
    say(f"  from      {one_line(' '.join(filter(None, (origin.distribution, origin.version))))}")
    say(f"  in        {one_line(origin.location or '-')}")
    say(f"  entry     {one_line(origin.value or 'registered')}")
    say(f"  sends to  {one_line(shown.sends_to or 'its author does not say')}")
    say(f"  events    {', '.join(shown.events) or '-'}")
    if shown.instances:
        say(f"  instances {', '.join(f'{shown.name}:{each}' for each in shown.instances)}")
    say()
    say(aligned(("setting", "type", "default", "set by", "value"), map(_cells, shown.settings)))
    return 0


def _cells(setting: Setting) -> tuple[str, ...]:
    default = "(required)" if setting.is_required else setting.default or "-"
    return (
        setting.variable,
        setting.kind,
        default,
        setting.set_by or "-",
        setting.value or "-",
    )


def _data(shown: Shown) -> dict[str, object]:
    data = asdict(shown)
    origin = data.pop("provenance")
    return {"name": data.pop("name"), **origin, **data}
