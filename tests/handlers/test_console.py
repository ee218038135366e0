"""The handler `console`."""

from __future__ import annotations

import io
import logging
import re
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from chain_callbacks import resolve
from chain_callbacks.dispatch.handler_class import events_of
from chain_callbacks.dispatch.manager import CallbackManager
from chain_callbacks.dispatch.run import Run
from chain_callbacks.handlers import console_handler
from chain_callbacks.handlers.console_handler import ConsoleHandler
from chain_callbacks.policies import policy
from chain_callbacks.runnables import AIMessage, ChatGeneration, LLMResult, UsageMetadata
from chain_callbacks.testing import FakeClock, deterministic


@pytest.fixture(autouse=True)
def clock() -> Iterator[FakeClock]:
    with deterministic() as clock:
        yield clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def started(manager: CallbackManager, run_type: Any, name: str, tag: str | None = None) -> Run:
    manager = manager.tagged(tag) if tag else manager
    run = manager.run(run_type, name, "in")
    run.start(*run.payload)
    return run


def run_job(handler: ConsoleHandler, error: BaseException | None = None) -> None:
    """Run a sequence of a prompt and an agent, whose tool may fail."""
    with CallbackManager([handler]).run("chain", "job", {"x": 1}) as job:
        with job.get_child("seq:step:1").run("prompt", "ask", "x") as ask:
            ask.end("y")
        with (
            job.get_child("map:key:a").run("chain", "agent", "y") as agent,
            agent.get_child().run("tool", "search", "z") as tool,
        ):
            if error is not None:
                raise error
            tool.end("found")


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def drawn(tree: str) -> str:
    return textwrap.dedent(tree).removeprefix("\n")


def test_runs_are_a_tree_with_durations(capsys: pytest.CaptureFixture[str]) -> None:
    """A run with nested runs is a line at either end, any other is one line."""
    run_job(ConsoleHandler())
    expected = """
        ┌─ chain job
        ├─ prompt ask  1.0 ms
        ├─┬ chain agent [map:key:a]
        │ ├─ tool search  1.0 ms
        │ └─ chain agent [map:key:a]  3.0 ms
        └─ chain job  7.0 ms
    """
    assert drawn(expected) == shown(capsys)


def test_a_run_alone_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no tree to draw."""
    with CallbackManager([ConsoleHandler()]).run("tool", "search", "x"):
        pass
    assert shown(capsys) == "── tool search  1.0 ms\n"


def test_lines_appear_while_the_runs_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Who watches a long run sees what it is in, not only in the end what it did."""
    job = started(CallbackManager([ConsoleHandler()]), "chain", "job")
    assert shown(capsys) == ""
    ask = started(job.manager(), "prompt", "ask")
    assert shown(capsys) == "┌─ chain job\n"
    ask.end()
    assert shown(capsys) == "├─ prompt ask  1.0 ms\n"


