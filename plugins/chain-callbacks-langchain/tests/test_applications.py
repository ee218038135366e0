"""Applications that know nothing of us, switched on by the environment alone."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from chain_callbacks.testing import RecordingHandler

FOLDER = Path(__file__).parent / "applications"
APPLICATIONS = sorted(
    path.stem for path in FOLDER.glob("*.py") if path.with_suffix(".tree").exists()
)

# What an operator's file names: it writes the trees that it heard to a file, when all is over.
DRAWING = """
import atexit, os
from chain_callbacks.testing import RecordingHandler

class Drawing(RecordingHandler):
    def __init__(self):
        super().__init__()
        atexit.register(self.draw)

    def draw(self):
        lines = [*sorted(self.trees()), *self.problems()]
        with open(os.environ["DRAWING"], "w", encoding="utf-8") as file:
            file.write("\\n".join(lines) + "\\n")
"""


def golden(application: str) -> str:
    text = (FOLDER / f"{application}.tree").read_text("utf-8")
    if importlib.util.find_spec("langgraph.callbacks") is None:
        # Elder versions of LangGraph do not tell that a graph pauses.
        text = re.sub(r" (interrupt|resume)=1$", "", text, flags=re.MULTILINE)
    return text


def python(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "LANG", "PYTEST", "PYTHON"))
    }
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**outside, **variables},
    )


def run(*command: str, **variables: str) -> str:
    done = python("-W", "error::ResourceWarning", *command, **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_every_application_is_tried() -> None:
    """No application is without the trees that are expected of it."""
    assert sorted({path.stem for path in FOLDER.glob("*.py")} - {"witness"}) == APPLICATIONS


@pytest.mark.parametrize("application", APPLICATIONS)
def test_environment_alone_switches_an_application_on(application: str, tmp_path: Path) -> None:
    """Its runs are heard as one tree each; it prints, and its own handler hears, what it did."""
    (tmp_path / "drawing.py").write_text(DRAWING, "utf-8")
    config = tmp_path / "handlers.toml"
    config.write_text('[handlers.drawing]\nclass = "drawing:Drawing"\n', "utf-8")
    script = str(FOLDER / f"{application}.py")

    alone = run(script)
    heard = run(
        *("-m", "chain_callbacks", "run", script),
        CHAIN_CALLBACKS="drawing",
        CHAIN_CALLBACKS_CONFIG=str(config),
        DRAWING=str(tmp_path / "drawn"),
        PYTHONPATH=str(tmp_path),
    )

    assert alone == heard
    assert golden(application) == (tmp_path / "drawn").read_text("utf-8")


@pytest.mark.parametrize("application", ["lcel", "pause"])
def test_application_that_makes_errors_of_warnings_ends_as_it_would_without_us(
    application: str,
) -> None:
    """Neither what the bridge imports, nor what it puts into LangChain, warns."""
    script = str(FOLDER / f"{application}.py")

    alone = python("-W", "error", script)
    heard = python(
        *("-W", "error", "-m", "chain_callbacks", "run", script),
        CHAIN_CALLBACKS="structlog",
    )

    assert (alone.returncode, alone.stdout) == (heard.returncode, heard.stdout)
    assert '"event": "chain_end"' in heard.stderr
    assert "Warning" not in heard.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LangGraph's own, when it is imported.
@pytest.mark.parametrize("application", APPLICATIONS)
def test_application_is_heard_in_this_process(
    application: str, heard: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one-line form gives the same trees."""
    monkeypatch.syspath_prepend(str(FOLDER))
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(FOLDER / f"{application}.py"))

    assert [] == heard.problems()
    assert golden(application).splitlines() == "\n".join(sorted(heard.trees())).splitlines()
