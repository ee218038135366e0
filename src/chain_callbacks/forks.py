"""Forks: they wait for threads that write or import, and the child replaces what it inherits.

A forked child has one thread: the one that forked. Whatever lock another thread held at that moment
is never released in the child: a stream's, the import system's, one of ours.
"""

from __future__ import annotations

# Hooks that run before a fork run in reverse order. `logging` registers its own at import: so it is
# imported first, and a thread that we wait for can still log.
import contextlib
import io
import logging  # noqa: F401
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakSet

F = TypeVar("F", bound=Callable[[], object])

PATIENCE: Final = 5.0
"""Seconds that a fork waits for other threads: one that writes to a full pipe may never return."""


class no_fork:  # noqa: N801  It is used as a function.
    """A block that the forks of other threads wait for, though not forever.

    Threads in such blocks do not exclude each other, for they run foreign code.
    """

    __slots__ = ("is_given_up", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.is_given_up = False

    def __enter__(self) -> None:
        with _blocks.changed:
            while _blocks.excludes(self.thread):
                _blocks.changed.wait()
            _blocks.open.add(self)

    def __exit__(self, *_: object) -> None:
        with _blocks.changed:
            _blocks.open.discard(self)
            _blocks.changed.notify_all()


class _Blocks:
    """The blocks that threads are in, and the threads that fork."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.open: set[no_fork] = set()
        self.forking: set[int] = set()

    def excludes(self, thread: int) -> bool:
        """Return whether *thread* may not open a block now; inside of one it may open another."""
        return bool(self.forking - {thread}) and all(each.thread != thread for each in self.open)

    def before_fork(self) -> None:
        """Let no other thread in, and wait for those that are."""
        thread = threading.get_ident()
        with self.changed:
            self.forking.add(thread)
            self.changed.wait_for(lambda: not self._awaited(thread), PATIENCE)
            for each in self._awaited(thread):
                each.is_given_up = True  # The next fork does not wait for it once more.

    def _awaited(self, thread: int) -> list[no_fork]:
        return [each for each in self.open if each.thread != thread and not each.is_given_up]

    def after_fork_in_parent(self) -> None:
        with self.changed:
            self.forking.discard(threading.get_ident())
            self.changed.notify_all()

    def after_fork_in_child(self) -> None:
        thread = threading.get_ident()
        self.changed = threading.Condition()
        self.forking.clear()
        own = {each for each in self.open if each.thread == thread}
        if own != self.open:
            _reopen_streams()
        self.open = own


_blocks: Final = _Blocks()


def _reopen_streams() -> None:
    """Replace the standard streams, whose locks a thread of the parent may have held."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):  # Closed, or of no file.
                reopened = open(  # noqa: SIM115  It stays open.
                    stream.fileno(),
                    "w",
                    buffering=1 if stream.line_buffering else -1,
                    encoding=stream.encoding,
                    errors=stream.errors,
                    closefd=False,
                )
                for each in (name, f"__{name}__"):
                    if getattr(sys, each) is stream:
                        setattr(sys, each, reopened)


def in_child(function: F) -> F:
    """Have *function* called in every forked child, in the order of registration; return it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
    return function


class _Renewed(Protocol):
    def renew(self) -> None:
        """Replace locks, and forget what is the parent's."""


_renewed: Final[WeakSet[Any]] = WeakSet()


def renew_in_child(each: _Renewed) -> None:
    """Have ``each.renew()`` called in every forked child, for as long as *each* lives."""
    _renewed.add(each)


def _renew_all() -> None:
    for each in _renewed:
        each.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_blocks.before_fork,
        after_in_parent=_blocks.after_fork_in_parent,
        after_in_child=_blocks.after_fork_in_child,
    )
in_child(_renew_all)
