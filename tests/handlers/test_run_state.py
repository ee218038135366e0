"""The base of handlers that keep something per run."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import os
import pickle
import select
import signal
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_callbacks import (
    CallbackManager,
    RunEnd,
    RunStart,
    RunStateHandler,
    policy,
    resolve,
)
from chain_callbacks.delivery import counters
from chain_callbacks.dispatch.handler_class import events_of
from chain_callbacks.events import EVENTS
from chain_callbacks.runnables import AIMessage, ChatGeneration, LLMResult, RunnableLambda

MORNING = datetime(2030, 1, 1, tzinfo=UTC)


# Three handlers as an author would write them.


@dataclass
class Step:
    name: str
    seconds: float | None = None
    steps: list[Step] = field(default_factory=list)

    def lines(self, depth: int = 0) -> Iterator[str]:
        yield f"{'  ' * depth}{self.name} {'?' if self.seconds is None else 'done'}"
        for step in self.steps:
            yield from step.lines(depth + 1)


class Latency(RunStateHandler[Step]):
    def __init__(self) -> None:
        self.trees: list[Step] = []

    def start_run(self, run: RunStart, parent: Step | None) -> Step:
        step = Step(run.name)
        if parent is not None:
            parent.steps.append(step)
        return step

    def end_run(self, state: Step, run: RunEnd) -> None:
        state.seconds = run.duration

    def end_tree(self, state: Step) -> None:
        self.trees.append(state)

    def drawn(self) -> list[str]:
        return ["\n".join(tree.lines()) for tree in self.trees]


class TokenMeter(RunStateHandler[list[int]]):
    def __init__(self) -> None:
        self.totals: list[int] = []

    def start_run(self, run: RunStart, parent: list[int] | None) -> list[int]:
        return [] if parent is None else parent

    def end_run(self, state: list[int], run: RunEnd) -> None:
        if run.event == "on_llm_end":
            [[generation]] = run.payload["response"].generations
            state.append(generation.message.usage_metadata["total_tokens"])

    def end_tree(self, state: list[int]) -> None:
        self.totals.append(sum(state))


@dataclass
class Span:
    name: str
    run_id: UUID
    parent: Span | None
    status: str | None = None
    events: list[str] = field(default_factory=list)


class Exporter(RunStateHandler[Span]):
    """Leaves out prompts; what it lost is told as such."""

    def __init__(self) -> None:
        self.sent: list[Span] = []

    def start_run(self, run: RunStart, parent: Span | None) -> Span | None:
        return None if run.run_type == "prompt" else Span(run.name, run.run_id, parent)

    def end_run(self, state: Span, run: RunEnd) -> None:
        state.status = run.status
        self.sent.append(state)

    def lose_run(self, state: Span) -> None:
        state.status = "lost"
        self.sent.append(state)

    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        if span := self.state_of(run_id):
            span.events.append("retry")

    def outcomes(self) -> list[tuple[str, str | None]]:
        return [(span.name, span.status) for span in self.sent]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _fresh_failures() -> Iterator[None]:
    counters.clear()
    yield
    counters.clear()


def answer(tokens: int) -> LLMResult:
    usage = {"input_tokens": 0, "output_tokens": tokens, "total_tokens": tokens}
    return LLMResult(generations=[[ChatGeneration(message=AIMessage("x", usage_metadata=usage))]])


def id_of(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


class Told:
    """A handler that is told of runs by hand, with `root/child/grandchild` for their names."""

    def __init__(self, handler: RunStateHandler[Any]) -> None:
        self.handler = handler

    def facts(self, path: str, ended: str | None) -> dict[str, Any]:
        names = path.split("/")
        facts = {
            "run_id": id_of(path),
            "parent_run_id": id_of("/".join(names[:-1])) if names[1:] else None,
            "root_run_id": id_of(names[0]),
            "depth": len(names) - 1,
            "name": names[-1],
            "run_type": "chain",
            "tags": [],
        }
        if ended is None:
            return {**facts, "metadata": {}, "started": MORNING}
        end = {"status": ended, "duration": 1.0, "error_id": None, "is_origin": False, "origin": ()}
        return {**facts, **end}

    def start(self, *paths: str) -> None:
        for path in paths:
            self.handler.on_chain_start({}, "in", **self.facts(path, None))

    def end(self, *paths: str, status: str = "ok") -> None:
        for path in paths:
            facts = self.facts(path, status)
            if status == "ok":
                self.handler.on_chain_end("out", **facts)
            else:
                self.handler.on_chain_error(ValueError(), **facts)


# What the samples say.


def test_a_tree_of_latencies_is_drawn_when_its_last_run_has_ended():
    """Each run's object reaches those nested in it, and the whole is told of once, at the end."""
    handler = Latency()
    manager = CallbackManager([handler])

    with manager.run("chain", "job", 1) as job:
        with job.get_child().run("chain", "first", 1) as first:
            first.get_child().run("tool", "search", "x").__enter__().end("y")
        with suppress(ValueError), job.get_child().run("tool", "second", "x"):
            raise ValueError
        assert handler.trees == []
        assert 4 == handler.runs_kept

    assert handler.drawn() == ["job done\n  first done\n    search done\n  second done"]
    assert 0 == handler.runs_kept


