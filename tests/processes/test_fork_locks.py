"""Forks beside threads that write or import: the child inherits no lock that is never released."""

from __future__ import annotations

import os
import threading

import pytest

from chain_callbacks import forks
from chain_callbacks.forks import no_fork

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")

PATIENCE = 30.0

SLOW_STREAM = """
import io, os, sys, threading
import chain_callbacks.runnables
from chain_callbacks import flush, forks, register
from parts import *

class SlowFile(io.RawIOBase):
    '''Holds up one write until a fork waits for it; the stream's own lock is held meanwhile.'''

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.is_slow = True
        self.gate = Gate()

    def writable(self):
        return True

    def fileno(self):
        return self.descriptor

    def write(self, data):
        if self.is_slow:
            self.is_slow = False
            self.gate.enter()
        return os.write(self.descriptor, data)

file = SlowFile(2)
stream = io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8", line_buffering=True)

def open_at_fork():
    while not forks._blocks.forking:
        pass
    file.gate.open()
"""

WRITERS = {
    "console": "write = lambda: run(1, to='console')",
    "structlog": "write = lambda: run(1, to='structlog')",
    "structlog of the program": """
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(stream))
write = lambda: run(1, to='structlog')
""",
    "structlog to logging": """
import logging, structlog
logging.basicConfig(stream=stream, level="DEBUG")
structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
write = lambda: run(1, to='structlog')
""",
    "logging": """
class Failing(BaseCallbackHandler):
    def on_chain_end(self, outputs, **kwargs):
        raise ValueError
write = lambda: run(1, to=Failing())
""",
    "stdout of a command": """
from chain_callbacks.cli.output import say as say_as_a_command
sys.stdout = stream
write = lambda: say_as_a_command("x")
""",
}


@needs_fork
@pytest.mark.parametrize("writer", WRITERS)
def test_child_writes_to_a_stream_that_another_thread_was_writing_to(ended, writer):
    """The fork waits for what we write ourselves: the stream's lock is free in the child."""
    done = ended(
        SLOW_STREAM
        + f"""
sys.stderr = stream
{WRITERS[writer]}
writing = threading.Thread(target=write)
writing.start()
file.gate.wait_for_visitor()
opening = threading.Thread(target=open_at_fork)
opening.start()
code = exit_code_of(in_child(write))
writing.join()
opening.join()
os._exit(code)
"""
    )

    assert 0 == done.code, done.err


@needs_fork
@pytest.mark.parametrize("kind", ["console", "structlog"])
def test_fork_does_not_wait_forever_for_a_stream_that_nobody_reads(ended, kind):
    """The child has streams of its own, and ends as any other."""
    done = ended(
        SLOW_STREAM
        + f"""
sys.stderr = stream
forks.PATIENCE = 0.01
writing = threading.Thread(target=lambda: run(1, to={kind!r}))
writing.start()
file.gate.wait_for_visitor()
def child():
    run("child", to={kind!r})
    sys.exit(0)

code = exit_code_of(in_child(child))
sink(f"child ended with {{code}}")
file.gate.open()
writing.join()
"""
    )

    assert (0, ["child ended with 0"]) == (done.code, done.delivered), done.err
    assert 2 <= len(done.lines)


@needs_fork
@pytest.mark.parametrize("replaced", ["io.StringIO()", "None"])
def test_child_writes_to_what_the_program_put_in_the_place_of_stderr(ended, replaced):
    """Also to something in memory, and to nothing."""
    done = ended(
        f"""
        import io, os, sys
        from parts import *

        sys.stderr = {replaced}
        run(1, to=["console", "structlog"])
        forked = os.fork()
        run(2, to=["console", "structlog"])
        os._exit(exit_code_of(forked) if forked else 0)
        """
    )

    assert (0, "") == (done.code, done.err)


@needs_fork
def test_stream_that_forks_when_it_is_written_to_does_not_wait_for_itself(ended):
    """The thread that forks is in the middle of a line itself, and goes on in both processes."""
    done = ended(
        """
        import io, os, sys
        from parts import *

        class Forking(io.StringIO):
            def write(self, text):
                global forked
                if forked is None:
                    forked = os.fork()
                return super().write(text)

        forked = None
        sys.stderr = Forking()
        run(1, 2, to="console")
        if not forked:
            os._exit(0)
        assert exit_code_of(forked) == 0
        run(3, to="console")
        assert 3 == sys.stderr.getvalue().count("step")
        """
    )

    assert (0, "") == (done.code, done.err)


@needs_fork
def test_child_resolves_a_name_whose_plugin_another_thread_was_importing(ended, tmp_path):
    """The import system's lock of a module is none of ours, but it is held while we import."""
    (tmp_path / "slow_plugin.py").write_text("import __main__\n__main__.gate.enter()\n", "utf-8")
    done = ended(
        f"""
        import sys, threading
        from chain_callbacks import forks, register
        from parts import *

        def make():
            import slow_plugin
            return Filing()

        def open_at_fork():
            while not forks._blocks.forking:
                pass
            gate.open()

        sys.path.append({str(tmp_path)!r})
        gate = Gate()
        register("slow", make)
        importing = threading.Thread(target=lambda: run("parent", to="slow"))
        importing.start()
        gate.wait_for_visitor()
        threading.Thread(target=open_at_fork).start()

        def child():
            run("child", to="slow")
            sys.exit(0)

        forked = in_child(child)
        if forked:
            sys.exit(exit_code_of(forked))
        """
    )

    assert (0, "") == (done.code, done.err)
    assert ["child", "parent"] == sorted(done.delivered)


