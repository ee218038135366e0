"""`resolve()` and `explain()`: one answer, which the one raises and the other shows."""

from __future__ import annotations

import pytest

from chain_callbacks import BaseCallbackHandler, current_manager, explain, resolve
from chain_callbacks.errors import (
    ConfigurationErrors,
    HandlerDeniedError,
    InvalidConfigError,
    SettingsError,
    UnknownHandlerError,
)
from chain_callbacks.runnables import RunnableLambda

STEP = RunnableLambda(lambda value: value, name="step")


@pytest.fixture(autouse=True)
def _names(names, site):
    """Register a, b, c and d on an empty path."""


@pytest.mark.parametrize("component", [None, STEP])
@pytest.mark.parametrize("config", [{"callback": ["a"]}, {"tags": "web"}, ["a"]])
def test_explain_refuses_a_config_that_a_call_refuses(component, config):
    """A typo is not explained away: it raises as the call would."""
    with pytest.raises(InvalidConfigError):
        explain(component, config=config)


def test_explain_takes_a_component_only():
    """A name in the wrong place is told where names go."""
    with pytest.raises(TypeError, match=r"not a str\. Pass names .*callbacks=\[\.\.\.\]"):
        explain("a")


def test_explain_takes_callbacks_alone():
    """They are those of the config, for a component and without one."""
    for component in (None, STEP):
        asked = explain(component, callbacks=["a", "-a"]).as_data()
        assert asked == explain(component, config={"callbacks": ["a", "-a"]}).as_data()
        assert [row["status"] for row in asked] == ["removed", "removes"]


def test_settings_that_cannot_be_read_are_explained(monkeypatch):
    """A file that is not there is a row and a problem; `resolve()` raises it."""
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", "/no/such/file.toml")
    explained = explain(callbacks=["a"])
    (row,) = explained.as_data()
    assert (row["status"], [type(each) for each in explained.problems]) == (
        "refused",
        [SettingsError],
    )
    assert "/no/such/file.toml: it cannot be read" in row["reason"]
    assert [] == explained.manager.handlers
    with pytest.raises(SettingsError):
        resolve(["a"])


def test_nothing_is_called_active_where_nothing_may_run(monkeypatch):
    """Where a required handler cannot be had, the others are not made, and their rows say so."""
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "nope")
    explained = explain(callbacks=["a", "b"])
    assert ["refused", "refused", "unknown"] == [row["status"] for row in explained.as_data()]
    assert [] == explained.manager.handlers


def test_resolve_and_explain_give_the_same(monkeypatch):
    """Rows, problems and who listens, where nothing stops a call."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a,slak")
    resolved, explained = resolve(["b"]), explain(callbacks=["b"])
    assert resolved.as_data() == explained.as_data()
    for each in (resolved, explained):
        assert [UnknownHandlerError] == [type(problem) for problem in each.problems]
        assert ["a", "b"] == [handler.name for handler in each.manager.handlers]


def test_both_are_of_the_place_where_they_are_asked():
    """Inside a run the manager starts runs nested in it, with its tags."""
    seen = []

    def body(value: int) -> None:
        managers = current_manager(), resolve(["b"]).manager, explain(callbacks=["b"]).manager
        seen.extend((each.parent and each.parent.name, each.tags) for each in managers)

    RunnableLambda(body, name="outer").invoke(1, {"callbacks": ["a"], "tags": ["x"]})
    assert [("outer", ("x",))] * 3 == seen


def test_resolve_raises_what_a_call_raises(monkeypatch):
    """The call's own mistakes; with strict all of them, the environment's too."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "d")
    monkeypatch.setenv("CHAIN_CALLBACKS", "d,a")
    with pytest.raises(UnknownHandlerError):
        resolve(["zzz"])
    with pytest.raises(HandlerDeniedError):
        resolve(constructor=["d"])
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
    with pytest.raises(ConfigurationErrors) as caught:
        resolve(["zzz"])
    assert [HandlerDeniedError, UnknownHandlerError] == [*map(type, caught.value.exceptions)]


def test_nobody_is_explained_while_a_handler_runs():
    """What a handler runs is told to nobody, and that is what is said of it."""
    seen = []

    class Asking(BaseCallbackHandler):
        def on_chain_start(self, serialized, inputs, **kwargs):
            seen.append(str(explain(callbacks=["a"])))

    STEP.invoke(1, {"callbacks": [Asking()]})
    assert ["No handler is attached."] == seen
