"""`chain-callbacks run`: a program as Python runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SHOWING = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "name": __name__, "file": os.path.basename(__file__), "first": sys.path[0],
    "spec": None if __spec__ is None else __spec__.name, "flags": str(sys.flags),
    "loader": str(type(__loader__)),
    "main": sys.modules["__main__"].__dict__ is globals(), "hosts": HOSTS,
}))
"""


def program(text: str) -> str:
    return text.replace("HOSTS", "'chain_callbacks.hosts.imports' in sys.modules")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a script, a module, a package and a folder that can be run."""
    showing = program(SHOWING)
    (tmp_path / "script.py").write_text(showing, "utf-8")
    for name in ("package", "runnable"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__main__.py").write_text(showing, "utf-8")
    (tmp_path / "package" / "__init__.py").write_text("", "utf-8")
    return tmp_path


def python(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    outside = {
        k: v for k, v in os.environ.items() if not k.startswith(("CHAIN_CALLBACKS", "PYTHON"))
    }
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**outside, **variables},
    )


def without_us(text: str) -> str:
    return text.replace('"hosts": true', '"hosts": false')


RUN = ("-m", "chain_callbacks", "run")


@pytest.mark.parametrize("flags", [(), ("-O", "-X", "dev"), ("-P",)], ids=repr)
@pytest.mark.parametrize(
    "target",
    [
        ("script.py", "one", "-m", "--two"),
        ("-m", "script", "one"),
        ("-m", "package", "-x"),
        ("runnable", "one"),
    ],
    ids=repr,
)
def test_program_finds_what_it_would_find_without_us(
    folder: Path, target: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    """Arguments, names, path and flags are those of `python` itself; hosts are watched."""
    # Under `-P` nobody puts the folder on the path: a module is found on it otherwise.
    path = {"PYTHONPATH": str(folder)} if "-P" in flags else {}
    alone = python(folder, *flags, *target, **path)
    ran = python(folder, *flags, *RUN, *target, **path)

    assert 0 == ran.returncode, ran.stderr
    assert alone.stdout == without_us(ran.stdout)
    assert alone.stdout != ran.stdout


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(7)", 7),
        ("sys.exit('a reason')", 1),
        ("raise LookupError('lost')", 1),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("import atexit; atexit.register(print, 'at exit')", 0),
        ("raise BrokenPipeError", 1),
    ],
)
def test_program_ends_as_it_would_without_us(folder: Path, ending: str, code: int) -> None:
    """Exit codes, signals, and what it wrote."""
    (folder / "ending.py").write_text(f"import os, signal, sys\n{ending}\n", "utf-8")

    alone, ran = python(folder, "ending.py"), python(folder, *RUN, "ending.py")

    assert (code, alone.stdout) == (ran.returncode, ran.stdout)
    assert alone.returncode == ran.returncode
    assert alone.stderr.splitlines()[-1:] == ran.stderr.splitlines()[-1:]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "there is no program to run."),
        (("-m",), "there is no program to run."),
        (("--child", "script.py"), "'--child' is no option of run."),
        (("absent.py",), "can't open file 'absent.py'"),
    ],
)
def test_wrong_call_is_refused_with_a_sentence(
    folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """It says what is wrong, and exits with 2."""
    done = python(folder, *RUN, *arguments)

    assert 2 == done.returncode
    assert sentence in done.stderr


def test_objects_of_the_program_can_be_pickled(folder: Path) -> None:
    """`__main__` is the program's, to its end."""
    (folder / "pickling.py").write_text(
        "import atexit, pickle\n"
        "class Thing: pass\n"
        "atexit.register(lambda: print(type(pickle.loads(pickle.dumps(Thing()))) is Thing))\n",
        "utf-8",
    )

    assert "True\n" == python(folder, *RUN, "pickling.py").stdout


STRICT = {
    "option": (("-W", "error"), {}),
    "environment": ((), {"PYTHONWARNINGS": "error"}),
    "development": (("-X", "dev", "-X", "warn_default_encoding", "-bb", "-W", "error"), {}),
}
TESTS = """
import asyncio, gc
from chain_callbacks import flush
from chain_callbacks.runnables import FakeListChatModel, PromptTemplate

chain = PromptTemplate("{x}") | FakeListChatModel(["yes"])

def test_chain():
    assert "yes" == chain.invoke({"x": 1}).content
    assert "yes" == asyncio.run(chain.ainvoke({"x": 1})).content
    assert "yes" == "".join(each.content for each in chain.stream({"x": 1}))
    assert flush().is_complete
"""