@needs_fork
@pytest.mark.parametrize("kind", ["console", "structlog"])
def test_pool_that_is_forked_under_load_hangs_nowhere(ended, kind, tmp_path):
    """Threads print runs and errors while workers are forked, each of which prints its own."""
    done = ended(
        f"""
        import multiprocessing, sys, threading
        from parts import *

        def fail(number):
            if number % 5 == 0:
                raise ValueError(number)
            return number

        failing = RunnableLambda(fail) | RunnableLambda(lambda number: number)
        config = {{"callbacks": [{kind!r}]}}
        is_over = threading.Event()

        def load():
            number = 0
            while not is_over.is_set():
                number += 1
                try:
                    failing.invoke(number, config)
                except ValueError:
                    pass

        def work(number):
            failing.invoke(1, config)
            return number

        sys.stderr = open({str(tmp_path / "err")!r}, "w", encoding="utf-8")
        work(0)
        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        pool = multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1)
        try:
            results = [pool.apply_async(work, (number,)) for number in range(10)]
            assert [each.get(2 * PATIENCE) for each in results] == [*range(10)]
            pool.close()
        finally:
            is_over.set()
            pool.terminate()
            pool.join()
        """
    )

    assert (0, "") == (done.code, done.err)


# What the blocks themselves promise.


class Forking:
    """A thread that is about to fork, and waits."""

    def __init__(self) -> None:
        self.is_let_go = threading.Event()
        self.has_forked = threading.Event()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        forks._blocks.before_fork()
        self.has_forked.set()
        self.is_let_go.wait(PATIENCE)
        forks._blocks.after_fork_in_parent()

    def wait(self) -> None:
        """Wait until it waits itself."""
        while not forks._blocks.forking:
            threading.Event().wait(0.001)

    def end(self) -> None:
        self.is_let_go.set()
        self.thread.join(PATIENCE)


def test_fork_waits_for_the_end_of_a_block():
    """It is not forked before, and nobody enters meanwhile, but for who is inside already."""
    entered = threading.Event()

    def enter() -> None:
        with no_fork():
            entered.set()

    with no_fork():
        forking = Forking()
        forking.wait()
        entering = threading.Thread(target=enter)
        entering.start()
        with no_fork():
            assert not forking.has_forked.is_set()
            assert not entered.is_set()
    assert forking.has_forked.wait(PATIENCE)
    assert not entered.is_set()
    forking.end()
    entering.join(PATIENCE)

    assert entered.is_set()
    assert not forks._blocks.open


def test_threads_are_in_a_block_at_the_same_time():
    """What they call may wait for each other."""
    barrier = threading.Barrier(2)

    def meet() -> None:
        with no_fork():
            barrier.wait(PATIENCE)

    thread = threading.Thread(target=meet)
    thread.start()
    meet()
    thread.join(PATIENCE)

    assert not barrier.broken


def test_block_that_does_not_end_holds_up_one_fork_alone(monkeypatch):
    """The next fork does not wait for it again."""
    monkeypatch.setattr(forks, "PATIENCE", 0.01)
    with no_fork():
        first = Forking()
        assert first.has_forked.wait(PATIENCE)
        first.end()
        monkeypatch.setattr(forks, "PATIENCE", 2 * PATIENCE)
        second = Forking()
        assert second.has_forked.wait(PATIENCE)
        second.end()


def test_two_forks_at_a_time_wait_for_nobody():
    """Neither is in a block, so neither waits for the other."""
    first = Forking()
    assert first.has_forked.wait(PATIENCE)
    second = Forking()
    assert second.has_forked.wait(PATIENCE)
    second.end()
    first.end()


def test_child_keeps_the_blocks_of_the_thread_that_forked(monkeypatch):
    """They end in the child as well; the others have nobody to end them there."""
    blocks = forks._Blocks()
    monkeypatch.setattr(forks, "_blocks", blocks)
    is_inside, may_leave = threading.Event(), threading.Event()

    def write() -> None:
        with no_fork():
            is_inside.set()
            may_leave.wait(PATIENCE)

    writing = threading.Thread(target=write)
    writing.start()
    assert is_inside.wait(PATIENCE)
    with no_fork():
        assert 2 == len(blocks.open)
        monkeypatch.setattr(forks, "_reopen_streams", lambda: None)
        blocks.after_fork_in_child()
        assert 1 == len(blocks.open)
    assert not blocks.open
    may_leave.set()
    writing.join(PATIENCE)


def test_what_has_gone_is_not_renewed():
    """Handlers of single requests are not kept alive for a fork that may never come."""
    renewed: list[str] = []

    class Renewed:
        def __init__(self, name: str) -> None:
            self.name = name
            forks.renew_in_child(self)

        def renew(self) -> None:
            renewed.append(self.name)

    kept, gone = Renewed("kept"), Renewed("gone")
    del gone
    forks._renew_all()

    assert ["kept"] == renewed
    assert "kept" == kept.name
