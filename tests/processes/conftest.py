"""Scripts in processes of their own, with a file as their sink."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
PATIENCE = 30.0
"""Seconds until a script is taken to hang; it says where it stands before that."""


class Ended(NamedTuple):
    """How a script ended: its exit code, what it wrote, what it delivered.

    *seconds* passed between its mark and its end.
    """

    code: int
    out: str
    err: str
    delivered: list[str]
    seconds: float

    @property
    def lines(self) -> list[str]:
        """What it wrote to stderr, by line."""
        return self.err.splitlines()


class Script:
    """A script that runs."""

    def __init__(self, path: Path, sink: Path, variables: dict[str, str]) -> None:
        self.sink = sink
        outside = {k: v for k, v in os.environ.items() if not k.startswith("CHAIN_CALLBACKS")}
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **outside,
                "PYTHONPATH": os.pathsep.join(
                    [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
                ),
                "PYTHONDONTWRITEBYTECODE": "1",
                "SINK": str(sink),
                **variables,
            },
        )
        self._out = b""

    def wait_for(self, line: str) -> None:
        """Wait until the script has said *line*."""
        end = time.monotonic() + PATIENCE
        assert self.process.stdout is not None
        while f"{line}\n".encode() not in self._out:
            is_readable = select.select([self.process.stdout], [], [], end - time.monotonic())[0]
            read = os.read(self.process.stdout.fileno(), 65_536) if is_readable else b""
            if not read:
                self.process.send_signal(signal.SIGABRT)
                raise AssertionError(self.process.communicate()[1].decode())
            self._out += read

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Return how the script ended, which it must do by itself."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            raise AssertionError(self.process.communicate()[1].decode()) from None
        now = time.monotonic()
        said = (self._out + out).decode()
        marks = [float(line.split()[1]) for line in said.splitlines() if line.startswith("ENDING ")]
        delivered = self.sink.read_text("utf-8").splitlines() if self.sink.exists() else []
        seconds = now - marks[-1] if marks else 0.0
        return Ended(self.process.returncode, said, err.decode(), delivered, seconds)


Start = Callable[..., Script]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a script; keywords are its variables."""
    scripts: list[Script] = []

    def starting(source: str, **variables: str) -> Script:
        path = tmp_path / f"script_{len(scripts)}.py"
        path.write_text(textwrap.dedent(source), "utf-8")
        scripts.append(Script(path, tmp_path / "sink", variables))
        return scripts[-1]

    yield starting
    for script in scripts:
        script.process.kill()
        script.process.communicate()


@pytest.fixture
def ended(start: Start) -> Callable[..., Ended]:
    """Run a script to its end."""
    return lambda source, **variables: start(source, **variables).end()
