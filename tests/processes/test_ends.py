"""However a process ends, its sink has every event once, or one line says what is lacking."""

from __future__ import annotations

import os
import signal

import pytest

needs_signals = pytest.mark.skipif(os.name == "nt", reason="this platform has no POSIX signals")

# No event is delivered before the end has begun.
BLOCKED = """
import sys, threading
from parts import *

gate = Gate()
handler = Filing(gate)
run(1, 2, 3, to=handler)
at_the_end(gate.open)
"""


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        pytest.param("", 0, "", id="return"),
        pytest.param("sys.exit(3)", 3, "", id="sys.exit"),
        pytest.param("sys.exit('no')", 1, "no", id="sys.exit with a text"),
        pytest.param("raise ValueError('mine')", 1, "ValueError: mine", id="exception"),
        pytest.param(
            "raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt", id="interrupt"
        ),
    ],
)
def test_everything_that_waits_is_delivered_when_the_program_ends(ended, end, code, says):
    """Each way to leave a program delivers what is queued, once, and keeps the exit code."""
    done = ended(BLOCKED + end)

    assert code == done.code, done.err
    assert ["1", "2", "3"] == done.delivered
    assert says in done.err
    assert "handler" not in done.err


def test_asynchronous_handler_is_told_what_waits_at_the_end(ended):
    """It needs its loop for that, also where nothing has started the loop before the end."""
    done = ended("""
        from parts import *

        first, gate = Gate(), Gate()

        class Late(Filing):
            def on_chain_start(self, *arguments, **kwargs):
                gate.enter()

            async def on_chain_end(self, outputs, **kwargs):
                sink(outputs)

        run(1, 2, to=Late())
        at_the_end(gate.open)
    """)

    assert (0, "", ["1", "2"]) == (done.code, done.err, done.delivered)


def test_asyncio_run_that_ends_loses_nothing(ended):
    """The end of a loop is no end of what was issued on it; a second loop is like the first."""
    done = ended("""
        import asyncio
        from parts import *

        gate = Gate()
        handlers = [Filing(gate, prefix="sync "), AsyncFiling(prefix="async ")]

        async def main(number):
            await asyncio.gather(
                *(step.ainvoke(number, {"callbacks": handlers}) for _ in range(3))
            )

        asyncio.run(main(1))
        asyncio.run(main(2))
        at_the_end(gate.open)
        raise SystemExit(5)
    """)

    assert (5, "") == (done.code, done.err)
    expected = [*["async 1"] * 3, *["async 2"] * 3, *["sync 1"] * 3, *["sync 2"] * 3]
    assert expected == sorted(done.delivered)


@pytest.mark.parametrize("when", ["before", "after"])
def test_run_in_an_exit_function_of_the_program_is_delivered(ended, when):
    """Whether the function was registered before the library's own or after it."""
    done = ended(f"""
        import atexit
        from parts import *

        handler = Filing()
        if {when == "before"}:
            atexit.register(run, "at exit", to=handler)
        run("early", to=handler)
        if {when == "after"}:
            atexit.register(run, "at exit", to=handler)
    """)

    assert (0, "") == (done.code, done.err)
    assert ["early", "at exit"] == done.delivered


@pytest.mark.parametrize("kind", ["Filing", "AsyncFiling"])
def test_first_run_in_an_exit_function_is_delivered(ended, kind):
    """A handler that nothing was told of before needs its worker then for the first time."""
    done = ended(f"""
        import atexit
        from parts import *

        atexit.register(run, 1, 2, to={kind}())
    """)

    assert (0, "", ["1", "2"]) == (done.code, done.err, done.delivered)


def test_hanging_handler_in_an_exit_function_does_not_hold_the_process(ended):
    """What is first run after the library's own end has what is left of the budget, no more."""
    done = ended(
        """
        import atexit
        from parts import *

        handler = Hanging()
        atexit.register(run, *range(50), to=handler)
        run("early", to=Filing())
        ending()
        """,
        CHAIN_CALLBACKS_EXIT_TIMEOUT="1",
    )

    assert 0 == done.code
    assert done.seconds < 3
    assert ["Hanging"] == [line.split()[2] for line in done.lines if "did not send" in line]


