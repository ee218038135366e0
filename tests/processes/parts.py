"""What the scripts of these tests import: a sink that is a file, handlers, gates, an end marked.

A script that hangs says where it stands when the test ends it by SIGABRT: `-X faulthandler`.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from chain_callbacks import BaseCallbackHandler
from chain_callbacks.delivery import inline
from chain_callbacks.runnables import RunnableLambda

PATIENCE = 10.0
"""Seconds that a script waits for what takes milliseconds."""

# On a busy machine any handler would seem to hold up its event loop.
inline.SLOW = math.inf

# Since Python 3.12 a fork of a process with threads warns; that it works is what is tested.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)


def sink(text: object) -> None:
    """Write a line to the file of the test: whole, whoever else writes there."""
    descriptor = os.open(os.environ["SINK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def say(text: str) -> None:
    """Tell the test something, on the output of the script."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def ending() -> None:
    """Mark that the script ends now: what follows is the library's time."""
    say(f"ENDING {time.monotonic()}")


def at_the_end(function: Callable[[], Any]) -> None:
    """Have *function* called right before the library's end of the process, once it is watched."""
    threading._register_atexit(function)


class Gate:
    """A pipe at which handlers stand until it is opened, by whichever process has its end."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        self.is_entered = threading.Event()

    def enter(self) -> None:
        self.is_entered.set()
        assert select.select([self._out], [], [], PATIENCE)[0]

    def wait_for_visitor(self) -> None:
        assert self.is_entered.wait(PATIENCE)

    def open(self) -> None:
        os.write(self._in, b"x")


def hang(*_: Any) -> Any:
    """Hang, as a dead backend does."""
    threading.Event().wait()


class Filing(BaseCallbackHandler):
    """Writes the output of each run to the sink, once it is let through."""

    delivery = "queued"

    def __init__(self, gate: Gate | None = None, *, prefix: str = "") -> None:
        self.gate = gate
        self.prefix = prefix

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        if self.gate is not None:
            self.gate.enter()
        sink(f"{self.prefix}{outputs}")


class AsyncFiling(Filing):
    """The same, on the loop of asynchronous handlers."""

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        super().on_chain_end(outputs)


class Holding(BaseCallbackHandler):
    """Holds the outputs of runs until it is flushed."""

    def __init__(self) -> None:
        self.held: list[Any] = []

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.held.append(outputs)

    def flush(self, timeout: float) -> int:
        held, self.held = self.held, []
        for each in held:
            sink(each)
        return 0

    def after_fork(self) -> None:
        self.held = []


class Hanging(BaseCallbackHandler):
    """Hangs when it is told of the end of a run."""

    delivery = "queued"

    def __init__(self) -> None:
        self.is_entered = threading.Event()

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.is_entered.set()
        hang()


step: RunnableLambda[Any, Any] = RunnableLambda(lambda value: value, name="step")


def run(*values: Any, to: Any) -> None:
    """Run a chain for each value, told to one handler or several."""
    handlers = to if isinstance(to, list) else [to]
    for value in values:
        step.invoke(value, config={"callbacks": handlers})


def in_child(function: Callable[[], Any]) -> int:
    """Fork; return the child's id. The child ends by ``os._exit`` unless *function* ends it."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        function()
        code = 0
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        if not isinstance(sys.exc_info()[1], SystemExit):
            sys.stderr.flush()
            os._exit(code)
    return 0


def exit_code_of(child: int) -> int:
    """Return how a child ended, which it must do in time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        select.select([], [], [], 0.005)
    os.kill(child, signal.SIGABRT)
    raise AssertionError("the child hangs")
