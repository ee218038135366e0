"""Processes that fork: the parent's events are the parent's, the child begins anew."""

from __future__ import annotations

import os
import signal

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")

STUCK = """
import os, sys, threading
from chain_callbacks import flush, stats
from parts import *

gate = Gate()
handler = Filing(gate)
run(1, 2, 3, to=handler)
gate.wait_for_visitor()
"""


@pytest.mark.parametrize("end", ["sys.exit(4)", "flush(); os._exit(4)", "run_again(); sys.exit(4)"])
def test_fork_with_a_full_queue_delivers_everything_once(ended, end):
    """What waits is the parent's alone; the child has its own, and counts from zero."""
    done = ended(
        STUCK
        + f"""
class Child(Filing):
    pass

def run_again():
    run("child 2", to=handler)

def child():
    assert stats()["Filing"] == (0, 0, 0, 0, False), stats()
    handler.gate = None
    run("child", to=handler)
    {end}

forked = os.fork()
if not forked:
    child()
code = exit_code_of(forked)
sink("parent goes on")
gate.open()
assert flush().is_complete
assert stats()["Filing"].delivered == 3, stats()
say(str(code))
"""
    )

    child = ["child", "child 2"] if "again" in end else ["child"]
    assert (0, "4\n", "") == (done.code, done.out, done.err)
    assert [*child, "parent goes on", "1", "2", "3"] == done.delivered


def test_child_that_does_nothing_delivers_nothing(ended):
    """A child that only ends sends none of what its parent has, queued or held."""
    done = ended(
        STUCK
        + """
class Unaware(Holding):
    delivery = "queued"

holding, inline = Unaware(), Holding()
run("held", to=[holding, inline])
while len(holding.held) < 1:
    pass
forked = os.fork()
if not forked:
    sys.exit(0)
assert exit_code_of(forked) == 0
sink("parent goes on")
gate.open()
"""
    )

    assert (0, "") == (done.code, done.err)
    assert "parent goes on" == done.delivered[0]
    assert ["1", "2", "3", "held", "held"] == sorted(done.delivered[1:])


@pytest.mark.parametrize("methods", ["after_fork", "flush and after_fork"])
@pytest.mark.parametrize("delivery", ["inline", "queued"])
def test_handler_is_told_of_the_fork_in_the_child(ended, methods, delivery):
    """Also one that nothing listens with at that moment; in the parent it is not called."""
    done = ended(
        f"""
        import os, sys
        from chain_callbacks import flush
        from parts import *

        class Told(BaseCallbackHandler):
            delivery = {delivery!r}

            def on_chain_end(self, outputs, **kwargs):
                pass

            if {"flush" in methods}:
                def flush(self, timeout):
                    return 0

            def after_fork(self):
                sink(f"told in the child {{os.getpid() != parent}}")

        parent = os.getpid()
        handler = Told()
        run(1, to=handler)
        flush()
        forked = os.fork()
        if not forked:
            sys.exit(0)
        exit_code_of(forked)
        """
    )

    assert (0, "", ["told in the child True"]) == (done.code, done.err, done.delivered)


def test_handler_that_fails_in_after_fork_harms_nobody(ended):
    """It is a failure of the handler; the child and the other handlers go on."""
    done = ended(
        """
        import os, sys
        from parts import *

        class Failing(Filing):
            def after_fork(self):
                raise ValueError("no")

        handlers = [Failing(prefix="a "), Filing(prefix="b ")]
        run(1, to=handlers)
        forked = os.fork()
        if not forked:
            run(2, to=handlers)
            sys.exit(0)
        sys.exit(exit_code_of(forked))
        """
    )

    assert 0 == done.code
    assert ["a 1", "a 2", "b 1", "b 2"] == sorted(done.delivered)
    assert 1 == done.err.count("The handler Failing failed in after_fork with ValueError.")