def test_run_of_what_dies_with_the_interpreter_does_not_hang(ended):
    """An object's finaliser may run a chain when its module is torn down: no thread starts then."""
    done = ended("""
        from parts import *

        class Last:
            def __init__(self):
                self.run, self.handlers = run, [Filing(), AsyncFiling()]

            def __del__(self):
                self.run("last", to=self.handlers)

        run(1, to=Filing())
        last = Last()
    """)

    assert 0 == done.code
    assert ["1"] == done.delivered[:1]


@pytest.mark.parametrize("is_first", [True, False])
def test_threads_that_still_run_when_the_program_returns_are_heard(ended, is_first):
    """A thread that the interpreter waits for runs chains after the main one has ended."""
    done = ended(f"""
        import threading
        from parts import *

        handlers = [Filing(), AsyncFiling(prefix="async ")]
        main = threading.current_thread()

        def work():
            main.join(PATIENCE)
            run(2, 3, to=handlers)

        if not {is_first}:
            run(1, to=handlers)
        threading.Thread(target=work).start()
    """)

    values = ["2", "3"] if is_first else ["1", "2", "3"]
    assert (0, "") == (done.code, done.err)
    assert sorted([*values, *(f"async {each}" for each in values)]) == sorted(done.delivered)


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("is_held", [True, False])
def test_handler_that_holds_something_back_is_flushed_at_the_end(ended, delivery, is_held):
    """Also where the chain that told it is gone by then, and where nobody else has the handler."""
    done = ended(f"""
        from parts import *

        held = []

        def main():
            handler = Holding()
            handler.delivery = {delivery!r}
            if {is_held}:
                held.append(handler)
            run(1, 2, to=handler)

        main()
    """)

    assert (0, "", ["1", "2"]) == (done.code, done.err, done.delivered)


def test_stream_that_was_dropped_right_before_the_end_is_told_of(ended):
    """The end of a collected stream is handed to a thread, which a flush waits for."""
    done = ended("""
        from parts import *
        from chain_callbacks import flush
        from chain_callbacks.delivery.threads import sweeper
        from chain_callbacks.runnables import FakeListChatModel

        gate = Gate()
        sweeper.take(gate.enter)
        handler = Filing()
        stream = (FakeListChatModel(["one two three"]) | step).stream(
            "hello", {"callbacks": [handler]}
        )
        next(stream)
        del stream
        at_the_end(gate.open)
    """)

    assert (0, "") == (done.code, done.err)
    assert 1 == len([each for each in done.delivered if "one" in each or "None" in each][-1:])


def test_events_that_found_no_room_are_said_at_the_end(ended):
    """However few warnings there were: what was dropped is in the last line."""
    done = ended("""
        from parts import *
        from chain_callbacks import policy

        gate = Gate()
        handler = Filing(gate)
        run(*range(20), to=policy(handler, queue_records=2))
        gate.wait_for_visitor()
        at_the_end(gate.open)
    """)

    last = done.lines[-1]
    dropped = int(last.split(" dropped")[0].split()[-1])
    assert "Filing" in last
    assert 20 == dropped + len(done.delivered)


@needs_signals
def test_sigterm_without_a_word_of_the_host_is_left_alone(start):
    """Who did not ask for it has the signal do what it always did."""
    script = start("""
        import signal
        from parts import *

        run(1, to=Filing())
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        say("ready")
        signal.pause()
    """)
    script.wait_for("ready")
    script.signal(signal.SIGTERM)

    assert -signal.SIGTERM == script.end().code


# The gate is opened by the signal itself, before Python calls any handler of it: what the file has
# in the end was told after the signal.
SIGNALLED = """
import os, signal, sys, threading
import chain_callbacks
from parts import *

gate = Gate()
os.set_blocking(gate._in, False)
signal.set_wakeup_fd(gate._in)
handler = Filing(gate)
"""
ENDLESS = """
run(1, 2, 3, to=handler)
say("ready")
while True:
    signal.pause()
"""


