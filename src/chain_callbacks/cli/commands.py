"""The commands as a table, the parser that is built from it, and what every command shares."""

from __future__ import annotations

import argparse
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from ..errors import ChainCallbacksError
from .output import complain, say

PROGRAM: Final = "chain-callbacks"

_FAILED: Final = 2
_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141


class Argument(NamedTuple):
    """One argument of a command: its flags, or its name, and what argparse is told of it."""

    flags: tuple[str, ...]
    options: Mapping[str, Any]


class Command(NamedTuple):
    """One command; *module* of this package has ``run(arguments)``, which returns the exit code."""

    name: str
    module: str
    summary: str
    details: str
    arguments: tuple[Argument, ...] = ()


JSON: Final = Argument(("--json",), {"action": "store_true", "help": "print JSON, for machines"})
NAMES: Final = Argument(
    ("names",),
    {
        "nargs": "*",
        "metavar": "NAME",
        "type": str.strip,
        "help": "as at run time: 'slack', 'slack:audit', '-slack' takes one out, "
        "'none' takes all out",
    },
)

NAME: Final = Argument(
    ("name",), {"metavar": "NAME", "help": "the handler: 'slack', 'slack:audit'"}
)
TIMEOUT: Final = Argument(
    ("--timeout",),
    {
        "type": float,
        "default": 10.0,
        "metavar": "SECONDS",
        "help": "how long importing one plugin may take (default: 10)",
    },
)

RUN: Final = Command(
    "run",
    "running",
    "run a program with its LangChain, or another host, bridged",
    "Run a Python program as `python` does, with the hosts that it imports bridged: the handlers "
    "that CHAIN_CALLBACKS names hear what they run. Options stand before the program.",
    (
        Argument(
            ("--children",),
            {"action": "store_true", "help": "bridge the hosts of child processes too"},
        ),
        Argument(("-m",), {"action": "store_true", "help": "PROGRAM is a module"}),
        Argument(("program",), {"metavar": "PROGRAM", "help": "a script, a folder, or a module"}),
        Argument(
            ("arguments",),
            {"nargs": "*", "metavar": "ARGUMENT", "help": "what the program is given"},
        ),
    ),
)

COMMANDS: Final = (
    RUN,
    Command(
        "demo",
        "demo",
        "run a chain and an agent, and see what handlers are told",
        "Run a chain and an agent on a model that is built in: no key, no network. Answers go to "
        "stdout. Handlers are those that CHAIN_CALLBACKS and NAME name, 'structlog' if none.",
        (NAMES,),
    ),
    Command(
        "list",
        "listing",
        "list the handlers that are installed, and which of them are enabled",
        "List the handlers that are installed, and which of them every run is heard by. "
        "Imports none of them.",
        (JSON,),
    ),
    Command(
        "explain",
        "explaining",
        "show who would hear a run, and why not",
        "Show who would hear a run: a line for each entry of CHAIN_CALLBACKS and for each NAME, "
        "with what became of it and why.",
        (NAMES, JSON),
    ),
    Command(
        "doctor",
        "doctoring",
        "say what does not work, why, and how to fix it",
        "Look at every handler that is configured: its status, the cause and the remedy. Exit "
        "code 1 if something that was asked for does not work.",
        (TIMEOUT, JSON),
    ),
    Command(
        "show",
        "showing",
        "show one handler: its settings, its events, where it sends data",
        "Show one handler: its settings with their variables and which are set (no value of a "
        "secret), the events it implements, where it sends data and where it comes from.",
        (NAME, JSON),
    ),
    Command(
        "test",
        "trying",
        "send one marked test event through a handler",
        "Send one run, marked as a test, through the real handler, and say what came of it.",
        (NAME, JSON),
    ),
)

# argparse takes `-slack` for an option; with a blank before it, it is an argument like another.
_REMOVAL: Final = re.compile("-[^-].+")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="See, log, trace, alert on and meter what an LLM application does.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    # With `required`, `--version` alone would be refused.
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for command in COMMANDS:
        each = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.details,
            allow_abbrev=False,
        )
        for argument in command.arguments:
            each.add_argument(*argument.flags, **argument.options)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    An error that this library raises on purpose is one line on stderr and exit code 2; Ctrl-C is
    130, and 141 a reader of stdout that went away.

    Args:
        argv: The arguments without the program's name; those of the process if not given.

    Raises:
        SystemExit: The arguments are wrong, or ask for help.
    """
    given = sys.argv[1:] if argv is None else argv
    if given and given[0] == RUN.name and given[1:2] not in (["-h"], ["--help"]):
        # What the program raises, and how it ends, is the program's.
        return _runner(RUN)(Namespace(argv=given[1:]))
    try:
        try:
            return _run([f" {each}" if _REMOVAL.fullmatch(each) else each for each in given])
        finally:
            # Here, where a reader that went away is noticed; argparse leaves by SystemExit.
            sys.stdout.flush()
    except ChainCallbacksError as error:
        for sentence in _sentences(error):
            complain(PROGRAM, sentence)
        return _FAILED
    except BrokenPipeError:
        # Python flushes stdout once more when it ends: into nowhere, not into a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        from ..resolution.plugins import own_version

        say(f"{PROGRAM} {own_version() or 'without metadata'}")
        return 0
    for command in COMMANDS:
        if command.name == arguments.command:
            return _runner(command)(arguments)
    parser.print_help()
    return 0


def _runner(command: Command) -> Callable[[Namespace], int]:
    module = import_module(f".{command.module}", __package__)
    run: Callable[[Namespace], int] = module.run
    return run


def _sentences(error: Exception) -> Iterator[str]:
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from _sentences(each)
    else:
        yield str(error)