def test_an_error_is_named_with_the_way_to_where_it_began(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each run that it left names its class; the way is from that run downwards."""
    with pytest.raises(ValueError, match="hunter2"):
        run_job(ConsoleHandler(), ValueError("hunter2"))
    expected = """
        ┌─ chain job
        ├─ prompt ask  1.0 ms
        ├─┬ chain agent [map:key:a]
        │ ├─ tool search  1.0 ms  error ValueError
        │ └─ chain agent [map:key:a]  3.0 ms  error ValueError from search
        └─ chain job  7.0 ms  error ValueError from agent > search
    """
    assert drawn(expected) == shown(capsys)


def test_an_end_that_is_not_ok_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A closed stream and an interrupted run are told apart from a finished one."""
    manager = CallbackManager([ConsoleHandler()])
    started(manager, "chain", "stream").end(status="closed")
    started(manager, "chain", "job").fail(KeyboardInterrupt())
    expected = """
        ── chain stream  1.0 ms  closed
        ── chain job  1.0 ms  cancelled KeyboardInterrupt
    """
    assert drawn(expected) == shown(capsys)


def test_a_model_shows_its_token_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """What went in and what came out."""
    usage = UsageMetadata(input_tokens=5, output_tokens=7, total_tokens=12)
    response = LLMResult([[ChatGeneration(AIMessage("", usage_metadata=usage))]])
    started(CallbackManager([ConsoleHandler()]), "chat_model", "m").end(response)
    assert shown(capsys) == "── chat_model m  1.0 ms  5 + 7 tokens\n"


def test_what_a_run_tells_in_between_is_a_line_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A retry and an application's own event stand where they happened."""
    job = started(CallbackManager([ConsoleHandler()]), "chain", "job")
    outcome = SimpleNamespace(exception=lambda timeout: ValueError("hunter2"))
    job.on_retry(SimpleNamespace(attempt_number=1, outcome=outcome))
    job.on_custom_event("progress", "hunter2")
    job.on_text("hunter2")
    job.end()
    expected = """
        ┌─ chain job
        ├─ retry attempt=1 error=ValueError
        ├─ custom_event progress
        └─ chain job  1.0 ms
    """
    assert drawn(expected) == shown(capsys)


def test_payloads_are_not_shown_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither inputs, outputs, the text of errors nor the users' own tags get out."""
    handler = ConsoleHandler()
    with (
        pytest.raises(ValueError, match="hunter2"),
        CallbackManager([handler], tags=["hunter2"]).run("chain", "job", "hunter2") as job,
        job.get_child().run("tool", "search", "hunter2"),
    ):
        raise ValueError("hunter2")
    assert "hunter2" not in shown(capsys)


def test_payloads_are_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """With `content=full` a line ends with what went in and what came out, long values cut."""
    handler = policy(ConsoleHandler(), content="full")
    job = CallbackManager([handler], tags=["prod"]).run("chain", "job", {"x": 1})
    job.start(*job.payload)
    with job.get_child().run("tool", "search", "a" * 201) as tool:
        tool.end("found\n")
    job.fail(ValueError("why"))
    expected = f"""
        ┌─ chain job [prod]  inputs={{'x': 1}}
        ├─ tool search [prod]  1.0 ms  input_str={"a" * 200}... [201 characters]  output=found\\n
        └─ chain job [prod]  3.0 ms  error ValueError: why
    """
    assert drawn(expected) == shown(capsys)


def test_control_characters_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a name, a payload, an error nor a tag can forge a line or drive a terminal."""
    evil = "a\n└─ forged\x1b[31m\x9b31m\u202e\u2028"
    error = type(evil, (Exception,), {})(evil)
    handler = policy(ConsoleHandler(), content="full")
    job = started(CallbackManager([handler], tags=[evil]), "chain", evil)
    tool = started(job.manager(), "tool", evil)
    tool.on_custom_event(evil, evil)
    tool.end(evil)
    job.fail(error)
    written = shown(capsys)
    assert len(written.splitlines()) == 5
    assert written.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("stream", "no_color", "expected"),
    [(Terminal, "", {"\x1b[2m", "\x1b[31m"}), (Terminal, "1", set()), (io.StringIO, "", set())],
)
def test_colours_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: Any, no_color: str, expected: set[str]
) -> None:
    """A file gets none, nor does who has set `NO_COLOR`."""
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("NO_COLOR", no_color)
    with pytest.raises(ValueError, match="x"):
        run_job(ConsoleHandler(), ValueError("x"))
    assert expected == {*re.findall("\x1b[^m]*m", stderr.getvalue())} - {"\x1b[0m"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_encoding_without_box_characters_gets_ascii(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """The tree keeps its shape, and a name that cannot be written is escaped."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding=encoding, newline="\n"))
    with (
        CallbackManager([ConsoleHandler()]).run("chain", "日", 1) as job,
        job.get_child().run("chain", "agent", 1) as agent,
        agent.get_child().run("tool", "search", "x"),
    ):
        pass
    expected = """
        +- chain \\u65e5
        |-+ chain agent
        | |- tool search  1.0 ms
        | `- chain agent  3.0 ms
        `- chain \\u65e5  5.0 ms
    """
    assert drawn(expected) == raw.getvalue().decode("ascii")


def test_a_program_without_stderr_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `pythonw` there is nowhere to print to."""
    monkeypatch.setattr(sys, "stderr", None)
    run_job(ConsoleHandler())


def test_a_line_of_another_branch_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Where branches grow at once, a line below another branch's names the run that it is in."""
    job = started(CallbackManager([ConsoleHandler()]), "chain", "job")
    left = started(job.manager(), "chain", "both", "map:key:left")
    right = started(job.manager(), "chain", "both", "map:key:right")
    one = started(left.manager(), "tool", "one")
    two = started(right.manager(), "tool", "two")
    one.end()
    two.end()
    left.end()
    started(right.manager(), "tool", "three").end()
    right.end()
    job.end()
    expected = """
        ┌─ chain job
        ├─┬ chain both [map:key:left]
        ├─┬ chain both [map:key:right]
        │ ├─ tool one  2.0 ms  (of chain both [map:key:left])
        │ ├─ tool two  2.0 ms  (of chain both [map:key:right])
        │ └─ chain both [map:key:left]  6.0 ms
        │ ├─ tool three  1.0 ms  (of chain both [map:key:right])
        │ └─ chain both [map:key:right]  8.0 ms
        └─ chain job  11.0 ms
    """
    assert drawn(expected) == shown(capsys)


def test_trees_that_grow_at_once_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """From when there are two, each line begins with the last digits of its root's id."""
    manager = CallbackManager([ConsoleHandler()])
    first = started(manager, "chain", "first")
    started(first.manager(), "tool", "a").end()
    second = started(manager, "chain", "second")
    started(second.manager(), "tool", "b").end()
    started(first.manager(), "tool", "c").end()
    second.end()
    first.end()
    started(manager, "chain", "third").end()
    expected = """
        ┌─ chain first
        ├─ tool a  1.0 ms
        000003 ┌─ chain second
        000003 ├─ tool b  1.0 ms
        000001 ├─ tool c  1.0 ms
        000003 └─ chain second  5.0 ms
        000001 └─ chain first  9.0 ms
        ── chain third  1.0 ms
    """
    assert drawn(expected) == shown(capsys)


def test_a_run_that_ends_after_its_root_is_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A late end and a late start are shown, and nothing is kept of them."""
    handler = ConsoleHandler()
    job = started(CallbackManager([handler]), "chain", "job")
    late = started(job.manager(), "tool", "late")
    job.end()
    late.on_custom_event("progress", 1)
    late.end()
    started(job.manager(), "tool", "later").end()
    expected = """
        ┌─ chain job
        └─ chain job  2.0 ms
        ── custom_event progress
        ── tool late  2.0 ms
        ── tool later  1.0 ms
    """
    assert drawn(expected) == shown(capsys)
    assert (handler._trees, handler._open_runs) == ({}, 0)


def test_a_failure_alone_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Under `only=errors` no start is heard."""
    manager = resolve(policy(ConsoleHandler(), only="errors")).manager
    with pytest.raises(ValueError, match="x"), manager.run("chain", "job", 1):
        raise ValueError("x")
    assert shown(capsys) == "── chain job  1.0 ms  error ValueError\n"


def test_runs_that_never_end_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that loses ends costs a bounded amount of memory."""
    monkeypatch.setattr(console_handler, "_MOST_OPEN_RUNS", 10)
    handler = ConsoleHandler()
    manager = CallbackManager([handler])
    runs = [started(manager, "chain", "lost") for _ in range(25)]
    assert len(handler._trees) == handler._open_runs == 10
    for run in runs:
        run.end()
    assert (handler._trees, handler._open_runs) == ({}, 0)


def test_threads_share_a_handler(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line comes out whole, whoever prints at the same time."""
    handler = ConsoleHandler()
    together = threading.Barrier(8)

    def work(_: int) -> None:
        together.wait(10)
        for _ in range(50):
            run_job(handler)

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(work, range(8)))
    lines = shown(capsys).splitlines()
    assert len(lines) == 8 * 50 * 6
    assert sum("chain job  " in line for line in lines) == 8 * 50
    assert (handler._trees, handler._open_runs) == ({}, 0)


