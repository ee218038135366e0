"""What `explain()` and `resolve()` list is who a run calls, in that order."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

import chain_callbacks
from chain_callbacks import Local, attached, explain, policy, register, resolve
from chain_callbacks.errors import ChainCallbacksError
from chain_callbacks.runnables import RunnableLambda

from .conftest import Listening

ENVIRONMENTS = (None, "a", "b,a", "a,-a,b", "slak,a", "none")
REQUIRED = (None, "audit", "b")
POLICIES = (
    "pass",
    "resolution.add('extra')",
    "resolution.remove('a')",
    "resolution.move_to_end('a')",
    "'H' in resolution.names or resolution.add('extra')",
)
OTHERS = ({}, {"CHAIN_CALLBACKS_DENY": "b"}, {"CHAIN_CALLBACKS_ALLOW": "a,extra"})
ATTACHED = ((), ("b",), ("none",), ("H", "-a"))
CONSTRUCTORS = (None, ["b"], ["-a"], ["Local(b)"])
CALLS = (None, ["a"], ["none", "H"], ["-a", "a"], ["Local(H)", "J"], ["Local(-b)", "b"],
         ["only(a)", "H", "H"], "-b")  # fmt: skip

_SHARES = 6

PLUGIN = """
from chain_callbacks import hookimpl

@hookimpl
def chain_callbacks_resolved(resolution):
    {act}
"""


@pytest.fixture
def given(heard, listening):
    """Read an entry of the tables above: a name, a handler object, or one of the wrappers."""
    objects = {"H": listening("H"), "J": listening("J")}
    for name in ("a", "b", "audit", "extra"):
        register(name, lambda name=name: Listening(name, heard))

    def read(entry: Any) -> Any:
        if isinstance(entry, list | tuple):
            return [read(each) for each in entry]
        if isinstance(entry, str) and entry.startswith("Local("):
            return Local(read(entry[6:-1]))
        if isinstance(entry, str) and entry.startswith("only("):
            return policy(read(entry[5:-1]), only="chain")
        return objects.get(entry, entry)

    return read


def outcome(listed: Any) -> list[str] | type[ChainCallbacksError]:
    """Return the names that a call gives, or the error that it raises."""
    try:
        found: list[str] = listed()
    except ChainCallbacksError as error:
        return type(error)
    return found


@pytest.mark.parametrize("act", POLICIES)
@pytest.mark.parametrize("required", REQUIRED)
@pytest.mark.parametrize("others", OTHERS, ids=["", "deny", "allow"])
def test_explain_lists_who_a_run_calls(
    given, heard, fake_distribution, monkeypatch, act, required, others
):
    """For every combination of sources, three answers are one: explain, resolve and the run."""
    plugin = {"pol_x": PLUGIN.format(act=act)}
    fake_distribution("acme", entry_points={"pol": "pol_x"}, modules=plugin)
    if act != "pass":
        monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "pol")
    for name, value in {"CHAIN_CALLBACKS_REQUIRE": required, **others}.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    different = []
    # Each set of rules is tried with another sixth of the sources: 5,760 combinations in all.
    first = (POLICIES.index(act) + REQUIRED.index(required) + OTHERS.index(others)) % _SHARES
    combinations = [*product(ENVIRONMENTS, ATTACHED, CONSTRUCTORS, CALLS)][first::_SHARES]
    for environment, scope, constructor, call in combinations:
        if environment is None:
            monkeypatch.delenv("CHAIN_CALLBACKS", raising=False)
        else:
            monkeypatch.setenv("CHAIN_CALLBACKS", environment)
        answers = _answers(given, heard, scope, constructor, call)
        if any(each != answers[0] for each in answers):
            different.append(((environment, scope, constructor, call), answers))
    assert [] == different[:3]
    assert len(combinations) * len(POLICIES) * len(REQUIRED) * len(OTHERS) >= 5_000


def _answers(given: Any, heard: Any, scope: Any, constructor: Any, call: Any) -> list[Any]:
    step = RunnableLambda(lambda value: value, name="step", callbacks=given(constructor))
    config = {"callbacks": given(call)}

    def run() -> list[str]:
        heard.clear()
        step.invoke(1, config)
        return [name for _, name in heard]

    def explained() -> list[str]:
        resolution = explain(step, config=config)
        return [row.listener.handler.name for row in resolution.rows if row.status == "active"]

    def resolved() -> list[str]:
        manager: Any = resolve(given(call), constructor=given(constructor)).manager
        return [each.name for each in manager.handlers]

    def within() -> list[Any]:
        ran, from_cache = outcome(run), outcome(run)
        # What a run refuses is a row of `explain`, beside those that are right.
        shown = explained() if isinstance(ran, list) else ran
        return [ran, from_cache, outcome(resolved), shown]

    try:
        with attached(*given(scope)):
            return within()
    except ChainCallbacksError as error:
        return [type(error)]


@pytest.mark.parametrize("outer_call", CALLS)
@pytest.mark.parametrize("required", REQUIRED)
def test_explain_inside_a_run_lists_who_a_nested_run_calls(
    given, heard, monkeypatch, outer_call, required
):
    """The same holds below a run, for what it hands down."""
    if required is not None:
        monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", required)
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")
    different = []

    def outer(value: int) -> int:
        for scope, constructor, call in product(ATTACHED, CONSTRUCTORS, CALLS):
            answers = _answers(given, heard, scope, constructor, call)
            if any(each != answers[0] for each in answers):
                different.append(((scope, constructor, call), answers))
        return value

    RunnableLambda(outer, name="outer").invoke(1, {"callbacks": given(outer_call)})
    assert [] == different[:3]
    chain_callbacks.reload()