@needs_signals
@pytest.mark.parametrize("way", ["setting", "call", "twice"])
def test_sigterm_sends_what_waits_and_ends_the_process_as_it_would(start, way):
    """With the setting, or the call: nothing is lost, and the exit status is the signal's."""
    calls = {"setting": 0, "call": 1, "twice": 2}[way]
    script = start(
        SIGNALLED + "chain_callbacks.flush_on_sigterm()\n" * calls + ENDLESS,
        CHAIN_CALLBACKS_FLUSH_ON_SIGTERM="0" if calls == 1 else "1",
    )
    script.wait_for("ready")
    script.signal(signal.SIGTERM)
    done = script.end()

    assert (-signal.SIGTERM, "", ["1", "2", "3"]) == (done.code, done.err, done.delivered)


@needs_signals
def test_sigterm_calls_the_handler_of_the_host_after_the_flush(start):
    """A host that ends by its own handler finds everything sent by then, and keeps its code."""
    script = start(
        SIGNALLED
        + """
def stop(number, frame):
    sink(f"host {number == signal.SIGTERM} {frame is not None}")
    run(4, to=handler)
    sys.exit(7)

signal.signal(signal.SIGTERM, stop)
"""
        + ENDLESS,
        CHAIN_CALLBACKS_FLUSH_ON_SIGTERM="1",
    )
    script.wait_for("ready")
    script.signal(signal.SIGTERM)
    done = script.end()

    assert (7, "") == (done.code, done.err)
    assert ["1", "2", "3", "host True True", "4"] == done.delivered