def test_a_token_meter_sums_what_all_models_of_a_root_used():
    """An object that all runs of a tree share is told of once, with what each model added."""
    handler = TokenMeter()
    manager = CallbackManager([handler])

    for counts in ((1, 2), (10,), ()):
        with manager.run("chain", "job", 1) as job:
            for tokens in counts:
                with job.get_child().run("chat_model", "model", [[]]) as model:
                    model.end(answer(tokens))

    assert [3, 10, 0] == handler.totals


def test_a_span_has_the_nearest_run_with_a_span_for_its_parent():
    """A run for which nothing is kept is passed over, and its end is not told."""
    handler = Exporter()

    with (
        CallbackManager([handler]).run("chain", "job", 1) as job,
        job.get_child().run("prompt", "ask", 1) as ask,
        ask.get_child().run("tool", "search", "x") as search,
    ):
        search.on_retry(None)
        assert handler.state_of(ask.id) is None
        assert ["retry"] == handler.state_of(search.id).events

    search, root = handler.sent
    assert ("search", "job", None) == (search.name, search.parent.name, root.parent)
    assert handler.state_of(search.run_id) is None


def test_start_and_end_have_the_facts_and_the_payload_of_their_event():
    """Whatever the kind of a run is, its start and its end come to the two hooks in one form."""
    heard: list[Any] = []

    class Curious(RunStateHandler[str]):
        def start_run(self, run: RunStart, parent: str | None) -> str:
            heard.append(run)
            return run.name

        def end_run(self, state: str, run: RunEnd) -> None:
            heard.append(run)

    manager = CallbackManager([Curious()], tags=["a"], metadata={"tenant": 7})
    run = manager.on_tool_start({"name": "search"}, "x", inputs={"q": "x"}, tool_call_id="1")
    run.on_tool_error(ValueError("no"))
    start, end = heard

    assert ("on_tool_start", "search", "tool") == (start.event, start.name, start.run_type)
    assert ("x", {"q": "x"}, "1") == tuple(
        start.payload[name] for name in ("input_str", "inputs", "tool_call_id")
    )
    assert (run.id, None, run.id, 0) == start[2:6]
    assert (["a"], {"tenant": 7}, run.started) == (start.tags, start.metadata, start.started)
    assert ("on_tool_error", "error", run.error_id) == (end.event, end.status, end.error_id)
    assert (run.duration, True, ("search",)) == (end.duration, end.is_origin, end.origin)
    assert isinstance(end.payload["error"], ValueError)


def test_what_is_not_a_start_or_an_end_is_not_listened_to():
    """Keeping state makes no handler listen to tokens, nor to anything else between."""
    listened = {*events_of(Latency())}

    assert {spec.name for spec in EVENTS.values() if spec.phase != "during"} == listened
    assert listened | {"on_retry"} == {*events_of(Exporter())}


# One handler, many runs at once.


