"""Facts of a run that threads read at the same time: each has one value, whoever reads it first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler, CallbackManager, Run, policy
from chain_callbacks.attributes import once
from chain_callbacks.dispatch.identity import source, uuid7
from chain_callbacks.redaction import DefaultRedactor
from chain_callbacks.runnables import RunnableParallel, tool
from chain_callbacks.runnables.schema import ToolSchema
from chain_callbacks.runnables.tools import BaseTool, FunctionTool

PATIENCE = 30.0


def together(function: Callable[..., Any], times: int = 2) -> Callable[..., Any]:
    """Return *function*; its first two calls wait for each other."""
    barrier = threading.Barrier(2)
    calls = iter(range(times))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is not None:
            barrier.wait(PATIENCE)
        return function(*args, **kwargs)

    return call


def read_by_two(read: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(read) for _ in range(2)]
        return [future.result(PATIENCE) for future in futures]


def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


class Adding(BaseTool):
    def _run(self, first: int, second: int) -> int:
        return first + second


MADE: dict[type, Callable[[], Any]] = {
    Run: lambda: CallbackManager().run("chain", "root", 1).manager().run("chain", "step", 1),
    BaseTool: Adding,
    ToolSchema: lambda: FunctionTool(add).schema,
    DefaultRedactor: DefaultRedactor,
}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (owner, name)
        for owner in MADE
        for name, each in vars(owner).items()
        if isinstance(each, once)
    ],
)
def test_what_is_computed_late_is_the_same_for_two_threads(monkeypatch, owner, name):
    """Both compute it, and both have what the first of them computed."""
    made = MADE[owner]()
    attribute = vars(owner)[name]
    monkeypatch.setattr(attribute, "func", together(attribute.func))

    first, second = read_by_two(lambda: getattr(made, name))

    assert first is second is getattr(made, name)


@pytest.mark.parametrize("name", ["id", "parent_id", "_child", "detached"])
def test_runs_compute_late_what_two_threads_may_read(name):
    """The test above is about these; a property that is computed each time would pass it by."""
    assert isinstance(vars(Run)[name], once)


def test_siblings_of_a_run_that_nobody_heard_have_one_parent(monkeypatch):
    """The id of their parent is made when the first two of them start, in two threads at a time."""
    heard: list[tuple[Any, Any]] = []

    class Handler(BaseCallbackHandler):
        def on_tool_start(self, serialized, input_str, *, parent_run_id, root_run_id, **kwargs):
            heard.append((parent_run_id, root_run_id))

    @tool
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    monkeypatch.setattr(source, "make_id", together(uuid7))
    handler = policy(Handler(), only="tool")
    both = RunnableParallel(one=double, other=double)
    assert {"one": 2, "other": 2} == both.invoke({"number": 1}, {"callbacks": [handler]})

    assert 2 == len(heard)
    assert 1 == len(set(heard)), heard


def test_handler_that_failed_in_one_branch_is_detached_in_the_other(monkeypatch):
    """The set of those that failed is the root's, and one, whichever branch asks for it first."""
    attribute = vars(Run)["detached"]
    root = CallbackManager().run("chain", "root", 1)
    branches = [root.manager().run("chain", f"branch {number}", 1) for number in range(2)]
    monkeypatch.setattr(attribute, "func", together(attribute.func, times=4))
    waiting = iter(branches)

    sets = read_by_two(lambda: next(waiting).detached)

    assert sets[0] is sets[1] is root.detached