HANDLERS = {
    "CHAIN_CALLBACKS": "structlog,console",
    "CHAIN_CALLBACKS_STRUCTLOG__DELIVERY": "queued",
    "CHAIN_CALLBACKS_CONSOLE__CONTENT": "redacted",
}


@pytest.mark.parametrize("form", STRICT)
def test_program_that_makes_errors_of_warnings_ends_as_it_would_without_us(
    folder: Path, form: str
) -> None:
    """Nothing that is done before the program, in it or at its end warns."""
    program = f"{TESTS}\ntest_chain()\ngc.collect()\nprint('done')\n"
    (folder / "strict.py").write_text(program, "utf-8")
    options, variables = STRICT[form]

    done = python(folder, *options, *RUN, "strict.py", **variables, **HANDLERS)

    assert (0, "done\n") == (done.returncode, done.stdout), done.stderr
    assert "RunnableSequence" in done.stderr
    assert "Warning" not in done.stderr


PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")


@pytest.mark.parametrize(
    "command",
    [
        (*RUN, *PYTEST),
        (*RUN, *PYTEST, "-W", "error"),
        ("-W", "error", *RUN, *PYTEST),
        (*RUN, "calling.py"),
        ("importing.py",),
        (*RUN, "--children", "parent.py"),
    ],
    ids=["ini", "option", "python's option", "pytest.main", "auto", "children"],
)
def test_tests_of_a_project_that_makes_errors_of_warnings_run(
    folder: Path, command: tuple[str, ...]
) -> None:
    """Pytest rewrites the modules of its plugins, of which we are one, and warns if it cannot."""
    calling = f"import pytest, sys\nsys.exit(pytest.main({[*PYTEST[2:]]}))\n"
    child = f"import subprocess, sys\nsys.exit(subprocess.call([sys.executable, *{PYTEST}]))\n"
    for name, text in {
        "pytest.ini": "" if "option" in command else "[pytest]\nfilterwarnings = error\n",
        "test_strict.py": TESTS,
        "calling.py": calling,
        "importing.py": f"import chain_callbacks.auto\n{calling}",
        "parent.py": child,
    }.items():
        (folder / name).write_text(text, "utf-8")

    done = python(folder, *command, **HANDLERS)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "1 passed" in done.stdout


PARENT = """
import subprocess, sys
print(subprocess.run([sys.executable, "script.py"], capture_output=True, text=True).stdout, end="")
"""


@pytest.mark.parametrize(("option", "watched"), [((), "false"), (("--children",), "true")])
def test_child_processes_are_bridged_where_that_is_asked_for(
    folder: Path, option: tuple[str, ...], watched: str
) -> None:
    """Without the option children are left alone; with it, they watch for hosts too."""
    (folder / "parent.py").write_text(PARENT, "utf-8")

    assert f'"hosts": {watched}' in python(folder, *RUN, *option, "parent.py").stdout


def test_sitecustomize_that_was_there_is_imported_by_children(folder: Path) -> None:
    """Ours stands before it, and hands on."""
    (folder / "parent.py").write_text(PARENT, "utf-8")
    theirs = folder / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("print('theirs', __file__)", "utf-8")

    done = python(folder, *RUN, "--children", "parent.py", PYTHONPATH=str(theirs))

    mine, childs = [line for line in done.stdout.splitlines() if line.startswith("theirs")]
    assert f"theirs {theirs / 'sitecustomize.py'}" == mine == childs
    assert '"hosts": true' in done.stdout


def test_interpreter_that_has_not_this_package_is_left_alone(folder: Path) -> None:
    """A child that runs another Python finds the folder, and nothing happens."""
    (folder / "parent.py").write_text(
        PARENT.replace(
            '"script.py"',
            '"-S", "-c", "import sitecustomize, sys; '
            "print('chain_callbacks' in sys.modules, 'hosts' in str(sitecustomize))\"",
        ),
        "utf-8",
    )

    done = python(folder, *RUN, "--children", "parent.py")

    assert "" == done.stderr
    assert "True" not in done.stdout