def names_of(number: int) -> str:
    return f"job {number} done\n  step {number} done\n    tool {number} done\n  late {number} done"


def test_two_hundred_runs_in_threads_give_two_hundred_trees():
    """Runs that are open at once, each on a thread, share a handler and nothing in it."""
    handler = Latency()
    manager = CallbackManager([handler])
    together = threading.Barrier(200)

    def work(number: int) -> None:
        with manager.run("chain", f"job {number}", 1) as job:
            with job.get_child().run("chain", f"step {number}", 1) as step:
                together.wait(30)
                with step.get_child().run("tool", f"tool {number}", "x"):
                    pass
            with job.get_child().run("chain", f"late {number}", 1):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(names_of, range(200))) == sorted(handler.drawn())
    assert 0 == handler.runs_kept


def test_two_hundred_runs_in_tasks_give_two_hundred_trees():
    """Runs that are open at once, each in a task, share a handler and nothing in it."""
    handler = Latency()
    manager = CallbackManager([handler])

    async def work(number: int, together: asyncio.Barrier) -> None:
        async with manager.run("chain", f"job {number}", 1) as job:
            async with job.get_child().run("chain", f"step {number}", 1) as step:
                await together.wait()
                async with step.get_child().run("tool", f"tool {number}", "x"):
                    await together.wait()
            async with job.get_child().run("chain", f"late {number}", 1):
                pass

    async def main() -> None:
        together = asyncio.Barrier(200)
        await asyncio.gather(*(work(number, together) for number in range(200)))

    asyncio.run(main())

    assert sorted(map(names_of, range(200))) == sorted(handler.drawn())
    assert 0 == handler.runs_kept


def test_a_tree_that_ends_on_two_threads_is_told_of_after_both_ends():
    """The last end of a tree waits for an end that another thread is still telling."""
    order: list[str] = []
    is_ending, may_end = threading.Event(), threading.Event()

    class Slow(RunStateHandler[str]):
        def start_run(self, run: RunStart, parent: str | None) -> str:
            return run.name

        def end_run(self, state: str, run: RunEnd) -> None:
            if state == "child":
                is_ending.set()
                may_end.wait(30)
            order.append(state)

        def end_tree(self, state: str) -> None:
            order.append(f"tree of {state}")

    told = Told(Slow())
    told.start("root", "root/child")
    ending = threading.Thread(target=told.end, args=("root/child",))
    ending.start()
    is_ending.wait(30)
    told.end("root")
    may_end.set()
    ending.join()

    assert ["root", "child", "tree of root"] == order


def test_no_lock_is_held_while_a_hook_is_called():
    """A hook may run something that the same handler hears on another thread."""

    class Nested(Latency):
        def start_run(self, run: RunStart, parent: Step | None) -> Step:
            self.elsewhere(run)
            return super().start_run(run, parent)

        def end_run(self, state: Step, run: RunEnd) -> None:
            self.elsewhere(run)

        def end_tree(self, state: Step) -> None:
            if state.name == "root":
                super().end_tree(state)
                self.elsewhere(None)

        def elsewhere(self, run: Any) -> None:
            if run is None or run.name == "root":
                other = threading.Thread(target=lambda: (told.start("other"), told.end("other")))
                other.start()
                other.join(30)
                assert not other.is_alive()

    handler = Nested()
    told = Told(handler)
    told.start("root")
    told.end("root")

    assert 1 == len(handler.trees)


# Order.


