"""The command ``explain``: who would hear a run that starts now, as a table or as JSON.

The handlers that are named are made, which shows whether they can be. What cannot be used is a
line of the table, not an error: the exit code is 0.

``--json`` prints an object; keys may be added, none goes within a major version::

    {"entries": [{
        "number": 1,                    # what "into #1" in a reason refers to
        "name": "slack",                # the handler's name, or what was written if it has none
        "text": "Slack",                # what was written
        "source": "CHAIN_CALLBACKS",    # where: 'config["callbacks"][0]' is the first NAME
        "status": "active",             # merged, removed, removes, none, unknown, broken,
                                        # refused, denied
        "reason": "",                   # why, where the status needs one
        "policy": "",                   # such as "only=errors content=none"
        "content": "none",              # how it is told, after all policies and its own defaults;
        "delivery": "queued",           # null unless it is active
        "on_error": "log",
        "stated_by": [],                # such as "only=errors by CHAIN_CALLBACKS_SLACK__ONLY"
        "distribution": "chain-callbacks-slack",  # null where none offers it, or none was asked
        "version": "0.1.0",                       # the same
        "events": ["on_chain_error"],   # what it listens to; empty unless it is active
        "delivered": 0,                 # how often it was told in this process,
        "failed": 0,                    # how often it failed in that, and how many events its
        "dropped": 0                    # queue dropped: all 0 from outside
    }]}
"""

from __future__ import annotations

from argparse import Namespace

from .. import explain
from ..resolution.settings import settings
from .arguments import read_names
from .output import say, say_data


def run(arguments: Namespace) -> int:
    """Print what CHAIN_CALLBACKS and the names of the command line give together."""
    resolution = explain(config={"callbacks": read_names(arguments.names)})
    if arguments.json:
        say_data({"entries": resolution.as_data()})
        return 0
    say(str(resolution))
    if not resolution.rows:
        is_disabled = settings().disabled
        say(
            "CHAIN_CALLBACKS_DISABLED is set."
            if is_disabled
            else "CHAIN_CALLBACKS names none; try: chain-callbacks explain console"
        )
    return 0
