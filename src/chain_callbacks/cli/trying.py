"""The command ``test``: one marked run through the real handler, and what came of it.

The run is called ``chain-callbacks test``, has the tag ``chain-callbacks:test`` and fails on
purpose where the handler listens to errors, so that an alert arrives. Exit code 1 if the handler
cannot be made, or failed. ``--json`` prints an object; keys may be added::

    {"name": "slack", "delivered": true,
     "events": ["on_chain_start", "on_chain_error"],   # what it was told
     "problems": []}                                   # what went wrong, a sentence each
"""

from __future__ import annotations

import logging
from argparse import Namespace
from typing import Final

from ..dispatch.manager import CallbackManager
from ..dispatch.sinks import events_of
from ..errors import BrokenPluginError
from ..resolution import factory
from ..resolution.names import parse_entry
from ..text import one_line
from .output import say, say_data

RUN: Final = "chain-callbacks test"
TAG: Final = "chain-callbacks:test"


class TestError(Exception):
    """Nothing failed: this is the error of a test run, for a handler to tell about."""

    __test__ = False  # It is no test case of pytest's.


class _Heard(logging.Handler):
    """Keeps what the framework, or a plugin through its logger, says while the test goes on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


def run(arguments: Namespace) -> int:
    """Send one run through the handler, close it, and say what came of it."""
    key = factory.identify(
        parse_entry(arguments.name, source="chain-callbacks test").ref,
        source="chain-callbacks test",
    )
    heard = _Heard()
    log = logging.getLogger("chain_callbacks")
    log.addHandler(heard)
    told: list[str] = []
    try:
        told = _try(key)
    except BrokenPluginError as error:
        heard.sentences.append(str(error))
    finally:
        log.removeHandler(heard)
    is_delivered = not heard.sentences
    if arguments.json:
        say_data(
            {
                "name": str(key),
                "delivered": is_delivered,
                "events": told,
                "problems": heard.sentences,
            }
        )
    elif is_delivered:
        say(f"{key} was told of {', '.join(told)} and reported no failure.")
    else:
        for sentence in heard.sentences:
            is_named = sentence.startswith(f"{key}:")
            say(one_line(sentence if is_named else f"{key}: {sentence}"))
    return 0 if is_delivered else 1


def _try(key: factory.Key) -> list[str]:
    handler = factory.live(key, source="chain-callbacks test").handler
    implemented = events_of(handler)
    fails = "on_chain_error" in implemented or "on_event" in implemented
    manager = CallbackManager([handler], tags=[TAG])
    with manager.run("chain", RUN, {"test": True}) as run:
        if fails:
            run.fail(TestError("This is a test of a handler; nothing failed."))
    # What it holds is sent now, while whatever goes wrong is still heard.
    factory.reset()
    issued = ("on_chain_start", "on_chain_error" if fails else "on_chain_end")
    return [name for name in issued if name in implemented or "on_event" in implemented]