@st.composite
def shuffled(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Return the starts and ends of a few trees, in any order."""
    paths: list[str] = []
    for number in range(draw(st.integers(1, 12))):
        parent = draw(st.sampled_from(["", *paths]))
        paths.append(f"{parent}/{number}" if parent else str(number))
    return draw(st.permutations([(path, what) for path in paths for what in ("start", "end")]))


@given(shuffled())
def test_events_in_any_order_leave_nothing_behind(events):
    """In whatever order starts and ends come, in the end nothing is kept, lost or raised."""
    handler = Latency()
    told = Told(handler)

    for path, what in events:
        getattr(told, what)(path)

    assert (0, 0) == (handler.runs_kept, handler.runs_lost)
    assert not handler._run_trees._trees


@given(shuffled())
def test_ends_after_their_own_start_reach_every_run_once(events):
    """However children and parents overlap, each run ends once and each is in one tree."""
    ends = [path for path, what in events if what == "end"]
    order = []
    for path, what in events:
        if what == "start":
            order.append((path, "start"))
            if path not in ends:  # Its end was due before.
                order.append((path, "end"))
        elif (path, "start") in order:
            order.append((path, "end"))
        else:
            ends.remove(path)
    handler = Exporter()
    latency = Latency()

    for path, what in order:
        getattr(Told(handler), what)(path)
        getattr(Told(latency), what)(path)

    started = {id_of(path) for path, what in order if what == "start"}
    assert len(started) == len(handler.sent)
    assert started == {span.run_id for span in handler.sent}
    assert len(started) == sum(len([*tree.lines()]) for tree in latency.trees)
    above = {
        id_of(path): {id_of(p) for p, _ in order if path.startswith(f"{p}/")} for path, _ in order
    }
    for span in handler.sent:
        assert span.parent is None or span.parent.run_id in above[span.run_id]


def test_a_child_finds_its_parent_after_that_has_ended():
    """A run that starts after its parent's end gets the parent's object while the root goes on."""
    handler = Latency()
    told = Told(handler)

    told.start("root", "root/step")
    told.end("root/step")
    told.start("root/step/late")
    told.end("root/step/late", "root")

    assert handler.drawn() == ["root done\n  step done\n    late done"]


def test_a_root_that_ended_keeps_what_is_above_an_open_run_and_nothing_else():
    """At the end of the root what has ended is freed at once, but for the way to what is open."""
    handler = Latency()
    told = Told(handler)

    told.start("root", "root/a", "root/a/b", "root/c")
    told.end("root/c", "root/a", "root")

    assert handler.state_of(id_of("root/c")) is None
    assert ["root", "a", "b"] == [
        handler.state_of(id_of(path)).name for path in ("root", "root/a", "root/a/b")
    ]
    told.start("root/a/late")
    told.end("root/a/b")
    assert 3 == handler.runs_kept
    assert handler.trees == []
    told.end("root/a/late")
    assert 0 == handler.runs_kept
    assert handler.drawn() == ["root done\n  a done\n    b done\n    late done\n  c done"]


def test_a_run_after_the_end_of_its_tree_begins_another():
    """Where nothing of its tree is left, a run is the top of a tree of its own."""
    handler = Latency()
    told = Told(handler)

    told.start("root")
    told.end("root")
    told.start("root/late")
    told.end("root/late")

    assert ["root done", "late done"] == handler.drawn()


def test_a_run_whose_parent_was_not_heard_is_under_the_root():
    """A start that was dropped costs one run, and tears no tree apart."""
    handler = Latency()
    told = Told(handler)

    told.start("root", "root/dropped/a")
    told.end("root/dropped/a", "root/dropped", "root")

    assert handler.drawn() == ["root done\n  a done"]


def test_runs_of_a_root_that_was_not_heard_are_trees_of_their_own():
    """Under a policy that hides the root, each topmost run is told of, and none is kept."""
    handler = TokenMeter()
    manager = resolve([policy(handler, only="chat_model")]).manager

    with manager.run("chain", "job", 1) as job:
        for tokens in (1, 2):
            with job.get_child().run("chat_model", "model", [[]]) as model:
                model.end(answer(tokens))

    assert [1, 2] == handler.totals
    assert 0 == handler.runs_kept


def test_an_end_without_its_start_is_ignored():
    """What was never started ends nothing, and a second end neither."""
    handler = Exporter()
    told = Told(handler)

    told.end("unknown")
    told.start("root", "root/a")
    told.end("root/a", "root/a", "root", "root")

    assert ["a", "root"] == [span.name for span in handler.sent]
    assert (0, 0) == (handler.runs_kept, handler.runs_lost)


def test_a_second_start_of_a_run_is_ignored():
    """An id that is in use names one run."""
    handler = Latency()
    told = Told(handler)

    told.start("root", "root")
    told.end("root")

    assert ["root done"] == handler.drawn()
    assert 0 == handler.runs_kept


# Ends that never come.


def test_a_lost_end_is_given_up_after_max_age(caplog: pytest.LogCaptureFixture):
    """A tree that was silent for longer than ``max_age`` goes, inner runs first, with a warning."""
    handler = Exporter()
    handler.clock = Clock()
    told = Told(handler)

    told.start("old", "old/a", "old/a/b")
    told.end("old/a")
    handler.clock.now = 3600.0
    told.start("new")
    assert handler.sent[1:] == []
    handler.clock.now = 3601.0
    told.end("new")

    assert [("a", "ok"), ("new", "ok"), ("b", "lost"), ("old", "lost")] == handler.outcomes()
    assert (0, 2) == (handler.runs_kept, handler.runs_lost)
    [record] = caplog.records
    assert ("chain_callbacks", logging.WARNING) == (record.name, record.levelno)
    assert record.getMessage().startswith(
        "The handler Exporter gave up runs whose ends it was not told of: 2 by now. "
    )


def test_a_tree_that_goes_on_does_not_age():
    """It is silence that counts: a long tree with starts in it is kept, and so is its late end."""
    handler = Exporter()
    handler.clock = Clock()
    told = Told(handler)

    told.start("root")
    for number in range(3):
        handler.clock.now += 3000.0
        told.start(f"root/{number}")
        told.end(f"root/{number}")
    handler.clock.now += 9000.0
    told.end("root")

    assert [("0", "ok"), ("1", "ok"), ("2", "ok"), ("root", "ok")] == handler.outcomes()
    assert 0 == handler.runs_lost


def test_where_too_many_runs_are_kept_the_oldest_tree_goes_first():
    """Room is made by the tree that was silent for the longest time, as a whole."""
    handler = Exporter()
    handler.max_runs = 4
    told = Told(handler)

    told.start("a", "a/x", "b", "b/x")
    told.end("a/x")
    told.start("c")
    assert ["x", "x", "b"] == [span.name for span in handler.sent]
    told.end("b/x", "b", "a", "c")

    assert [("x", "ok"), ("x", "lost"), ("b", "lost"), ("a", "ok"), ("c", "ok")] == (
        handler.outcomes()
    )
    assert (0, 2) == (handler.runs_kept, handler.runs_lost)


def test_a_tree_that_grows_is_not_the_one_that_makes_room():
    """A tree in which something starts is the youngest, however long ago its root started."""
    handler = Exporter()
    handler.max_runs = 2
    told = Told(handler)

    told.start("a", "b", "a/x")
    told.end("a/x", "a", "b")

    assert [("b", "lost"), ("x", "ok"), ("a", "ok")] == handler.outcomes()


def test_a_tree_longer_than_the_cap_loses_only_what_has_ended():
    """A root with more children than are kept goes on, and so do those of them that are open."""
    handler = Latency()
    handler.max_runs = 10
    told = Told(handler)

    told.start("root", "root/open")
    for number in range(100):
        told.start(f"root/{number}")
        told.end(f"root/{number}")
        assert handler.runs_kept <= 10
    told.end("root/open", "root")

    [tree] = handler.trees
    assert 102 == len([*tree.lines()])
    assert all(step.seconds is not None for step in (tree, *tree.steps))
    assert (0, 0) == (handler.runs_kept, handler.runs_lost)


def test_a_tree_of_open_runs_alone_is_given_up_at_the_cap():
    """The cap holds whatever the trees are, and every run is told of once."""
    handler = Exporter()
    handler.max_runs = 3
    told = Told(handler)
    paths = ["root", *(f"root/{number}" for number in range(7))]

    told.start(*paths)
    assert handler.runs_kept <= 3
    told.end(*paths)

    assert sorted(path.rpartition("/")[2] for path in paths) == sorted(
        span.name for span in handler.sent
    )
    assert 0 == handler.runs_kept


def test_a_run_that_had_to_go_while_it_was_started_is_told_as_lost():
    """An object that is made when its run is gone by then is not forgotten."""
    lost: list[str] = []

    class Slow(RunStateHandler[str]):
        max_runs = 1

        def start_run(self, run: RunStart, parent: str | None) -> str:
            if run.name == "slow":
                told.start("other")
            return run.name

        def lose_run(self, state: str) -> None:
            lost.append(state)

        def end_tree(self, state: str) -> None:
            lost.append(f"tree of {state}")

    handler = Slow()
    told = Told(handler)
    told.start("slow")

    assert ["slow", "tree of slow"] == lost
    assert (1, 1) == (handler.runs_kept, handler.runs_lost)


def test_a_lost_tree_is_told_of_as_a_whole():
    """A tree that was given up is told of once, with what is known of it."""
    handler = Latency()
    handler.clock = Clock()
    told = Told(handler)

    told.start("root", "root/a", "root/b")
    told.end("root/a")
    handler.clock.now = 4000.0
    told.start("next")

    assert handler.drawn() == ["root ?\n  a done\n  b ?"]


def test_warnings_of_lost_runs_are_a_minute_apart(caplog: pytest.LogCaptureFixture):
    """However many ends are lost, the log has a line a minute, with a number and no payload."""
    handler = Exporter()
    handler.clock = Clock()
    handler.max_runs = 1
    told = Told(handler)

    for second in range(100):
        handler.clock.now = float(second)
        told.start(f"secret {second}")

    assert [1, 61] == [record.args[1] for record in caplog.records]
    assert "secret" not in caplog.text


def test_a_failing_hook_leaves_the_bookkeeping_whole():
    """What hooks raise is a failure of the handler; the others are told, and nothing is kept."""

    class Failing(Exporter):
        def start_run(self, run: RunStart, parent: Span | None) -> Span | None:
            if run.name == "bad":
                raise ValueError(run.name)
            return super().start_run(run, parent)

        def end_run(self, state: Span, run: RunEnd) -> None:
            super().end_run(state, run)
            raise ValueError(run.name)

        def lose_run(self, state: Span) -> None:
            super().lose_run(state)
            raise ValueError(state.name)

    handler = Failing()
    handler.clock = Clock()
    told = Told(handler)

    told.start("root")
    for path in ("root/bad", "root/bad/child"):
        with suppress(ValueError):
            told.start(path)
    for path in ("root/bad/child", "root/bad", "root"):
        with suppress(ValueError):
            told.end(path)
    assert [("child", "ok"), ("root", "ok")] == handler.outcomes()
    assert "root" == handler.sent[0].parent.name
    assert 0 == handler.runs_kept

    told.start("lost", "lost/a")
    handler.clock.now = 4000.0
    with pytest.raises(ValueError, match="a"):
        told.start("next")
    assert [("a", "lost"), ("lost", "lost")] == handler.outcomes()[2:]
    assert "next" == handler.state_of(id_of("next")).name


@pytest.mark.parametrize("trees", [6_000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_runs_leave_memory_flat(caplog: pytest.LogCaptureFixture, trees: int):
    """Runs that end well, fail, are cancelled or never end leave neither states nor memory."""
    caplog.set_level(logging.CRITICAL, "chain_callbacks")  # What it captures is memory.
    handler = Exporter()
    handler.clock = Clock()
    handler.max_age = 100.0
    told = Told(handler)
    start = told.facts("run", None)
    ends = [told.facts("run", status) for status in ("ok", "error", "cancelled", "ok")]

    def work(trees: range) -> None:
        for number in trees:
            handler.clock.now += 1.0
            root, *children = (UUID(int=number * 5 + place + 1) for place in range(5))
            above: dict[str, Any] = {"parent_run_id": root, "root_run_id": root}
            handler.on_chain_start({}, "in", **{**start, "run_id": root, "root_run_id": root})
            for child in children:
                handler.on_chain_start({}, "in", **{**start, **above, "run_id": child})
            for child, end in zip(children[: 4 if number % 10 else 3], ends, strict=False):
                handler.on_chain_end("out", **{**end, **above, "run_id": child})
            handler.on_chain_end("out", **{**ends[0], "run_id": root, "root_run_id": root})
            handler.on_chain_end("out", **{**ends[0], "run_id": UUID(int=1 << 64 | number)})
            assert handler.runs_kept <= 5 + 2 * 11
            handler.sent.clear()

    half, two_thirds = trees // 2, trees * 2 // 3
    work(range(half))  # The net for ends without a start is full.
    gc.collect()
    gc.disable()  # What ended is freed at once, not when the collector comes.
    tracemalloc.start()
    try:
        work(range(half, two_thirds))  # What is in the net is traced.
        before, _ = tracemalloc.get_traced_memory()
        work(range(two_thirds, trees))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()

    assert after - before < 50_000
    assert trees // 10 - 15 <= handler.runs_lost <= trees // 10


# Life.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_forked_child_begins_with_nothing_and_does_not_wait():
    """A child has no runs of its parent, though one of the parent's threads had the lock."""
    handler = Exporter()
    told = Told(handler)
    told.start("root")

    reading, writing = os.pipe()
    with handler._run_trees._lock:
        child = os.fork()
        if not child:
            told.end("root")
            told.start("own")
            kept = [run.state.name for run in handler._run_trees._runs.values()]
            os.write(writing, repr((kept, handler.sent)).encode())
            os._exit(0)
    has_answer, _, _ = select.select([reading], [], [], 30)
    if not has_answer:
        os.kill(child, signal.SIGKILL)
    os.close(writing)
    said = os.read(reading, 1000)
    os.close(reading)
    os.waitpid(child, 0)

    assert b"(['own'], [])" == said
    told.end("root")
    assert [("root", "ok")] == handler.outcomes()


@pytest.mark.parametrize("forget", ["close", "after_fork"])
def test_what_is_closed_or_forked_has_forgotten_its_runs(forget):
    """All runs are forgotten, none is told as lost, and the handler can be told of others."""
    handler = Exporter()
    told = Told(handler)
    told.start("root", "root/a")

    getattr(handler, forget)()

    assert 0 == handler.runs_kept
    told.end("root/a", "root")
    told.start("next")
    told.end("next")
    assert [("next", "ok")] == handler.outcomes()
    assert 0 == handler.runs_lost


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])  # noqa: S301
def test_a_copy_begins_without_runs(copied):
    """A handler can be copied and pickled while runs go on; the copy hears only its own."""
    handler = Latency()
    Told(handler).start("root")

    copied = copied(handler)

    assert (1, 0) == (handler.runs_kept, copied.runs_kept)
    Told(copied).start("root")
    Told(copied).end("root")
    assert ["root done"] == copied.drawn()


