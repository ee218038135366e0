"""The end comes while a handler can still do everything: before pools close and threads stop."""

from __future__ import annotations

import pytest

WAYS = {
    "pool of its own": "with_pool",
    "new thread": "with_thread",
    "loop of its own": "with_loop",
}
SENDING = """
import asyncio, socket
from concurrent.futures import ThreadPoolExecutor
from parts import *

def with_pool(function, *arguments):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result(PATIENCE)

def with_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join(PATIENCE)

def with_loop(function, *arguments):
    asyncio.run(asyncio.to_thread(function, *arguments))

class Sending(Holding):
    def __init__(self, way):
        super().__init__()
        self.way = way

    def flush(self, timeout):
        held, self.held = self.held, []
        for each in held:
            self.way(sink, each)

class Closing(Filing):
    delivery = "inline"

    def close(self):
        with_pool(sink, "closed with a pool")
        with_thread(sink, "closed with a thread")

class AsyncSending(BaseCallbackHandler):
    delivery = "queued"

    async def on_chain_end(self, outputs, **kwargs):
        await asyncio.sleep(0.01)  # It is the end of the program meanwhile.
        found = await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        await asyncio.to_thread(sink, f"{outputs} to {len(found) > 0}")
"""


@pytest.mark.parametrize("delivery", ["inline", "queued"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_flush_at_the_end_may_use_threads(ended, way, delivery):
    """A handler that sends through a pool, a thread or a loop can do so when the program ends."""
    done = ended(f"""{SENDING}
Sending.delivery = {delivery!r}
run(1, 2, to=Sending({way}))
""")

    assert (0, "", ["1", "2"]) == (done.code, done.err, done.delivered)


def test_asynchronous_handler_resolves_names_at_the_end(ended):
    """What waits in its queue is sent, with `getaddrinfo` and `to_thread` as clients use them."""
    done = ended(f"{SENDING}\nrun(1, 2, to=AsyncSending())")

    assert (0, "", ["1 to True", "2 to True"]) == (done.code, done.err, done.delivered)


def test_close_at_the_end_may_use_threads(ended):
    """A handler that a name made is closed while pools and threads still start."""
    done = ended(f"""{SENDING}
from chain_callbacks import register
register("closing", Closing)
run(1, to="closing")
""")

    assert (0, "") == (done.code, done.err)
    assert ["1", "closed with a pool", "closed with a thread"] == done.delivered


def test_pool_of_the_program_that_nobody_shut_down_is_no_obstacle(ended):
    """Its threads wait for work that cannot come: the end is not put off for them."""
    done = ended(f"""{SENDING}
from chain_callbacks import register
pool = ThreadPoolExecutor(2)
assert [1, 2] == list(pool.map(abs, [1, 2]))
register("closing", Closing)
run(1, to=["closing", Sending(with_pool)])
""")

    assert (0, "") == (done.code, done.err)
    assert ["1", "1", "closed with a pool", "closed with a thread"] == done.delivered


def test_what_a_pool_of_the_program_still_runs_is_delivered(ended):
    """Python waits for it when the main thread has ended, and so does the end."""
    done = ended(f"""{SENDING}
from chain_callbacks import register

class Closed(Filing):
    def close(self):
        sink("closed")

gate = Gate()
register("closed", Closed)
pool = ThreadPoolExecutor(1)

def work():
    gate.enter()
    run(2, to=["closed", AsyncSending()])

run(1, to="closed")
pool.submit(work)
gate.wait_for_visitor()
at_the_end(gate.open)
""")

    assert (0, "") == (done.code, done.err)
    assert ["1", "2", "2 to True", "closed"] == sorted(done.delivered)
    assert "closed" == done.delivered[-1]


def test_handler_that_was_closed_is_made_anew_for_an_exit_function(ended):
    """Exit functions of the program come after the end; a name that they use makes a handler."""
    done = ended(f"""{SENDING}
import atexit
from chain_callbacks import register

class Numbered(Filing):
    made = 0

    def __init__(self):
        super().__init__()
        Numbered.made += 1
        self.prefix = f"{{Numbered.made}}: "

    def close(self):
        sink(f"{{self.prefix}}closed")

register("numbered", Numbered)
run("early", to="numbered")
atexit.register(run, "at exit", to="numbered")
""")

    assert (0, "") == (done.code, done.err)
    assert ["1: early", "1: closed", "2: at exit", "2: closed"] == done.delivered


def test_handler_that_hangs_in_a_thread_of_its_loop_does_not_hold_the_process(ended):
    """`to_thread` of a dead backend: the process ends when its budget does."""
    done = ended(
        f"""{SENDING}
class Dead(BaseCallbackHandler):
    delivery = "queued"

    async def on_chain_end(self, outputs, **kwargs):
        await asyncio.to_thread(hang)

run(1, to=Dead())
ending()
""",
        CHAIN_CALLBACKS_EXIT_TIMEOUT="0.5",
    )

    assert 0 == done.code
    assert ["Dead"] == [line.split()[2] for line in done.lines if "did not send" in line]


@pytest.mark.parametrize("handler", ["Filing()", "AsyncFiling()"])
def test_asynchronous_stream_that_is_still_held_is_said(ended, handler):
    """Nobody can await its closing any more: one line says whose end is lacking."""
    done = ended(f"""{SENDING}
async def letters(value):
    for letter in "abc":
        yield letter

loop = asyncio.new_event_loop()
streams = [
    RunnableLambda(letters, name=name).astream("x", {{"callbacks": [{handler}]}})
    for name in ("first", "second", "read")
]
for stream in streams:
    loop.run_until_complete(anext(stream))

async def read(stream):
    async for letter in stream:
        pass

loop.run_until_complete(read(streams[2]))
""")

    (line,) = [line for line in done.lines if "stream" in line]
    assert ("'first'" in line, "'second'" in line, "'read'" in line) == (True, True, False)
    assert (0, ["abc"]) == (done.code, done.delivered)


def test_synchronous_stream_that_is_still_held_ends(ended):
    """Its run ends as closed, and the end is delivered."""
    done = ended(f"""{SENDING}
stream = step.stream("x", {{"callbacks": [Filing()]}})
next(stream)
""")

    assert (0, "", ["x"]) == (done.code, done.err, done.delivered)
