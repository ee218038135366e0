"""A dead or slow backend changes no run, and never holds the process at its end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

BUDGET = 1.0
SLACK = 1.5
"""Seconds beyond the budget's tenth for what a loaded machine takes to end an interpreter."""
LONGEST = BUDGET * 1.1 + SLACK


class Backend(ThreadingHTTPServer):
    """A server on this machine that misbehaves as its *way* says, until the test is over."""

    daemon_threads = True

    def __init__(self, way: str) -> None:
        self.way = way
        self.requests: list[str] = []
        self.is_over = threading.Event()
        super().__init__(("127.0.0.1", 0), Answering)


class Answering(BaseHTTPRequestHandler):
    """Answers nothing at all, a byte now and then, or a refusal."""

    protocol_version = "HTTP/1.1"
    server: Backend
    statuses: ClassVar[dict[str, int]] = {"429": 429, "500": 500, "well": 200}

    def do_POST(self) -> None:
        self.server.requests.append(self.path)
        if self.server.way == "black hole":
            self.server.is_over.wait(60)
            return
        if self.server.way == "slow drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self.server.is_over.wait(0.1):
                self.wfile.write(b".")
            return
        self.send_response(self.statuses[self.server.way])
        if self.server.way == "429":
            self.send_header("Retry-After", "60")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a backend that misbehaves; where it refuses connections there is none."""
    way = request.param
    if way == "refused":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{closed.getsockname()[1]}/secret-path"
        return
    server = Backend(way)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}/secret-path"
    server.is_over.set()
    server.shutdown()
    server.server_close()
    serving.join()


POSTING = """
import os, sys, urllib.request
from chain_callbacks import policy
from parts import *

class Posting(BaseCallbackHandler):
    delivery = "queued"
    content = "none"

    def on_chain_end(self, outputs, **kwargs):
        request = urllib.request.Request(os.environ["URL"], data=b"{}", method="POST")
        with urllib.request.urlopen(request) as response:
            response.read()
        sink("posted")
"""


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("black hole", "20 pending, 0 dropped, 0 failed"),
        ("slow drip", "20 pending, 0 dropped, 0 failed"),
        ("429", " pending, 0 dropped, "),
        ("500", " pending, 0 dropped, "),
        ("refused", " pending, 0 dropped, "),
    ],
    indirect=["backend"],
)
def test_backend_that_is_dead_costs_the_program_its_budget_at_most(ended, backend, expected):
    """Exit code, results and time are the program's own; one line names who did not send."""
    done = ended(
        POSTING
        + """
handler = Posting()
listened = policy(handler, content="none")
results = [step.invoke(each, {"callbacks": [listened]}) for each in range(20)]
assert results == [*range(20)]
ending()
sys.exit(3)
""",
        URL=backend,
        CHAIN_CALLBACKS_EXIT_TIMEOUT=str(BUDGET),
    )

    told = [line for line in done.lines if "did not send everything" in line]
    assert 3 == done.code, done.err
    assert done.seconds < LONGEST
    assert [] == done.delivered
    assert 1 == len(told), done.err
    assert "The handler Posting " in told[0]
    assert expected in told[0]
    assert "http://" not in done.err
    assert "127.0.0.1" not in done.err
    assert "secret-path" not in done.err


@pytest.mark.parametrize("backend", ["well"], indirect=True)
def test_backend_that_is_well_has_everything(ended, backend):
    """The same program, with a backend that answers, sends all and says nothing."""
    done = ended(
        POSTING
        + """
run(*range(20), to=policy(Posting(), content="none"))
sys.exit(3)
""",
        URL=backend,
    )

    assert (3, "", ["posted"] * 20) == (done.code, done.err, done.delivered)


HANGS = {
    "an event": "class Culprit(Hanging): pass",
    "an asynchronous event": """
class Culprit(Hanging):
    async def on_chain_end(self, outputs, **kwargs):
        self.is_entered.set()
        import asyncio
        await asyncio.Event().wait()
""",
    "an asynchronous event that holds the loop": """
class Culprit(Hanging):
    async def on_chain_end(self, outputs, **kwargs):
        self.is_entered.set()
        hang()
""",
    "flush": """
class Culprit(Holding):
    flush = hang
""",
    "asynchronous flush": """
import asyncio
class Culprit(Holding):
    async def flush(self, timeout):
        await asyncio.Event().wait()
""",
    "deliver": """
class Culprit(Holding):
    delivery = "queued"
    def deliver(self):
        entered.set()
        hang()
""",
    "close": """
class Culprit(Holding):
    close = hang
""",
    "asynchronous close": """
import asyncio
class Culprit(Holding):
    async def close(self):
        await asyncio.Event().wait()
""",
}