@needs_signals
def test_sigterm_that_is_ignored_is_ignored_still(start):
    """What waits is sent, and the program goes on."""
    script = start(
        SIGNALLED
        + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
chain_callbacks.flush_on_sigterm()
told = threading.Event()
handler.on_chain_error = lambda *_, **__: told.set()
run(1, 2, 3, to=handler)
try:
    RunnableLambda(lambda value: 1 / value).invoke(0, {"callbacks": [handler]})
except ZeroDivisionError:
    pass
say("ready")
assert told.wait(PATIENCE)
run(4, to=handler)
sys.exit(4)
"""
    )
    script.wait_for("ready")
    script.signal(signal.SIGTERM)
    done = script.end()

    assert (4, "", ["1", "2", "3", "4"]) == (done.code, done.err, done.delivered)


@needs_signals
def test_sigterm_in_an_event_loop_has_the_loops_own_handler_called(start):
    """The loop's handler of the signal is one of the host's: it is called after the flush."""
    script = start(
        SIGNALLED.replace("signal.set_wakeup_fd(gate._in)", "gate.open()")
        + """
import asyncio

async def main():
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await step.ainvoke(1, {"callbacks": [handler]})
    say("ready")
    await asyncio.wait_for(stopped.wait(), PATIENCE)
    await step.ainvoke(2, {"callbacks": [handler]})

asyncio.run(main())
sys.exit(6)
""",
        CHAIN_CALLBACKS_FLUSH_ON_SIGTERM="1",
    )
    script.wait_for("ready")
    script.signal(signal.SIGTERM)
    done = script.end()

    assert (6, "", ["1", "2"]) == (done.code, done.err, done.delivered)


@needs_signals
@pytest.mark.parametrize("where", ["put", "channel_of", "counters"])
def test_sigterm_in_the_middle_of_the_librarys_own_work_loses_nothing(ended, where):
    """Wherever the main thread stands: no lock of ours is held for ever, and all is sent."""
    places = {
        "put": "queue.Backlog, 'put'",
        "channel_of": "queue.Channel, 'limit'",
        "counters": "counters.Counters, 'add'",
    }
    done = ended(
        f"""
        import os, signal
        import chain_callbacks
        from chain_callbacks.delivery import counters, queue
        from parts import *

        chain_callbacks.flush_on_sigterm()
        handler = Filing()
        run(1, to=handler)
        chain_callbacks.flush()

        def interrupted(cls, name):
            real = getattr(cls, name)

            def call(self, *arguments, **keywords):
                is_main = threading.current_thread() is threading.main_thread()
                if not is_main:
                    return real(self, *arguments, **keywords)
                ending()
                with getattr(self, "lock", queue._lock):
                    if {where == "counters"} or {where == "channel_of"}:
                        signal.raise_signal(signal.SIGTERM)
                    result = real(self, *arguments, **keywords)
                    if {where == "put"}:
                        signal.raise_signal(signal.SIGTERM)
                return result

            setattr(cls, name, call)

        interrupted({places[where]})
        class Inline(Filing):
            delivery = "inline"
        second = [Inline(prefix="inline ")] if {where == "counters"} else []
        if second:
            counters_add = counters.Counters.add
            from chain_callbacks.delivery import inline
            inline.HAS_GIL = False
        if {where == "channel_of"}:
            run(2, to=chain_callbacks.policy(handler, queue_records=5))
        else:
            run(2, to=[handler, *second])
        hang()
        """
    )

    assert -signal.SIGTERM == done.code, done.err
    assert "" == done.err
    assert "1" == done.delivered[0]
    if where == "put":
        assert ["1", "2"] == done.delivered
    assert done.seconds < 3


@needs_signals
def test_sigterm_and_the_exit_that_follows_share_one_budget(start):
    """A hung handler costs the budget once, though it is flushed twice."""
    script = start(
        """
        import signal, sys
        import chain_callbacks
        from parts import *

        def stop(number, frame):
            sys.exit(7)

        signal.signal(signal.SIGTERM, stop)
        chain_callbacks.flush_on_sigterm()
        handler = Hanging()
        run(1, to=handler)
        assert handler.is_entered.wait(PATIENCE)
        ending()
        say("ready")
        while True:
            signal.pause()
        """,
        CHAIN_CALLBACKS_EXIT_TIMEOUT="2",
    )
    script.wait_for("ready")
    script.signal(signal.SIGTERM)
    done = script.end()

    assert 7 == done.code
    assert 1.9 < done.seconds < 3.5
    assert 1 == done.err.count("did not send")


@needs_signals
def test_one_ctrl_c_sends_what_waits(start):
    """The program ends as it does by Ctrl-C, with nothing lost."""
    script = start(SIGNALLED + ENDLESS)
    script.wait_for("ready")
    script.signal(signal.SIGINT)
    done = script.end()

    assert -signal.SIGINT == done.code
    assert ["1", "2", "3"] == done.delivered
    assert "KeyboardInterrupt" == done.lines[-1]


@needs_signals
def test_second_ctrl_c_ends_a_flush_that_hangs(start):
    """Whoever presses it twice does not wait for the budget, and reads what was not sent."""
    script = start(
        """
        import signal, threading
        from parts import *

        class Flushed(BaseCallbackHandler):
            def on_chain_end(self, outputs, **kwargs):
                pass

            def flush(self, timeout):
                say("flushing")

        hanging = Hanging()
        run(1, 2, to=[hanging, Flushed()])
        assert hanging.is_entered.wait(PATIENCE)
        say("ready")
        signal.pause()
        """,
        CHAIN_CALLBACKS_EXIT_TIMEOUT="600",
    )
    script.wait_for("ready")
    script.signal(signal.SIGINT)
    script.wait_for("flushing")
    script.signal(signal.SIGINT)
    done = script.end()

    assert -signal.SIGINT == done.code, done.err
    assert "Hanging has 2 pending" in done.lines[-1]
    assert 1 == done.err.count("Traceback"), done.err


def test_os_exit_after_a_flush_loses_nothing(ended):
    """Where no Python code runs any more, the flush before it has sent everything."""
    done = ended("""
        import os
        from chain_callbacks import flush
        from parts import *

        run(1, 2, to=Filing())
        report = flush()
        say(str(report.is_complete))
        os._exit(9)
    """)

    assert (9, "True\n", "", ["1", "2"]) == (done.code, done.out, done.err, done.delivered)


def test_exit_without_any_handler_starts_nothing(ended):
    """A program that only imports the library ends as if it had not."""
    done = ended("""
        import threading, atexit
        import chain_callbacks.runnables
        from parts import *

        atexit.register(lambda: say(str(threading.active_count())))
        step.invoke(1)
    """)

    assert (0, "1\n", "") == (done.code, done.out, done.err)