def test_a_start_or_end_method_is_refused_when_the_class_is_made():
    """A method that would hide runs from the base, a mixin's too, is an error that names a hook."""

    class Ends:
        def on_llm_end(self, response: Any, **kwargs: Any) -> None: ...

    with pytest.raises(TypeError, match=r"Meter\.on_llm_end .* Write end_run, where run\.event is"):
        type("Meter", (Ends, RunStateHandler), {})
    with pytest.raises(TypeError, match="Write start_run"):
        type("Meter", (RunStateHandler,), {"on_chain_start": lambda self, *args, **kwargs: None})


def test_an_asynchronous_hook_is_refused_when_the_class_is_made():
    """A coroutine that nobody would await is an error at once."""

    async def end_run(self: Any, state: Any, run: RunEnd) -> None: ...

    with pytest.raises(TypeError, match=r"Meter\.end_run is asynchronous"):
        type("Meter", (RunStateHandler,), {"end_run": end_run})


def test_a_chain_is_kept_track_of_end_to_end():
    """In the native host too, every run of a batch that works in threads is in its own tree."""
    handler = Latency()
    chain = RunnableLambda(lambda x: x + 1, name="add") | RunnableLambda(str, name="text")

    chain.batch(list(range(20)), config={"callbacks": [handler], "max_concurrency": 8})

    assert ["RunnableSequence done\n  add done\n  text done"] * 20 == handler.drawn()
    assert 0 == handler.runs_kept
