"""``chain-callbacks demo``."""

from __future__ import annotations

import json
import re

from chain_callbacks import register
from chain_callbacks.cli import main
from chain_callbacks.testing import RecordingHandler

STDOUT = """\
CHAIN_CALLBACKS names no handler, so 'structlog' listens and writes to stderr.

1. A chain: prompt | model
   "What is 1 + {number}?" with number = 2
   Answer: 1 + 2 = 3

2. An agent: two tools at once, then the answer
   "Is it warmer in Lisbon or in Oslo?"
   Answer: In Lisbon: it is 24 degrees there, and 11 in Oslo.

Next
   CHAIN_CALLBACKS=console chain-callbacks demo  the same runs, as a tree
   chain-callbacks list                          what is installed, what is enabled
   chain-callbacks explain console               who would hear a run, and why
   CHAIN_CALLBACKS=structlog python app.py       your own program, unchanged
"""

TREE = """\
┌─ chain RunnableSequence
├─ prompt ChatPromptTemplate
├─ chat_model FakeListChatModel  16 + 13 tokens
└─ chain RunnableSequence
┌─ chain agent
├─ chat_model FakeToolCallingChatModel  62 + 41 tokens
├─ tool temperature [tool:call:1]
├─ tool temperature [tool:call:2]
├─ chat_model FakeToolCallingChatModel  118 + 15 tokens
└─ chain agent
"""


def test_demo_answers_on_stdout(capsys):
    """What the chain and the agent answer, and what to try next; nothing of a handler."""
    assert main(["demo"]) == 0

    assert capsys.readouterr().out == STDOUT


def test_demo_logs_with_structlog_where_nobody_is_named(capsys):
    """Each line on stderr is an event, and the models' ends count tokens."""
    assert main(["demo"]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    totals = [line["total_tokens"] for line in lines if line["event"] == "llm_end"]
    assert totals == [29, 103, 133]
    assert [line["event"] for line in lines].count("tool_end") == 2


def test_demo_shows_a_tree_where_the_environment_names_console(capsys, monkeypatch):
    """The handlers of CHAIN_CALLBACKS listen instead, and their own advice is left out."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "console")

    assert main(["demo"]) == 0

    shown = capsys.readouterr()
    # The two tools run at once: either may be the first to end.
    lines = re.sub(r"  \d+\.\d ms", "", shown.err).splitlines()
    assert sorted(lines) == sorted(TREE.splitlines())
    assert shown.out.startswith("Listening: console.\n\n1. A chain")
    assert "as a tree" not in shown.out


def test_demo_takes_names_at_run_time(capsys, monkeypatch):
    """Names add to those of the environment, and take out of them."""
    recorder = RecordingHandler()
    register("recorder", lambda: recorder)
    monkeypatch.setenv("CHAIN_CALLBACKS", "console")

    assert main(["demo", "recorder", "-console"]) == 0

    shown = capsys.readouterr()
    assert shown.out.startswith("Listening: recorder.\n")
    assert shown.err == ""
    assert [run.name for run in recorder.runs].count("temperature") == 2


def test_demo_with_none_is_silent(capsys):
    """``none`` is a name: nobody listens, and the answers come all the same."""
    assert main(["demo", "none"]) == 0

    shown = capsys.readouterr()
    assert shown.out.startswith("Nobody listens.\n")
    assert "Answer: 1 + 2 = 3\n" in shown.out
    assert shown.err == ""


def test_demo_where_all_is_disabled_claims_no_listener(capsys, monkeypatch):
    """The settings beat the demo's own choice."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "1")

    assert main(["demo"]) == 0

    shown = capsys.readouterr()
    assert shown.out.startswith("Nobody listens.\n")
    assert shown.err == ""


def test_demo_with_an_unknown_name_shows_nothing(capsys):
    """A name that is wrong is an error before anything runs."""
    assert main(["demo", "consol"]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "chain-callbacks: No handler is called 'consol'; config[\"callbacks\"][0] asks for it. "
        "Did you mean 'console'? Installed: 'console', 'structlog'.\n"
    )


def test_demo_keeps_the_order_where_both_streams_lead_to_one_file(python):
    """A headline stands before what handlers write of it, and the answer after."""
    code = (
        "import os; os.dup2(1, 2); from chain_callbacks.cli import main; main(['demo', 'console'])"
    )

    shown = python("-c", code).stdout

    marks = (
        "1. A chain",
        "└─ chain RunnableSequence",
        "Answer: 1",
        "2. An agent",
        "┌─ chain agent",
    )
    places = [shown.index(mark) for mark in marks]
    assert places == sorted(places)
