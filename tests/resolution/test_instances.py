"""The one live handler of a name: made once, or failed once, and closed when another takes over."""

from __future__ import annotations

import pytest

from chain_callbacks import BaseCallbackHandler, explain, register, reload, resolve
from chain_callbacks.errors import BrokenPluginError, ConfigurationErrors
from chain_callbacks.resolution import instances
from chain_callbacks.runnables import RunnableLambda

STEP = RunnableLambda(lambda value: value, name="step")


class Failing:
    """A provider that counts its calls and makes nothing."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        raise ValueError


def with_fresh_lists(times: int) -> None:
    for _ in range(times):
        STEP.invoke(1, {"callbacks": ["bad", BaseCallbackHandler()]})


def test_a_broken_handler_is_made_and_warned_of_once(site, said):
    """However many lists it stands in: what failed is not tried again for each."""
    bad = Failing()
    register("bad", bad)
    with_fresh_lists(3)
    assert (1, 1) == (bad.calls, len(said()))


def test_a_failure_says_who_asks_now(site, monkeypatch):
    """A failure that is remembered names the place that asks, and has its cause and reason."""
    register("bad", Failing())
    (first,) = explain(config={"callbacks": ["bad"]}).problems
    monkeypatch.setenv("CHAIN_CALLBACKS", "bad")
    (second,) = explain().problems
    assert isinstance(second, BrokenPluginError)
    assert ('config["callbacks"][0]', "CHAIN_CALLBACKS") == (first.source, second.source)
    assert (first.reason, "ValueError") == (second.reason, type(second.__cause__).__name__)


@pytest.mark.parametrize("what", ["variable", "reload", "register"])
def test_a_broken_handler_is_tried_again(site, monkeypatch, said, what):
    """Once a variable of it has changed, after `reload()`, and when another takes the name."""
    bad = Failing()
    register("bad", bad)
    with_fresh_lists(2)
    if what == "variable":
        monkeypatch.setenv("CHAIN_CALLBACKS_BAD__TOKEN", "x")
    elif what == "reload":
        reload()
    else:
        register("bad", bad)
    with_fresh_lists(2)
    assert 2 == bad.calls
    assert (1 if what == "variable" else 2) == len([w for w in said() if "cannot be used" in w])


class Sending(BaseCallbackHandler):
    """Is told later, and notes what it was told and when it was closed."""

    delivery = "queued"

    def __init__(self) -> None:
        self.log: list[str] = []

    def on_chain_end(self, outputs, **kwargs):
        self.log.append("told")

    def close(self) -> None:
        self.log.append("closed")


@pytest.mark.parametrize("act", ["register", "reload"])
def test_a_handler_that_is_replaced_is_flushed_then_closed(site, act):
    """What was queued is told before the handler is let go of, whichever way it goes."""
    made: list[Sending] = []

    def make() -> Sending:
        made.append(Sending())
        return made[-1]

    register("sending", make)
    for _ in range(20):
        STEP.invoke(1, {"callbacks": ["sending"]})
    if act == "register":
        register("sending", make)
    else:
        reload()
    (first,) = made
    assert [*["told"] * 20, "closed"] == first.log


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_all_are_closed_whatever_one_raises(site, said, error):
    """An exit is a failure of the handler, an interrupt leaves once the others are closed."""
    closed = []

    class Leaving(BaseCallbackHandler):
        def close(self) -> None:
            raise error

    class Ordinary(BaseCallbackHandler):
        def close(self) -> None:
            closed.append(self)

    register("a-leaving", Leaving)
    register("b-ordinary", Ordinary)
    resolve(["a-leaving", "b-ordinary"])
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            reload()
    else:
        reload()
        assert ["Closing the handler a-leaving failed with SystemExit."] == said()
    assert ({}, 1) == (instances.live_handlers(), len(closed))


def test_strict_says_it_each_time(site, monkeypatch):
    """A failure that is remembered is an error as at first."""
    register("bad", Failing())
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
    for _ in range(2):
        with pytest.raises(ConfigurationErrors):
            with_fresh_lists(1)