def test_a_line_is_printed_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other thread prints, or changes the tree, while a line is on its way."""
    handler = ConsoleHandler()
    were_locked = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            were_locked.append(handler._lock.locked())
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stream())
    run_job(handler)
    assert were_locked == [True] * 6


def test_a_line_after_one_of_an_outer_run_says_whose_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run without nested runs that ends in between does not seem to have some."""
    job = started(CallbackManager([ConsoleHandler()]), "chain", "job")
    left = started(job.manager(), "chain", "left")
    started(left.manager(), "tool", "one").end()
    started(job.manager(), "chain", "right").end()
    started(left.manager(), "tool", "two").end()
    left.end()
    job.end()
    expected = """
        ┌─ chain job
        ├─┬ chain left
        │ ├─ tool one  1.0 ms
        ├─ chain right  1.0 ms
        │ ├─ tool two  1.0 ms  (of chain left)
        │ └─ chain left  7.0 ms
        └─ chain job  9.0 ms
    """
    assert drawn(expected) == shown(capsys)


def test_tokens_and_what_other_lines_tell_are_not_listened_for() -> None:
    """A token costs nothing."""
    deaf_to = {"on_llm_new_token", "on_agent_action", "on_agent_finish"}
    assert deaf_to.isdisjoint(events_of(ConsoleHandler()))


def test_no_failure_is_hidden_by_the_isolation_of_handlers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler that fails is logged: the tree of every kind of run draws without."""
    with caplog.at_level(logging.WARNING, "chain_callbacks"):
        job = started(CallbackManager([ConsoleHandler()]), "chain", "job")
        for run_type in ("llm", "chat_model", "tool", "retriever", "embeddings", "parser"):
            started(job.manager(), run_type, "run").end()
        job.end()
    assert caplog.records == []
