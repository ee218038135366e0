"""Who tells of runs some time after they were has its say at the end, before the handlers do."""

from __future__ import annotations

import signal

import pytest

from tests.processes.test_ends import needs_signals

LATE = """
import atexit, os, signal, sys
from parts import *
from chain_callbacks import flush_on_sigterm
from chain_callbacks.hosts import before_end

class Closing(Filing):
    def close(self):
        sink("closed")
"""


@pytest.mark.parametrize("listens", ["early", "late"])
def test_what_is_told_at_the_end_is_delivered(ended, listens):
    """Also where it is the first that anybody hears."""
    done = ended(f"""{LATE}
handler = Filing()
before_end(lambda: run("late", to=handler))
if {listens == "early"}:
    run("early", to=handler)
""")

    assert (0, "") == (done.code, done.err)
    assert [*(["early"] if listens == "early" else []), "late"] == done.delivered


def test_handlers_are_closed_after_that(ended, tmp_path):
    """A handler that was closed could send nothing."""
    config = tmp_path / "handlers.toml"
    config.write_text('[handlers.filing]\nclass = "closing:Closing"\n', "utf-8")
    (tmp_path / "closing.py").write_text(LATE, "utf-8")
    done = ended(
        f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from closing import *
from chain_callbacks.runnables import RunnableLambda

before_end(lambda: RunnableLambda(str).invoke("late"))
RunnableLambda(str).invoke("early")
""",
        CHAIN_CALLBACKS="filing",
        CHAIN_CALLBACKS_CONFIG=str(config),
    )

    assert ["early", "late", "closed"] == done.delivered, done.err


def test_one_that_hangs_leaves_half_of_the_budget(ended):
    """The handlers send what they have."""
    done = ended(
        f"""{LATE}
gate, handler = Gate(), Filing()
hanging = threading.Event()
before_end(hanging.wait)
run("early", to=handler)
""",
        CHAIN_CALLBACKS_EXIT_TIMEOUT="0.5",
    )

    assert (0, ["early"]) == (done.code, done.delivered)


def test_one_that_raises_keeps_no_other_from_it(ended):
    """It is said by its class, and the rest goes on."""
    done = ended(f"""{LATE}
def fail():
    raise ValueError("mine")

handler = Filing()
before_end(fail)
before_end(lambda: run("late", to=handler))
""")

    assert (0, ["late"]) == (done.code, done.delivered)
    (line,) = done.lines
    assert "before the end of the process failed: ValueError" in line


def test_one_that_was_taken_back_is_not_called(ended):
    """Who was shut down has nothing more to say."""
    done = ended(f"""{LATE}
handler = Filing()
take_back = before_end(lambda: run("late", to=handler))
take_back()
take_back()
run("early", to=handler)
""")

    assert ["early"] == done.delivered


@needs_signals
def test_it_is_asked_at_sigterm(ended):
    """A container is ended that way."""
    done = ended(f"""{LATE}
handler = Filing()
flush_on_sigterm()
before_end(lambda: run("late", to=handler))
os.kill(os.getpid(), signal.SIGTERM)
""")

    assert (-signal.SIGTERM, ["late"]) == (done.code, done.delivered)
