"""``chain-callbacks explain``, and the table that it prints."""

from __future__ import annotations

import json
import sys

from chain_callbacks import BaseCallbackHandler, explain, register
from chain_callbacks.cli import main
from chain_callbacks.runnables import RunnableLambda


class Quiet(BaseCallbackHandler):
    def on_chain_start(self, serialized, inputs, **kwargs):
        pass


TABLE = """\
#   entry  status                             asked for by            from  policy            events
#1  one    active                             CHAIN_CALLBACKS         -     content=redacted  1
#2  two    removed by config["callbacks"][1]  CHAIN_CALLBACKS         -     -                 -
#3  one    merged into #1                     config["callbacks"][0]  -     -                 -
#4  -two   removes                            config["callbacks"][1]  -     -                 -
"""

SENTENCES = """\
#   entry   status   asked for by            from  policy            events
#1  consol  unknown  CHAIN_CALLBACKS         -     -                 -
    No handler is called 'consol'; CHAIN_CALLBACKS asks for it. Did you mean 'console'?
    Installed: 'console', 'one', 'structlog'.
#2  one     active   config["callbacks"][0]  -     content=redacted  1
#3  one:eu  unknown  config["callbacks"][1]  -     -                 -
    No handler is called 'one:eu': the instance is not configured; config["callbacks"][1] asks
    for it. Set one of its settings, CHAIN_CALLBACKS_ONE__EU__<FIELD>.
"""


def test_explain_is_a_table_of_what_became_of_each_entry(capsys, monkeypatch):
    """The environment's entries come first, then the names, each with its place and status."""
    register("one", Quiet)
    register("two", Quiet)
    monkeypatch.setenv("CHAIN_CALLBACKS", "one,two")

    assert main(["explain", "one", "-two"]) == 0

    assert capsys.readouterr().out == TABLE


def test_explain_puts_a_sentence_below_its_line(capsys, monkeypatch):
    """A long reason leaves the columns where they are, and is wrapped."""
    register("one", Quiet)
    monkeypatch.setenv("CHAIN_CALLBACKS", "consol")

    assert main(["explain", "one", "one:eu"]) == 0

    assert capsys.readouterr().out == SENTENCES


def test_explain_says_why_a_plugin_is_broken(capsys, fake_distribution):
    """A plugin that cannot be imported is a line, not an error."""
    poison = {"poison.py": "raise RuntimeError('no such tea')"}
    fake_distribution("evil", "1", {"evil": "poison:Handler"}, poison)

    assert main(["explain", "evil"]) == 0

    assert capsys.readouterr().out == (
        "#   entry  status  asked for by            from    policy  events\n"
        '#1  evil   broken  config["callbacks"][0]  evil 1  -       -\n'
        "    RuntimeError: no such tea\n"
    )


def test_explain_lets_no_escape_of_a_plugin_reach_the_terminal(capsys, fake_distribution):
    """What a plugin's exception says is written out."""
    poison = {"poison.py": "raise RuntimeError('\\x1b[31mred')"}
    fake_distribution("evil", "1", {"evil": "poison:Handler"}, poison)

    assert main(["explain", "evil"]) == 0

    assert "RuntimeError: \\x1b[31mred\n" in capsys.readouterr().out


def test_explain_as_json_has_the_documented_schema(capsys, monkeypatch):
    """The object that machines read has these keys."""
    register("one", Quiet)
    monkeypatch.setenv("CHAIN_CALLBACKS_ONE__ONLY", "errors")

    assert main(["explain", "--json", "One", "-one"]) == 0

    first, second = json.loads(capsys.readouterr().out)["entries"]
    assert first == {
        "number": 1,
        "name": "one",
        "text": "One",
        "source": 'config["callbacks"][0]',
        "status": "removed",
        "reason": 'by config["callbacks"][1]',
        "policy": "",
        "content": None,
        "delivery": None,
        "on_error": None,
        "stated_by": [],
        "distribution": None,
        "version": None,
        "events": [],
        "delivered": 0,
        "failed": 0,
        "dropped": 0,
    }
    assert (second["status"], second["text"]) == ("removes", "-one")


def test_explain_says_who_stated_a_policy(capsys, monkeypatch):
    """Below the line of an entry stands where its policy comes from."""
    register("one", Quiet)
    monkeypatch.setenv("CHAIN_CALLBACKS_ONE__ONLY", "errors+roots")

    assert main(["explain", "one"]) == 0

    assert capsys.readouterr().out == (
        "#   entry  status  asked for by            from  "
        "policy                              events\n"
        '#1  one    active  config["callbacks"][0]  -     '
        "only=errors+roots content=redacted  1\n"
        "    only=errors+roots by CHAIN_CALLBACKS_ONE__ONLY\n"
    )


def test_explain_counts_what_a_handler_was_told_of():
    """Asked inside a process, it has how often a handler was told and how often it failed."""

    class Failing:
        def on_chain_start(self, serialized, inputs, **kwargs):
            if inputs == 2:
                raise ValueError

        def on_chain_end(self, outputs, **kwargs):
            pass

    register("one", Failing)
    step = RunnableLambda(abs, callbacks=["one"])
    for value in (1, 2, 3):
        step.invoke(value)

    (row,) = explain(step).as_data()
    assert (row["delivered"], row["failed"]) == (5, 1)


def test_explain_imports_only_what_is_named(capsys, fake_distribution):
    """A poisoned plugin hurts nobody who does not name it."""
    fake_distribution("evil", "1", {"evil": "poison:Handler"}, {"poison.py": "raise SystemExit"})

    assert main(["explain", "console"]) == 0

    assert "#1  console  active" in capsys.readouterr().out
    assert "poison" not in sys.modules


def test_explain_takes_a_removal_for_no_option(capsys):
    """A name may begin with a dash, before and after options, and share an argument."""
    assert main(["explain", "-console", "console,-structlog", "--json"]) == 0

    entries = json.loads(capsys.readouterr().out)["entries"]
    assert [each["text"] for each in entries] == ["-console", "console", "-structlog"]


def test_explain_of_nothing_says_what_to_do(capsys):
    """Where nobody is named, a name is proposed."""
    assert main(["explain"]) == 0

    assert capsys.readouterr().out == (
        "No handler is attached.\n"
        "CHAIN_CALLBACKS names none; try: chain-callbacks explain console\n"
    )


def test_explain_where_all_is_disabled_names_the_variable(capsys, monkeypatch):
    """The one thing that makes every name void is said."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "1")

    assert main(["explain", "console"]) == 0

    assert capsys.readouterr().out == (
        "No handler is attached.\nCHAIN_CALLBACKS_DISABLED is set.\n"
    )


def test_explain_lets_no_escape_of_an_entry_reach_the_terminal(capsys, monkeypatch):
    """An entry of the environment that is no name stands in its column, written out."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "\x1b[31mred")

    assert main(["explain"]) == 0

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "#1  \\x1b[31mred  refused" in printed
