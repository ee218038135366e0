"""The recorder, its trees, and the fixed ids and times."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chain_callbacks.dispatch.adapters import EventRecord
from chain_callbacks.dispatch.identity import source
from chain_callbacks.dispatch.manager import CallbackManager
from chain_callbacks.dispatch.run import Run
from chain_callbacks.testing import RecordingHandler, deterministic


@pytest.fixture
def heard() -> RecordingHandler:
    return RecordingHandler()


@pytest.fixture
def manager(heard: RecordingHandler) -> CallbackManager:
    return CallbackManager([heard])


def started(manager: CallbackManager, run_type: Any, name: str, tag: str | None = None) -> Run:
    manager = manager.tagged(tag) if tag else manager
    run = manager.run(run_type, name, "in")
    run.start(*run.payload)
    return run


def drawn(tree: str) -> str:
    return textwrap.dedent(tree).strip("\n")


def test_records_are_kept_in_order_and_as_things_stood(
    heard: RecordingHandler, manager: CallbackManager
) -> None:
    """A record has the run, the payload and the status at its time, however the run goes on."""
    start = datetime(2030, 5, 6, tzinfo=UTC)
    with (
        deterministic(start=start, step=1.0),
        manager.run("chain", "job", {"x": 1}, tags=["t"], metadata={"m": 1}) as run,
    ):
        run.end("y")
    assert heard.names() == ["on_chain_start", "on_chain_end"]
    first, last = heard.records
    assert (first.run_id, first.parent_id, first.root_id) == (run.id, None, run.id)
    assert (first.run_type, first.run_name, first.tags) == ("chain", "job", ("t",))
    assert dict(first.metadata) == {"m": 1}
    assert first.payload["inputs"] == {"x": 1}
    assert (first.status, first.duration) == (None, None)
    assert first.at == datetime(2030, 5, 6, 0, 0, 1, tzinfo=UTC)
    assert (last.status, last.duration, dict(last.payload)) == ("ok", 1.0, {"outputs": "y"})


def test_a_tree_is_text(heard: RecordingHandler, manager: CallbackManager) -> None:
    """A line a run, two spaces a level, with tags and a status that is not ok."""
    job = started(manager, "chain", "job")
    started(job.manager(), "prompt", "ask", "seq:step:1").end()
    stream = started(job.manager(), "chat_model", "m", "seq:step:2")
    started(stream.manager(), "tool", "t").fail(KeyboardInterrupt())
    stream.end(status="closed")
    started(job.manager(), "retriever", "r")
    job.fail(ValueError("x"))
    expected = """
        chain job error ValueError
          prompt ask [seq:step:1]
          chat_model m [seq:step:2] closed
            tool t cancelled
          retriever r open
    """
    assert drawn(expected) == heard.tree()


def test_other_events_are_counted(heard: RecordingHandler, manager: CallbackManager) -> None:
    """What a run issued between start and end is on its line, custom events by name."""
    model = started(manager, "chat_model", "m")
    for token in "abc":
        model.on_llm_new_token(token)
    model.on_text("x")
    model.end()
    job = started(manager, "chain", "job")
    job.on_retry(None)
    for name in ("progress", "saved", "progress"):
        job.on_custom_event(name, 1)
    job.end()
    expected = """
        chat_model m tokens=3 text=1
        chain job retry=1 custom:progress=2 custom:saved
    """
    assert drawn(expected) == heard.tree()


@pytest.mark.parametrize("order", [*permutations(["map:key:a", "map:key:b10", "map:key:b2"])])
def test_parallel_branches_stand_in_one_order(
    heard: RecordingHandler, manager: CallbackManager, order: tuple[str, ...]
) -> None:
    """Whichever branch starts first, the tree is the same; numbers in keys count as numbers."""
    job = started(manager, "chain", "job")
    for run in [started(job.manager(), "chain", "branch", tag) for tag in order]:
        started(run.manager(), "tool", run.tags[0][-1]).end()
        run.end()
    job.end()
    expected = """
        chain job
          chain branch [map:key:a]
            tool a
          chain branch [map:key:b2]
            tool 2
          chain branch [map:key:b10]
            tool 0
    """
    assert drawn(expected) == heard.tree()


def test_only_neighbours_of_one_sort_change_places(
    heard: RecordingHandler, manager: CallbackManager
) -> None:
    """The turns of an agent stay apart: the tools of each stand after its model."""
    agent = started(manager, "chain", "agent")
    for tags in ((None, "tool:call:2", "tool:call:1"), (None, "tool:call:1"), ("prod:b:a", "a")):
        for tag in tags:
            started(agent.manager(), "tool" if tag else "chat_model", "x", tag).end()
    agent.end()
    expected = """
        chain agent
          chat_model x
          tool x [tool:call:1]
          tool x [tool:call:2]
          chat_model x
          tool x [tool:call:1]
          tool x [prod:b:a]
          tool x [a]
    """
    assert drawn(expected) == heard.tree()


def test_runs_in_threads_make_the_same_tree(
    heard: RecordingHandler, manager: CallbackManager
) -> None:
    """One recorder is told from many threads, and loses nothing."""
    job = started(manager, "chain", "job")
    together = threading.Barrier(4)

    def work(number: int) -> None:
        together.wait(10)
        branch = started(job.manager(), "chain", "branch", f"map:key:{number}")
        for _ in range(100):
            branch.on_text("x")
        branch.end()

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(work, range(4)))
    job.end()
    branches = [f"  chain branch [map:key:{number}] text=100" for number in range(4)]
    assert heard.tree() == "\n".join(["chain job", *branches])
    assert heard.problems() == []


def test_roots_are_in_the_order_of_their_starts(
    heard: RecordingHandler, manager: CallbackManager
) -> None:
    """Trees that grow at once are not mixed up, and can be read one by one."""
    first, second = started(manager, "chain", "first"), started(manager, "chain", "second")
    started(second.manager(), "tool", "b").end()
    started(first.manager(), "tool", "a").end()
    second.end()
    first.end()
    assert heard.trees() == ["chain first\n  tool a", "chain second\n  tool b"]
    assert heard.tree() == "\n".join(heard.trees())


def test_ids_are_numbers_in_order_of_appearance(
    heard: RecordingHandler, manager: CallbackManager
) -> None:
    """A tree never shows a random id."""
    job = started(manager, "chain", "job")
    late = started(job.manager(), "tool", "b", "map:key:b")
    started(job.manager(), "tool", "a", "map:key:a").end()
    late.end()
    job.end()
    expected = """
        #1 chain job
          #3 tool a [map:key:a]
          #2 tool b [map:key:b]
    """
    assert drawn(expected) == heard.tree(ids=True)


def told_again(heard: RecordingHandler, run: Run, name: str, **payload: Any) -> None:
    heard.on_event(EventRecord(name, run, payload))


def test_what_must_not_happen_is_seen_in_the_tree_and_said(
    heard: RecordingHandler, manager: CallbackManager
) -> None:
    """A second start or end, an end without a start and an unknown parent fail a comparison."""
    twice = started(manager, "chain", "twice")
    told_again(heard, twice, "on_chain_start", inputs=1)
    twice.end()
    told_again(heard, twice, "on_chain_end", outputs=1)
    unheard = CallbackManager().run("chain", "unheard", 1)
    told_again(heard, unheard, "on_chain_end", outputs=1)
    lost = CallbackManager([heard]).run("chain", "x", 1)
    started(lost.manager(), "tool", "lost").end()
    started(manager, "chain", "endless")
    expected = """
        chain twice STARTED TWICE ENDED TWICE
        chain unheard open NEVER STARTED
        tool lost orphan
        chain endless open
    """
    assert drawn(expected) == heard.tree()
    assert heard.problems() == [
        "chain 'twice' (#1) started 2 times.",
        "chain 'twice' (#1) ended 2 times.",
        "chain 'unheard' (#2) never started, and issued on_chain_end.",
        f"tool 'lost' (#3) has the parent {lost.id}, of which nothing was heard.",
        "chain 'endless' (#4) started and never ended.",
    ]


def test_runs_are_summed_up(heard: RecordingHandler, manager: CallbackManager) -> None:
    """A test that asks for one fact needs no text."""
    with (
        deterministic(),
        pytest.raises(ValueError, match="x"),
        manager.run("chain", "job", 1) as job,
        job.get_child().run("tool", "search", "x"),
    ):
        raise ValueError("x")
    outer, inner = heard.runs
    assert (outer.name, outer.status, outer.error, outer.duration) == (
        ("job", "error", "ValueError", pytest.approx(0.003))
    )
    assert inner.parent_id == outer.id == inner.root_id
    assert inner.events == ("on_tool_start", "on_tool_error")


def test_clear_forgets_what_was_heard(heard: RecordingHandler, manager: CallbackManager) -> None:
    """One recorder serves several steps of a test."""
    started(manager, "chain", "job").end()
    heard.clear()
    assert (heard.records, heard.tree(), heard.runs) == ((), "", ())


def test_deterministic_runs_have_fixed_ids_and_times(manager: CallbackManager) -> None:
    """Ids count from one, each start and each end takes a step, and time may be let pass."""
    with deterministic(step=0.5) as clock:
        run = started(manager, "chain", "job")
        clock.advance(2)
        run.end()
        other = started(manager, "chain", "other")
    assert (run.id, other.id) == (
        UUID("00000000-0000-7000-8000-000000000001"),
        UUID("00000000-0000-7000-8000-000000000002"),
    )
    assert run.id.version == 7
    assert (run.started, run.duration) == (datetime(2030, 1, 1, tzinfo=UTC), 2.5)
    assert other.started == datetime(2030, 1, 1, 0, 0, 3, tzinfo=UTC)


def test_what_was_there_before_comes_back() -> None:
    """Nested and failing blocks restore what they found."""
    before = (source.make_id, source.wall, source.monotonic)
    with deterministic() as outer:
        with pytest.raises(ValueError, match="x"), deterministic():
            raise ValueError("x")
        assert source.wall == outer.wall
    assert (source.make_id, source.wall, source.monotonic) == before


def test_importing_the_test_kit_loads_only_the_standard_library() -> None:
    """Who uses the recorder without pytest needs no pytest."""
    code = (
        "import sys; old = set(sys.modules); from chain_callbacks.testing import RecordingHandler, "
        "deterministic; print(*{name.partition('.')[0] for name in set(sys.modules) - old})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"chain_callbacks"}


FIXTURES = """
import os
import pytest
from chain_callbacks import register
from chain_callbacks.resolution.instances import registered_names
from chain_callbacks.testing import RecordingHandler

@pytest.fixture(scope="module", autouse=True)
def registered_outside():
    register("outside", RecordingHandler)

def test_recorder(recorder):
    assert type(recorder) is RecordingHandler

def test_isolated(isolated_callbacks):
    assert not [name for name in os.environ if name.startswith("CHAIN_CALLBACKS")]
    assert registered_names() == ("outside",)
    register("inside", RecordingHandler)
    register("outside", list)

def test_after():
    from chain_callbacks.resolution import instances
    assert os.environ["CHAIN_CALLBACKS"] == "outside"
    assert registered_names() == ("outside",)
    key = instances.identify(instances.Ref("outside", None, None), source="test")
    assert type(instances.live(key, source="test").handler) is RecordingHandler
"""


def test_the_fixtures_isolate_a_test(tmp_path: Path) -> None:
    """A test with `isolated_callbacks` sees no settings from outside and leaves nothing behind."""
    (tmp_path / "test_it.py").write_text(FIXTURES, "utf-8")
    plugin = ["-p", "no:chain_callbacks", "-p", "chain_callbacks.testing.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "CHAIN_CALLBACKS": "outside",
            "PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path))),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
