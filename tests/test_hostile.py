"""What an attack on the library found, and what must hold since."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from io import StringIO

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager, to_thread
from chain_callbacks.handlers.console_handler import ConsoleHandler
from chain_callbacks.runnables import FakeListChatModel, RunnableLambda, StrOutputParser
from chain_callbacks.testing import RecordingHandler

CLOSED = textwrap.dedent("""\
    chain RunnableSequence closed
      chat_model FakeListChatModel [seq:step:1] closed tokens=1
      parser StrOutputParser [seq:step:2] closed""")


@pytest.mark.parametrize("is_kept", [True, False])
def test_stream_left_as_the_loop_ends_closes_every_run(is_kept, caplog):
    """Whether somebody still holds it or not: no child is left open, and the loop complains not."""
    recorder = RecordingHandler()
    kept = []

    async def main():
        chain = FakeListChatModel(["two words"]) | StrOutputParser()
        stream = chain.astream("hello", {"callbacks": [recorder]})
        if is_kept:
            kept.append(stream)
        async for _ in stream:
            break

    asyncio.run(main())

    assert CLOSED == recorder.tree()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_console_goes_on_in_a_child_that_was_forked_while_it_wrote(monkeypatch):
    """The lock that another thread held at the fork is a new one in the child."""
    handler = ConsoleHandler()
    is_held, is_done = threading.Event(), threading.Event()

    def hold():
        with handler._lock:
            is_held.set()
            is_done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait(30)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(sys, "stderr", StringIO())
        worker = threading.Thread(
            target=lambda: RunnableLambda(abs).invoke(1, {"callbacks": [handler]}), daemon=True
        )
        worker.start()
        worker.join(20)
        os._exit(1 if worker.is_alive() else 0)
    is_done.set()
    holder.join()

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_tree_deeper_than_the_stack_still_ends():
    """A run that is thousands of levels down has its error event, and its whole path."""
    heard = []

    class Handler(BaseCallbackHandler):
        def on_chain_error(self, error, *, origin, **kwargs):
            heard.append(len(origin))

    manager = CallbackManager([Handler()])
    for _ in range(3_000):
        run = manager.on_chain_start({"name": "deep"}, 1)
        manager = run.get_child()
    run.on_chain_error(ValueError())

    assert heard == [3_000]


@pytest.mark.parametrize("form", ["invoke", "ainvoke"])
def test_exception_that_answers_nothing_leaves_as_it_is(form):
    """An exception whose attributes raise ends its runs once each, and is what the caller gets."""

    class OddError(Exception):
        def __getattr__(self, name):
            raise RuntimeError(name)

    def fail(value):
        raise OddError

    recorder = RecordingHandler()
    chain = RunnableLambda(fail) | RunnableLambda(abs)

    def call():
        config = {"callbacks": [recorder]}
        if form == "invoke":
            return chain.invoke(1, config)
        return asyncio.run(chain.ainvoke(1, config))

    with pytest.raises(OddError):
        call()

    assert recorder.problems() == []
    assert recorder.tree() == (
        "chain RunnableSequence error OddError\n  chain fail [seq:step:1] error OddError"
    )


def test_generator_exit_of_an_asynchronous_handler_is_its_failure(caplog):
    """It is counted like any other, the run goes on, and the handlers behind it are told."""

    class Handler(BaseCallbackHandler):
        async def on_chain_start(self, serialized, inputs, **kwargs):
            raise GeneratorExit

    recorder = RecordingHandler()

    assert RunnableLambda(abs).invoke(-1, {"callbacks": [Handler(), recorder]}) == 1
    assert recorder.names() == ["on_chain_start", "on_chain_end"]
    assert "failed in on_chain_start with GeneratorExit" in caplog.text


def test_stop_iteration_in_a_thread_is_an_error_and_no_wait_without_end():
    """A future cannot hold it, so it is a RuntimeError, as in a generator."""

    def exhausted(value):
        return next(iter([]))

    recorder = RecordingHandler()

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(RunnableLambda(exhausted).ainvoke(1, {"callbacks": [recorder]}))
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(to_thread(exhausted, 1))
    assert recorder.tree() == "chain exhausted error RuntimeError"


def test_stream_that_is_open_when_the_interpreter_ends_is_closed():
    """What nobody read to its end has its ends all the same."""
    program = """
        from chain_callbacks.runnables import FakeListChatModel, StrOutputParser

        class Handler:
            def on_chain_end(self, outputs, *, status, **kwargs):
                print(status, outputs, flush=True)

        chain = FakeListChatModel(["two words"]) | StrOutputParser()
        stream = chain.stream("hello", {"callbacks": [Handler()]})
        next(stream)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "closed two \nclosed two \n", "")
