"""Where threads are frozen between two calls: nothing waits for one of them."""

from __future__ import annotations

import sys

import pytest

INLINE = {"CHAIN_CALLBACKS_DELIVERY": "inline"}


def test_inline_mode_starts_no_thread_while_the_program_runs(ended):
    """Whatever a handler says, it is told and flushed on the caller's thread.

    Only at the end of the process a thread keeps a handler that hangs from holding it.
    """
    done = ended(
        """
        import threading
        from chain_callbacks import flush, register
        from parts import *

        def refuse(thread):
            raise AssertionError("a thread was started")

        start, threading.Thread.start = threading.Thread.start, refuse
        here = threading.get_ident()

        class Told(Filing):
            held = 0

            def on_chain_end(self, outputs, **kwargs):
                assert threading.get_ident() == here
                super().on_chain_end(outputs)
                self.held += 1

            def deliver(self):
                return 5.0

            def flush(self, timeout):
                sink(f"{threading.get_ident() == here} flush {self.held}")
                return 0

        register("told", Told)

        def handle(event):
            step.invoke(event, {"callbacks": ["told", Holding()]})
            report = flush()
            assert report.is_complete
            return str(report)

        say(handle(1))
        say(handle(2))
        threading.Thread.start = start
        """,
        **INLINE,
    )

    assert (0, "") == (done.code, done.err)
    told = ["1", "True flush 1", "1", "2", "True flush 2", "2"]
    assert told == done.delivered[: len(told)]
    # Python 3.12 starts no thread once the main one is over.
    is_on_main_thread = sys.version_info[:2] == (3, 12)
    assert {*done.delivered[len(told) :]} <= {f"{is_on_main_thread} flush 2"}
    assert "told: 2 delivered, 0 pending, 0 failed, 0 dropped" in done.out


def test_inline_mode_tells_before_the_run_returns(ended):
    """A process that is frozen, or killed, right after a run has lost nothing of it."""
    done = ended(
        """
        import os
        from parts import *

        run(1, 2, to=[Filing(), AsyncFiling(prefix="async ")])
        os._exit(0)
        """,
        **INLINE,
    )

    assert (0, "", ["1", "async 1", "2", "async 2"]) == (done.code, done.err, done.delivered)


@pytest.mark.parametrize("how", ["flush()", "asyncio.run(aflush())"])
def test_flush_before_a_function_returns_leaves_nothing(ended, how):
    """With queues: what is frozen or killed after a flush has nothing left to send."""
    done = ended(
        f"""
        import asyncio, os
        from chain_callbacks import aflush, flush
        from parts import *

        handlers = [Filing(), AsyncFiling(prefix="async "), Holding()]

        def handle(event):
            run(event, to=handlers)
            return {how}

        for each in range(3):
            report = handle(each)
            assert report.is_complete, report
        os._exit(0)
        """
    )

    expected = [f"{prefix}{each}" for each in range(3) for prefix in ("", "", "async ")]
    assert (0, "") == (done.code, done.err)
    assert sorted(expected) == sorted(done.delivered)


def test_aflush_in_a_handler_of_requests_lets_other_requests_go_on(ended):
    """While one request waits for its sink, another one is served: it even lets the first go on."""
    done = ended(
        """
        import asyncio
        from chain_callbacks import aflush
        from parts import *

        gate = Gate()
        handler = Filing(gate)

        async def main():
            await step.ainvoke(1, {"callbacks": [handler]})
            flushing = asyncio.create_task(aflush())
            await asyncio.to_thread(gate.wait_for_visitor)
            assert not flushing.done()
            await RunnableLambda(lambda _: gate.open()).ainvoke("another request")
            report = await flushing
            assert report.is_complete, report

        asyncio.run(main())
        """
    )

    assert (0, "", ["1"]) == (done.code, done.err, done.delivered)
