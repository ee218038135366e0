"""The processor and the filter that put the current run's ids on a program's own lines."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from chain_callbacks.context import Attached, current, leave
from chain_callbacks.dispatch.manager import CallbackManager
from chain_callbacks.handlers import RunIdFilter, add_run_ids
from chain_callbacks.testing import RecordingHandler


def test_a_line_inside_a_run_gets_its_ids() -> None:
    """The innermost run and its root are named, in `with` blocks that attach handlers too."""
    with CallbackManager([RecordingHandler()]).run("chain", "job", 1) as root:
        with root.get_child().run("tool", "search", "x") as run:
            expected = {"event": "e", "run_id": str(run.id), "root_run_id": str(root.id)}
            assert expected == add_run_ids(None, "info", {"event": "e"})
            token = current.set(Attached(Attached(run, ()), ()))
            assert expected == add_run_ids(None, "info", {"event": "e"})
            leave(token)
        assert add_run_ids(None, "info", {})["run_id"] == str(root.id)


def test_a_line_under_a_manager_that_made_no_run_gets_the_ids_around() -> None:
    """Where a nested run is told to nobody, the line belongs to the run around it."""
    with CallbackManager([RecordingHandler()]).run("chain", "job", 1) as root:
        token = current.set(root.get_child())
        assert add_run_ids(None, "info", {})["run_id"] == str(root.id)
        leave(token)


def test_a_line_outside_of_runs_stays_as_it_is() -> None:
    """There is nothing to add, and no empty field to filter out."""
    assert add_run_ids(None, "info", {"event": "e"}) == {"event": "e"}


def test_a_value_of_the_program_is_kept() -> None:
    """A `run_id` that the program logs means what the program says."""
    with CallbackManager([RecordingHandler()]).run("chain", "job", 1) as run:
        line = add_run_ids(None, "info", {"run_id": "mine"})
    assert line == {"run_id": "mine", "root_run_id": str(run.id)}


def test_a_handlers_own_lines_get_no_ids() -> None:
    """While a handler works no run is current."""
    found = []

    class Handler(RecordingHandler):
        def on_chain_start(self, *arguments: object, **facts: object) -> None:
            found.append(add_run_ids(None, "info", {}))

    with CallbackManager([Handler()]).run("chain", "job", 1):
        pass
    assert found == [{}]


def record(**extra: str) -> logging.LogRecord:
    return logging.getLogger("test").makeRecord("test", 20, "f", 1, "m", (), None, extra=extra)


def test_the_filter_does_the_same_for_logging() -> None:
    """Every record has both attributes, so that a format may name them."""
    run_ids = RunIdFilter()
    outside, inside, own = record(), record(), record(run_id="mine")
    assert run_ids.filter(outside) is True
    with CallbackManager([RecordingHandler()]).run("chain", "job", 1) as run:
        run_ids.filter(inside)
        run_ids.filter(own)
    expected = [(None, None), (str(run.id), str(run.id)), ("mine", str(run.id))]
    assert expected == [(each.run_id, each.root_run_id) for each in (outside, inside, own)]  # type: ignore[attr-defined]


def test_the_package_has_no_other_names() -> None:
    """A wrong name is an ordinary AttributeError."""
    import chain_callbacks.handlers

    with pytest.raises(AttributeError, match="no attribute 'add_ids'"):
        _ = chain_callbacks.handlers.add_ids


def test_importing_the_names_loads_no_third_party() -> None:
    """They serve structlog and do not need it."""
    code = "import sys; from chain_callbacks.handlers import add_run_ids; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "structlog" not in done.stdout.split()