@pytest.mark.parametrize("where", HANGS)
def test_handler_that_hangs_holds_the_process_for_the_budget_at_most(ended, where):
    """Wherever it hangs: runs go on, others are told, the exit code stays, one line names it."""
    done = ended(
        "from parts import *\nentered = threading.Event()\n"
        + HANGS[where]
        + """
import sys
from chain_callbacks import register

register("culprit", Culprit)
healthy = Filing(prefix="healthy ")
for number in range(5):
    run(number, to=["culprit", healthy])
assert "deliver" not in vars(Culprit) or entered.wait(PATIENCE)
ending()
sys.exit(3)
""",
        CHAIN_CALLBACKS_EXIT_TIMEOUT=str(BUDGET),
    )

    assert 3 == done.code, done.err
    assert done.seconds < LONGEST
    delivered = [each for each in done.delivered if each.startswith("healthy")]
    assert [f"healthy {number}" for number in range(5)] == delivered
    told = [line for line in done.lines if "culprit" in line]
    assert 1 == len(told), done.err
    assert "CHAIN_CALLBACKS_EXIT_TIMEOUT is 1 seconds, for all handlers." in told[0]


@pytest.mark.parametrize("kind", ["Hanging", "AsyncHanging"])
def test_run_ends_while_its_handler_is_held_up_still(ended, kind):
    """No run waits for a handler that is queued: all have ended, and the first event is being told.

    The shared loop goes on beside one that waits on it: another asynchronous handler hears all.
    """
    done = ended(
        f"""
        import asyncio, sys
        from chain_callbacks import flush, stats
        from parts import *

        class AsyncHanging(Hanging):
            async def on_chain_end(self, outputs, **kwargs):
                self.is_entered.set()
                await asyncio.Event().wait()

        hanging, other = {kind}(), AsyncFiling()
        run(*range(50), to=[hanging, other])
        assert hanging.is_entered.wait(PATIENCE)
        flush(0.5)
        counts = stats()
        say(f"{{counts['{kind}'].delivered}} {{counts['{kind}'].queued}}")
        """,
        CHAIN_CALLBACKS_EXIT_TIMEOUT="0",
    )

    assert (0, "0 50\n") == (done.code, done.out)
    assert [str(each) for each in range(50)] == done.delivered


def test_asynchronous_caller_goes_on_beside_a_handler_that_hangs(ended):
    """Its loop is not the one that the handler holds up."""
    done = ended(
        """
        import asyncio
        from parts import *

        class Holding(Hanging):
            async def on_chain_end(self, outputs, **kwargs):
                self.is_entered.set()
                hang()

        async def main():
            hanging = Holding()
            await asyncio.gather(
                *(step.ainvoke(each, {"callbacks": [hanging]}) for each in range(20))
            )
            assert await asyncio.to_thread(hanging.is_entered.wait, PATIENCE)
            await step.ainvoke(21, {"callbacks": [hanging]})
            say("done")

        asyncio.run(main())
        """,
        CHAIN_CALLBACKS_EXIT_TIMEOUT="0",
    )

    assert (0, "done\n") == (done.code, done.out)
    assert "Holding" in done.err


@pytest.mark.parametrize("where", ["an event", "flush", "close"])
def test_two_handlers_that_hang_share_one_budget(ended, where):
    """It is one budget for all of them, and both are named."""
    done = ended(
        "from parts import *\n"
        + HANGS[where]
        + """
from chain_callbacks import register

class Second(Culprit):
    pass

register("first", Culprit)
register("second", Second)
run(1, to=["first", "second"])
ending()
""",
        CHAIN_CALLBACKS_EXIT_TIMEOUT="2",
    )

    assert 0 == done.code
    assert 1.9 < done.seconds < 2.2 + SLACK
    assert all(any(name in line for line in done.lines) for name in ("first", "second")), done.err


def test_exit_without_a_budget_waits_for_nobody(ended):
    """CHAIN_CALLBACKS_EXIT_TIMEOUT=0 is for who would rather lose what waits."""
    done = ended(
        """
        from parts import *

        handler = Hanging()
        run(1, 2, to=handler)
        assert handler.is_entered.wait(PATIENCE)
        ending()
        raise SystemExit(4)
        """,
        CHAIN_CALLBACKS_EXIT_TIMEOUT="0",
    )

    assert 4 == done.code
    assert done.seconds < SLACK
    assert "2 pending" in done.err


def test_handler_that_fails_does_not_change_the_exit_code(ended):
    """SystemExit and whatever else a handler raises at the end ends with it."""
    done = ended("""
        import sys
        from chain_callbacks import register
        from parts import *

        class Raising(Holding):
            def flush(self, timeout):
                raise SystemExit(66)

            def close(self):
                raise SystemExit(67)

        register("raising", Raising)
        run(1, to=["raising", Filing()])
        sys.exit(3)
    """)

    assert (3, ["1"]) == (done.code, done.delivered)
    assert "The handler raising failed in flush with SystemExit." in done.err
    assert "Closing the handler raising failed with SystemExit." in done.err
