"""The command ``run``: a program as Python would run it, with its hosts bridged.

It runs in this process, as ``__main__``: the interpreter's flags, standard streams, signals and
exit code are its own, and ``sys.argv`` and ``sys.path[0]`` are what they would be without us.
"""

from __future__ import annotations

import os
import runpy
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple, NoReturn

from ..hosts.activation import activate

USAGE: Final = "usage: chain-callbacks run [--children] [-m] PROGRAM [ARGUMENT ...]"
_WRONG: Final = 2


class Target(NamedTuple):
    """What is to be run: the name of a module or the path of a script, and its arguments."""

    program: str
    arguments: tuple[str, ...]
    is_module: bool
    with_children: bool


def parse(argv: Sequence[str]) -> Target:
    """Return what *argv* asks for; what follows the program is the program's.

    Raises:
        SystemExit: There is no program, or an option of ours is unknown.
    """
    is_module = with_children = False
    rest = [*argv]
    while rest and rest[0].startswith("-") and not is_module:
        option = rest.pop(0)
        if option == "--":
            break
        if option == "--children":
            with_children = True
        elif option.startswith("-m"):
            is_module = True
            if option != "-m":
                rest.insert(0, option.removeprefix("-m"))
        else:
            _refuse(f"{option!r} is no option of run. It is written before the program.")
    if not rest:
        _refuse("there is no program to run.")
    return Target(rest[0], tuple(rest[1:]), is_module, with_children)


def _refuse(sentence: str) -> NoReturn:
    print(f"{USAGE}\nchain-callbacks run: {sentence}", file=sys.stderr)
    raise SystemExit(_WRONG)


def run(arguments: Namespace) -> int:
    """Run what ``arguments.argv`` names; what the program raises, leaves as it does without us."""
    target = parse(arguments.argv)
    if target.with_children:
        pass_on()
    activate()
    # Of `python bin/chain-callbacks` the first entry is the folder of our own script.
    own_folder = str(Path(sys.argv[0]).resolve().parent)
    if not sys.flags.safe_path and sys.path and os.path.realpath(sys.path[0] or ".") == own_folder:
        del sys.path[0]
    sys.argv[:] = [target.program, *target.arguments]
    sys.modules["__main__"] = main = ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    if target.is_module:
        _put_first(os.getcwd())  # noqa: PTH109  As Python itself writes it.
        # What `python -m` does: it finds, compiles and runs the module, and sets `sys.argv[0]`.
        runpy._run_module_as_main(target.program)  # type: ignore[attr-defined]
    elif Path(target.program).is_dir() or target.program.endswith((".zip", ".pyz")):
        # With `-P` too: the program is in there.
        sys.path.insert(0, str(Path(target.program).absolute()))
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
    else:
        _run_script(target.program, main)
    return 0


def _put_first(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)


def _run_script(program: str, main: ModuleType) -> None:
    path = Path(program)
    try:
        source = path.read_bytes()
    except OSError as error:
        print(f"chain-callbacks run: can't open file {program!r}: {error}", file=sys.stderr)
        raise SystemExit(_WRONG) from None
    _put_first(str(path.resolve().parent))
    main.__dict__.update({"__file__": str(path.absolute()), "__cached__": None})
    main.__loader__ = SourceFileLoader("__main__", program)
    exec(compile(source, program, "exec", dont_inherit=True), main.__dict__)  # noqa: S102


def pass_on() -> None:
    """Have the child processes of this one bridge their hosts too."""
    folder = str(Path(__file__).parents[1] / "hosts" / "children")
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [each for each in before if each not in ("", folder)]
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *others])
