"""LangChain's own runs with the bridge attached: a process for each side, which does as it is told.

What `chain_callbacks.auto` attaches stays attached, so the sides cannot share a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TextIO, cast

from .harness import OURS, PEER, Case, Goal, Sample, Side, Skipped

_HANDLER: Final = """
from chain_callbacks import BaseCallbackHandler

told = []
class Counting(BaseCallbackHandler):
    content = "full"
    def on_chain_start(self, serialized, inputs, **kwargs): told.append(1)
    def on_chain_end(self, outputs, **kwargs): told.append(1)
"""
_TRACER: Final = """
from langchain_core.tracers.base import BaseTracer
told = []
class Counting(BaseTracer):
    def _persist_run(self, run): ...
    def _on_chain_start(self, run): told.append(1)
    def _on_chain_end(self, run): told.append(1)
handlers.append(Counting())
"""
_WORKER: Final = """
import sys, time
handlers, told = [], []
{setup}
from langchain_core.runnables import RunnableLambda
runnable = RunnableLambda(lambda value: value)
config = {{"callbacks": handlers}} if handlers else None
for line in sys.stdin:
    began, count = time.process_time(), int(line)
    for _ in range(count):
        runnable.invoke(1, config)
    used = time.process_time() - began
    assert len(told) == {events} * count, told
    told.clear()
    print(used, flush=True)
"""


class _Worker:
    """A process that works as often as it is asked to; *spent* is its processor time until now."""

    spent = 0.0

    def __init__(self, setup: str, events: int, variables: dict[str, str]) -> None:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("CHAIN_CALLBACKS")}
        self._process = subprocess.Popen(  # noqa: S603  The programs are those above.
            [sys.executable, "-c", _WORKER.format(setup=setup, events=events)],
            env={**outside, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._input = cast("TextIO", self._process.stdin)
        self._output = cast("TextIO", self._process.stdout)

    def work(self, count: int) -> None:
        """Have it done *count* times."""
        self._input.write(f"{count}\n")
        self._input.flush()
        _Worker.spent += float(self._output.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def cases() -> Iterator[Case | Skipped]:
    """Give both cases: where nobody listens, and where one handler does."""
    if find_spec("chain_callbacks_langchain") is None:
        yield Skipped("LangChain's own `invoke`, bridged", "chain-callbacks-langchain is not there")
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        Path(folder, "counting.py").write_text(_HANDLER, encoding="utf-8")
        operators = Path(folder, "operators.toml")
        operators.write_text('[handlers.counting]\nclass = "counting:Counting"\n', encoding="utf-8")
        named = {
            "CHAIN_CALLBACKS": "counting",
            "CHAIN_CALLBACKS_CONFIG": str(operators),
            "PYTHONPATH": folder,
        }

        def side(setup: str, events: int, variables: dict[str, str]) -> Side:
            worker = _Worker(setup, events, variables)
            opened.callback(worker.close)
            return Side(partial(_sample, worker), tells=False)

        yield Case(
            "LangChain's own `invoke`, bridged, nobody listens",
            "the whole cost of LangChain's `invoke`, with `chain_callbacks.auto` and without",
            {
                OURS: side("import chain_callbacks.auto", 0, {}),
                PEER: side("", 0, {}),
            },
            (Goal("within", 1.03, PEER),),
            processor=_spent,
        )
        tracer = "langchain-core's BaseTracer"
        heard = "import chain_callbacks.auto\nfrom counting import told"
        yield Case(
            "LangChain's own `invoke`, bridged, 1 handler",
            "the whole cost of LangChain's `invoke`; a handler that the environment names is told "
            "of the start and the end, each with its run; so is a tracer that LangChain hands on",
            {
                OURS: side(heard, 2, named),
                tracer: side(_TRACER, 2, {}),
            },
            (Goal("within", 1, tracer),),
            processor=_spent,
        )


def _spent() -> float:
    return _Worker.spent


def _sample(worker: _Worker, _ears: object) -> Sample:
    return worker.work
