"""What all commands share: the parser, errors, exit codes, and ``python -m chain_callbacks``."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import pytest

from chain_callbacks import register
from chain_callbacks.cli import main
from chain_callbacks.cli.commands import COMMANDS


def test_version_is_that_of_the_distribution(capsys):
    """``--version`` prints the program and its version."""
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == "chain-callbacks 0.1.0\n"


def test_no_command_shows_them_all(capsys):
    """Whoever asks for nothing is told what there is."""
    assert main([]) == 0

    shown = capsys.readouterr().out
    assert [each.name for each in COMMANDS if f"\n    {each.name} " not in shown] == []


def test_an_unknown_command_is_refused(capsys):
    """The commands that exist are listed, with exit code 2."""
    with pytest.raises(SystemExit) as exit_:
        main(["lst"])

    assert exit_.value.code == 2
    assert "invalid choice: 'lst'" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_each_command_has_a_module_that_shadows_nothing(command):
    """The table's modules run, and none is called like a public name or a standard module."""
    module = import_module(f"chain_callbacks.cli.{command.module}")

    assert callable(module.run)
    assert command.module not in {*sys.stdlib_module_names, *sys.modules["chain_callbacks"].__all__}


@pytest.mark.parametrize("command", ["explain", "demo"])
def test_what_is_no_name_is_one_sentence(capsys, command):
    """A bad name is quoted with its place, in one line, with exit code 2."""
    assert main([command, "console", "a b"]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "chain-callbacks: 'a b' is not a handler name. Write entry 2 of the command line in "
        "letters and digits, joined by '-' or '_', such as 'slack', 'slack:audit', '-slack' or "
        "'none'.\n"
    )


def test_several_errors_are_a_line_each(capsys, monkeypatch):
    """A strict configuration reports all that is wrong at once."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "consol,x")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")

    assert main(["demo"]) == 2

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("chain-callbacks: No handler is called 'consol';")
    assert second.startswith("chain-callbacks: No handler is called 'x';")


def test_an_error_cannot_move_the_cursor(capsys):
    """What the user typed is written out."""
    assert main(["explain", "\x1b[2J"]) == 2

    assert "\x1b" not in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(capsys):
    """An interrupt ends the command with the shell's own code for it."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    register("slow", interrupted)

    assert main(["demo", "slow"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("argument", ["list", "demo", "--help"])
def test_a_reader_that_went_away_is_no_traceback(python, argument):
    """``list | head`` is an ordinary thing to write."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = python("-m", "chain_callbacks", argument, stdout=writing)
    finally:
        os.close(writing)

    assert ended.returncode == 141
    assert "BrokenPipeError" not in ended.stderr


def test_an_encoding_that_lacks_a_letter_is_no_traceback(python, fake_distribution):
    """What stdout cannot encode is written as an escape."""
    fake_distribution("chain-callbacks-tee", "1é", {"tee": "tee:Handler"})

    ended = python("-m", "chain_callbacks", "list", PYTHONIOENCODING="ascii")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "1\\xe9" in ended.stdout


@pytest.mark.parametrize("module", ["structlog", "pluggy", "importlib_metadata", "uuid"])
def test_python_m_does_not_import_from_the_working_directory(python, tmp_path, module):
    """Whoever can write where the command is run replaces nothing that it imports."""
    (tmp_path / f"{module}.py").write_text("raise SystemExit('evil')")

    ended = python("-m", "chain_callbacks", "demo", "structlog", "console")

    assert (ended.returncode, "evil" in ended.stderr) == (0, False)
    assert "Answer: 1 + 2 = 3\n" in ended.stdout


def test_python_m_leaves_a_safe_path_alone(python, site):
    """With ``-P`` the first entry is somebody's own choice, wherever the command is run."""
    ended = python("-P", "-m", "chain_callbacks", "list", cwd=site)

    assert ["console", "-", "chain-callbacks", "0.1.0", str(site)] in [
        line.split() for line in ended.stdout.splitlines()
    ]
