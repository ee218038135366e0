"""A fresh process: what importing us, and a first run, add to the bare interpreter."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from typing import Final

from .harness import OURS, PEER, Case, Goal, Sample, Side

_BARE: Final = "the bare interpreter"
_PROGRAM: Final = (
    "from {package}.runnables import RunnableLambda\n"
    "assert RunnableLambda(lambda value: value + 1).invoke(1) == 2\n"
)


def cases() -> Iterator[Case]:
    """Give both cases: with no handler, and with the variable that names one."""
    ours = _PROGRAM.format(package="chain_callbacks")
    peers = _PROGRAM.format(package="langchain_core")
    # All have compiled what they import, which an installer does for a peer and an editable
    # installation, or a variable, may not do for us.
    with tempfile.TemporaryDirectory() as cache:
        for name, variables, bound in (
            ("import and a first run", {}, 8),
            ("import and a first run, `structlog`", {"CHAIN_CALLBACKS": "structlog"}, 4),
        ):
            yield Case(
                name,
                "a process that imports RunnableLambda and invokes one; the bare interpreter is "
                "taken off"
                + ("; ours logs the run to a pipe, the peer has no handler" if variables else ""),
                {
                    OURS: Side(partial(_process, ours, variables, cache), above=_BARE),
                    PEER: Side(partial(_process, peers, {}, cache), above=_BARE),
                    _BARE: Side(partial(_process, "", {}, cache), tells=False),
                },
                (Goal("ahead", bound, PEER),),
                repeats=9,
                processor=_of_children,
            )


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _process(program: str, variables: dict[str, str], cache: str, _ears: object) -> Sample:
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "PYTHON"))
    }

    def sample(count: int) -> None:
        for _ in range(count):
            done = subprocess.run(  # noqa: S603  The programs are those above.
                [sys.executable, "-c", program],
                check=True,
                env={**outside, "PYTHONPYCACHEPREFIX": cache, **variables},
                capture_output=True,
            )
            if len(done.stderr.splitlines()) != 2 * len(variables):
                raise AssertionError(f"it wrote {done.stderr!r}")

    return sample