LOCKS = {
    "channel": "handler_channel()._lock",
    "channels": "queue._lock",
    "counters": "counters.counters_of('Filing').lock",
    "portal": "loop_thread.loop_thread._lock",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_fork_while_another_thread_holds_a_lock_does_not_block_the_child(ended, lock):
    """Each lock of the delivery is a new one in the child."""
    done = ended(
        f"""
        import os, sys
        from chain_callbacks import flush
        from chain_callbacks.delivery import counters, loop_thread, queue
        from parts import *

        def handler_channel():
            return queue.channels()[0]

        handlers = [Filing(), AsyncFiling(prefix="async ")]
        chained = step.with_config(callbacks=handlers)
        chained.invoke(1)
        assert flush().is_complete
        is_held, is_over = threading.Event(), threading.Event()
        lock = {LOCKS[lock]}

        def hold():
            with lock:
                is_held.set()
                is_over.wait(PATIENCE)

        holder = threading.Thread(target=hold)
        holder.start()
        assert is_held.wait(PATIENCE)
        forked = os.fork()
        if not forked:
            chained.invoke(2)
            report = flush()
            os._exit(0 if report.is_complete else 5)
        code = exit_code_of(forked)
        is_over.set()
        holder.join()
        chained.invoke(3)
        sys.exit(code)
        """
    )

    assert (0, "") == (done.code, done.err)
    expected = sorted(f"{prefix}{each}" for prefix in ("", "async ") for each in (1, 2, 3))
    assert expected == sorted(done.delivered)


def test_fork_beside_the_loop_of_asynchronous_handlers_leaves_both_processes_one(ended):
    """The child makes a loop of its own; the parent's is woken as before."""
    done = ended(
        """
        import asyncio, gc, os, sys
        from chain_callbacks import flush
        from parts import *

        class Waiting(AsyncFiling):
            delivery = "inline"

            async def on_chain_end(self, outputs, **kwargs):
                await asyncio.sleep(0)
                sink(outputs)

        handler = Waiting()
        run("parent 1", to=handler)
        forked = os.fork()
        if not forked:
            gc.collect()
            run("child 1", "child 2", to=handler)
            gc.collect()
            sys.exit(0)
        code = exit_code_of(forked)
        run("parent 2", to=handler)
        sys.exit(code)
        """
    )

    assert (0, "") == (done.code, done.err)
    assert ["parent 1", "child 1", "child 2", "parent 2"] == done.delivered


@pytest.mark.parametrize("kind", ["Forking", "AsyncForking"])
def test_fork_inside_a_worker_leaves_the_parent_its_queue(ended, kind):
    """A handler may start a process; its child tells what it runs, the parent goes on."""
    done = ended(
        f"""
        import os, sys
        from chain_callbacks import CallbackManager, flush
        from chain_callbacks.context import current
        from parts import *

        codes = []

        class Forking(Filing):
            def on_chain_end(self, outputs, **kwargs):
                if outputs == 1:
                    codes.append(exit_code_of(in_child(child)))
                sink(outputs)

        class AsyncForking(Forking):
            async def on_chain_end(self, outputs, **kwargs):
                super().on_chain_end(outputs)

        def child():
            current.set(None)
            run("child", to=[Filing(), AsyncFiling()])
            assert flush().is_complete

        run(1, 2, 3, to={kind}())
        assert flush(PATIENCE).is_complete
        assert codes == [0], codes
        """
    )

    assert (0, "") == (done.code, done.err)
    assert ["child", "child", "1", "2", "3"] == done.delivered


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_of_multiprocessing_delivers_without_a_call(ended, method):
    """However it was started: what it ran is delivered when it ends, inherited handlers too."""
    done = ended(
        f"""
        import multiprocessing, sys
        from parts import *

        handlers = [Filing(), AsyncFiling(prefix="async "), Holding()]
        chained = step.with_config(callbacks=handlers)

        def work(number):
            chained.invoke(number)

        if __name__ == "__main__":
            chained.invoke(0)
            context = multiprocessing.get_context({method!r})
            children = [context.Process(target=work, args=(each,)) for each in (1, 2)]
            for child in children:
                child.start()
            for child in children:
                child.join(PATIENCE)
            sys.exit(sum(child.exitcode for child in children))
        """
    )

    expected = [f"{prefix}{each}" for each in (0, 1, 2) for prefix in ("", "", "async ")]
    assert (0, "") == (done.code, done.err)
    assert sorted(expected) == sorted(done.delivered)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_pool_delivers_without_a_call(ended, method):
    """Each worker of a pool sends what is left when the pool is shut down."""
    done = ended(
        f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from parts import *

        handler = Filing()

        def work(number):
            run(number, to=handler)
            return number

        if __name__ == "__main__":
            run(0, to=handler)
            context = multiprocessing.get_context({method!r})
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                assert [*pool.map(work, range(1, 9))] == [*range(1, 9)]
        """
    )

    assert (0, "") == (done.code, done.err)
    assert [str(each) for each in range(9)] == sorted(done.delivered)


def test_server_that_forks_its_workers_loses_nothing(start):
    """As gunicorn does with preloading: a first run in the parent, then N workers and a SIGTERM."""
    script = start(
        """
        import os, signal, sys
        from chain_callbacks import flush, register
        from parts import *

        register("filing", Filing)
        run("parent", to="filing")
        workers = []
        for number in range(3):
            is_told, tells = os.pipe()
            child = os.fork()
            if not child:
                gate = Gate()
                os.set_blocking(gate._in, False)
                signal.set_wakeup_fd(gate._in)
                slow = Filing(gate, prefix="slow ")
                for each in range(4):
                    run(f"worker {number} {each}", to=["filing", slow])
                os.write(tells, b"x")
                while True:
                    signal.pause()
            workers.append((child, is_told))
        for child, is_told in workers:
            assert os.read(is_told, 1)
            os.kill(child, signal.SIGTERM)
        codes = [exit_code_of(child) for child, _ in workers]
        say(str(codes))
        sys.exit(0)
        """,
        CHAIN_CALLBACKS_FLUSH_ON_SIGTERM="1",
    )
    done = script.end()

    expected = [f"worker {number} {each}" for number in range(3) for each in range(4)]
    assert (0, "") == (done.code, done.err)
    assert f"{[-signal.SIGTERM] * 3}\n" == done.out
    assert sorted([*expected, *(f"slow {each}" for each in expected), "parent"]) == sorted(
        done.delivered
    )


def test_grandchildren_deliver_theirs(ended):
    """A child that forks is a parent like any other."""
    done = ended(
        """
        import os, sys
        from parts import *

        handler = Filing()
        run("parent", to=handler)
        child = os.fork()
        if not child:
            run("child", to=handler)
            grandchild = os.fork()
            if not grandchild:
                run("grandchild", to=handler)
                sys.exit(0)
            sys.exit(exit_code_of(grandchild))
        sys.exit(exit_code_of(child))
        """
    )

    assert (0, "") == (done.code, done.err)
    assert ["child", "grandchild", "parent"] == sorted(done.delivered)


IN_A_RUN = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from chain_callbacks import attached, flush
from parts import *

class Starts(BaseCallbackHandler):
    def __init__(self, prefix):
        self.prefix = prefix

    def on_chain_start(self, serialized, inputs, *, name, parent_run_id, **kwargs):
        sink(f"{self.prefix} {name} {'root' if parent_run_id is None else 'nested'}")

leaf = RunnableLambda(lambda value: value, name="leaf")

def work(value):
    return leaf.invoke(value)
"""


@pytest.mark.parametrize("around", ["", "attached(Starts('nested around'))"])
def test_child_of_a_run_begins_outside_of_it(ended, around):
    """Its parent has the run. What was attached around that run is attached in the child, too."""
    done = ended(
        IN_A_RUN
        + f"""
def fork(value):
    with {around or "attached()"}, attached(Starts("inside")):
        code = exit_code_of(in_child(lambda: leaf.invoke(1)))
        leaf.invoke(2)
        return code

outer = RunnableLambda(fork, name="outer").with_config(callbacks=[Starts("bound")])
with attached(Starts("first")), attached(Starts("second")):
    code = outer.invoke(1, config={{"callbacks": [Starts("call")]}})
sys.exit(code)
"""
    )

    attached = ["first", "second"]
    heard = [*attached, "bound", "call"]
    nested = [*heard, *(["nested around"] if around else []), "inside"]
    expected = [f"{each} outer root" for each in heard]
    expected += [f"{each} leaf root" for each in attached]
    expected += [f"{each} leaf nested" for each in nested]
    assert (0, "", expected) == (done.code, done.err, done.delivered)


def test_pool_that_is_forked_in_a_run_serves_others(ended):
    """Its workers live on when the run has ended; what they run is a root."""
    done = ended(
        IN_A_RUN
        + """
pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
submit = RunnableLambda(lambda value: pool.submit(work, value).result(), name="submit")
with attached(Starts("first")):
    submit.invoke(1, config={"callbacks": [Starts("call")]})
    submit.invoke(2)
pool.submit(work, 3).result()
pool.shutdown()
"""
    )

    assert (0, "") == (done.code, done.err)
    assert 3 == done.delivered.count("first leaf root")
    assert not [each for each in done.delivered if "nested" in each or "call leaf" in each]


@pytest.mark.parametrize("fork_in", ["with attached(handler):", "if True:"])
def test_child_outside_of_runs_keeps_what_is_attached(ended, fork_in):
    """A server that attaches a handler, and then forks its workers, has them heard."""
    done = ended(
        IN_A_RUN
        + f"""
handler = Starts("server")
{fork_in}
    code = exit_code_of(in_child(lambda: leaf.invoke(1)))
sys.exit(code)
"""
    )

    expected = ["server leaf root"] if "attached" in fork_in else []
    assert (0, "", expected) == (done.code, done.err, done.delivered)


def test_console_of_a_child_knows_no_runs_of_its_parent(ended):
    """What goes on in the parent takes no part in the child's tree."""
    done = ended(
        """
        from parts import *

        def fork(value):
            assert 0 == exit_code_of(in_child(lambda: step.invoke(1, {"callbacks": ["console"]})))

        RunnableLambda(fork, name="parent").invoke(1, {"callbacks": ["console"]})
        """
    )

    first, second = done.lines
    assert first.startswith("── chain step")
    assert second.startswith("── chain parent")
