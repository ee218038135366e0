"""The operator's word: what the environment and its file say, whatever code says."""

from __future__ import annotations

import pytest

import chain_callbacks
from chain_callbacks import (
    Local,
    attached,
    current_manager,
    policy,
    register,
    reload,
    requested,
    resolve,
)
from chain_callbacks.errors import (
    BrokenPluginError,
    ConfigurationErrors,
    HandlerDeniedError,
    InvalidNameError,
    PolicyPluginError,
    SettingsError,
    UnknownHandlerError,
)
from chain_callbacks.resolution import instances
from chain_callbacks.runnables import RunnableLambda

from .conftest import HANDLER

STEP = RunnableLambda(lambda value: value, name="step")


def nested(callbacks: object = None) -> RunnableLambda:
    """Return a chain with a step in it that is called with *callbacks*."""
    return RunnableLambda(lambda value: STEP.invoke(value, {"callbacks": callbacks}), name="chain")


@pytest.fixture(autouse=True)
def _names(names, site):
    """Register a, b, c and d on an empty path."""


def who(heard: list[tuple[str, str]], run: str = "step") -> list[str]:
    return [name for each, name in heard if each == run]


def test_the_environment_may_change_between_runs(monkeypatch, heard):
    """Each root run sees the variable as it is then, also after the import."""
    for value in ("a", "b", "", "a,b"):
        monkeypatch.setenv("CHAIN_CALLBACKS", value)
        STEP.invoke(1)
    monkeypatch.delenv("CHAIN_CALLBACKS")
    STEP.invoke(1)
    assert ["a", "b", "a", "b"] == who(heard)


def test_a_run_keeps_the_environment_that_it_started_in(monkeypatch, heard):
    """A change in the middle of a run is seen by the next root."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")

    def body(value: int) -> int:
        monkeypatch.setenv("CHAIN_CALLBACKS", "b")
        return STEP.invoke(value)

    RunnableLambda(body, name="chain").invoke(1)
    STEP.invoke(1)
    assert ["a", "b"] == who(heard)


def test_a_bad_name_of_the_environment_is_told_once(monkeypatch, heard, said):
    """One warning for each; the others hear, and the next runs are silent about it."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a,slak,b d,c")
    for _ in range(3):
        STEP.invoke(1)
    assert ["a", "c"] * 3 == who(heard)
    assert 2 == len(said())


def test_a_misspelt_variable_is_noticed(monkeypatch, said):
    """A variable of ours that there is not is told once, with the one that it is like."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABELD", "1")
    monkeypatch.setenv("CHAIN_CALLBACKS_CALLBACKS", "a")
    monkeypatch.setenv("CHAIN_CALLBACKS_A__ONLY", "all")
    for _ in range(2):
        STEP.invoke(1)
    assert [
        (
            "CHAIN_CALLBACKS_CALLBACKS is not a setting of chain-callbacks. "
            "Did you mean 'CHAIN_CALLBACKS_ALLOW'?"
        ),
        (
            "CHAIN_CALLBACKS_DISABELD is not a setting of chain-callbacks. "
            "Did you mean 'CHAIN_CALLBACKS_DISABLED'?"
        ),
    ] == said()


def test_a_misspelt_variable_names_nobody(monkeypatch, heard):
    """`CHAIN_CALLBACKS_CALLBACKS` is no second way to name handlers."""
    monkeypatch.setenv("CHAIN_CALLBACKS_CALLBACKS", "a")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "0")
    STEP.invoke(1)
    assert [] == heard


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE"])
def test_disabled_attaches_nothing(monkeypatch, heard, listening, value):
    """Nobody hears: names, objects, what is attached and what is required included."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a,no-such")
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "b")
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", value)
    chain = RunnableLambda(lambda v: STEP.invoke(v, {"callbacks": [listening("H")]}))
    with attached("c"):
        chain.with_config(callbacks=["d"]).invoke(1, {"callbacks": [listening("H"), "slak"]})
        assert [] == current_manager().handlers
    assert [] == heard
    assert [] == resolve([listening("H")]).manager.handlers
    assert {} == instances.live_handlers()


@pytest.mark.parametrize("value", ["0", "false", "no", "off", ""])
def test_disabled_may_be_off(monkeypatch, heard, value):
    """0, false, no, off and nothing are off."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", value)
    STEP.invoke(1, {"callbacks": ["a"]})
    assert ["a"] == who(heard)


def test_a_setting_that_is_wrong_stops_everything(monkeypatch, heard):
    """A framework setting that cannot be read might have forbidden something: nothing runs."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "perhaps")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "-a,b d")
    with pytest.raises(SettingsError) as caught:
        STEP.invoke(1, {"callbacks": ["a"]})
    assert [] == heard
    assert (
        (
            "CHAIN_CALLBACKS_DENY: '-a' is not allowed in the list: it removes handlers, and only "
            "the name of one is allowed."
        ),
        "CHAIN_CALLBACKS_DISABLED: Input should be a valid boolean, unable to interpret input",
    ) == caught.value.problems


def test_strict_makes_a_bad_name_an_error(monkeypatch, heard):
    """With it, what the environment names wrongly stops the run, all at once."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a,slak,b d,a:nobody")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
    for _ in range(2):
        with pytest.raises(ConfigurationErrors) as caught:
            STEP.invoke(1)
        assert 3 == len(caught.value.exceptions)
    assert [] == heard


def test_strict_raises_all_of_a_call(monkeypatch, heard):
    """What a call names wrongly is raised at once too."""
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "b")
    register("broken", lambda: 7)
    with pytest.raises(ConfigurationErrors) as caught:
        STEP.invoke(1, {"callbacks": ["slak", "b", "broken", "a"]})
    assert [UnknownHandlerError, HandlerDeniedError, BrokenPluginError] == [
        type(each) for each in caught.value.exceptions
    ]
    assert [] == heard


# Require


@pytest.fixture
def require_d(monkeypatch):
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "d")


@pytest.mark.usefixtures("require_d")
@pytest.mark.parametrize("callbacks", [None, [], ["none"], ["-d"], ["none", "-d"], ["a", "-d"]])
def test_what_is_required_hears_every_run(heard, callbacks):
    """No call, constructor, block or nested call takes it out."""
    chain = RunnableLambda(
        lambda value: STEP.invoke(value, {"callbacks": callbacks}), name="chain", callbacks=["-d"]
    )
    with attached("none"):
        chain.invoke(1, {"callbacks": callbacks})
    assert ["d"] == [name for name in who(heard, "chain") if name == "d"]
    assert ["d"] == [name for name in who(heard) if name == "d"]


@pytest.mark.usefixtures("require_d")
@pytest.mark.parametrize(
    "callbacks",
    [
        [policy("d", only="errors")],
        [Local("d")],
        [Local(policy("d", tags="x"))],
        [policy("d", only="errors"), policy("d", tags="x")],
        ["-d", policy("d", only="llm")],
    ],
)
def test_what_is_required_is_not_filtered(heard, callbacks):
    """A policy that code states for it is undone, here and below."""
    nested(callbacks).invoke(1, {"callbacks": callbacks})
    assert (["d"], ["d"]) == (who(heard, "chain"), who(heard))


def test_what_is_required_is_not_filtered_as_an_object(heard, listening, monkeypatch):
    """Passing the very object with a policy does not filter it either."""
    handler = listening("audit")
    register("audit", lambda: handler)
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "audit")
    STEP.invoke(1, {"callbacks": [policy(handler, only="errors")]})
    assert ["audit"] == who(heard)


def test_what_is_required_may_be_filtered_by_the_operator(heard, monkeypatch):
    """The operator's own policy for it holds."""
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "d")
    monkeypatch.setenv("CHAIN_CALLBACKS_D__ONLY", "roots")
    nested().invoke(1)
    assert (["d"], []) == (who(heard, "chain"), who(heard))


@pytest.mark.usefixtures("require_d")
def test_what_is_required_keeps_the_place_it_has(heard):
    """Named too, it is heard once, where it was named."""
    STEP.invoke(1, {"callbacks": ["d", "a"]})
    assert ["d", "a"] == who(heard)


def test_what_is_required_may_be_denied_to_nobody(heard, monkeypatch):
    """REQUIRE beats DENY and ALLOW."""
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "d")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "d")
    monkeypatch.setenv("CHAIN_CALLBACKS_ALLOW", "a")
    STEP.invoke(1, {"callbacks": ["a", "d"]})
    assert ["a", "d"] == who(heard)


@pytest.mark.parametrize("required", ["audit", "broken"])
def test_what_is_required_and_missing_stops_everything(heard, monkeypatch, required):
    """Unknown or broken, it fails closed: nothing runs that it would not see."""
    register("broken", lambda: 7)
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", required)
    ran = []
    for _ in range(2):
        with pytest.raises((UnknownHandlerError, BrokenPluginError)) as caught:
            RunnableLambda(ran.append).invoke(1, {"callbacks": ["a"]})
        assert ("CHAIN_CALLBACKS_REQUIRE", required) == (caught.value.source, caught.value.name)
    assert ([], []) == (ran, heard)


def test_what_is_required_and_missing_is_explained(monkeypatch):
    """`explain()` does not raise: a row says why nothing would run."""
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "audit")
    (row,) = chain_callbacks.explain().as_data()
    assert ("audit", "CHAIN_CALLBACKS_REQUIRE", "unknown") == (
        row["text"],
        row["source"],
        row["status"],
    )


# Allow and deny


def test_only_what_is_allowed_may_be_named(heard, monkeypatch, listening, said):
    """ALLOW is a list of names; objects, which are the program's code, are not asked."""
    monkeypatch.setenv("CHAIN_CALLBACKS_ALLOW", "a")
    monkeypatch.setenv("CHAIN_CALLBACKS", "a,b")
    STEP.invoke(1, {"callbacks": [listening("H")]})
    assert ["a", "H"] == who(heard)
    assert [
        (
            "The handler 'b' may not be used: CHAIN_CALLBACKS_ALLOW forbids it; CHAIN_CALLBACKS "
            "asks for it. Remove the name, or change the rule.\nThe run goes on without it."
        )
    ] == said()
    with pytest.raises(HandlerDeniedError):
        STEP.invoke(1, {"callbacks": ["b"]})
    with pytest.raises(HandlerDeniedError), attached("b"):
        ...


@pytest.mark.parametrize(
    ("rule", "allowed", "denied"),
    [("a", ["a", "a:x"], ["b"]), ("a:x", ["a:x"], ["a"]), ("a:default", ["a"], ["a:x"])],
)
def test_instances_in_the_rules(monkeypatch, rule, allowed, denied):
    """A name stands for all its instances, an instance for itself."""
    monkeypatch.setenv("CHAIN_CALLBACKS_ALLOW", rule)
    resolve(allowed)
    for name in denied:
        with pytest.raises(HandlerDeniedError):
            resolve([name])
    monkeypatch.delenv("CHAIN_CALLBACKS_ALLOW")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", rule)
    resolve(denied)
    for name in allowed:
        with pytest.raises(HandlerDeniedError):
            resolve([name])


@pytest.fixture
def two_offers(fake_distribution):
    """`alerts` of two distributions, and `slack` of ours and of another."""
    for distribution, name in (
        ("one", "alerts"),
        ("two", "alerts"),
        ("chain-callbacks-slack", "slack"),
        ("evil", "slack"),
    ):
        made = f"{distribution}_{name}_x".replace("-", "_")
        fake_distribution(
            distribution,
            entry_points={name: f"{made}:Handler"},
            modules={made: HANDLER.format(name="Handler")},
        )


@pytest.mark.usefixtures("two_offers")
@pytest.mark.parametrize(
    ("rule", "allowed", "denied"),
    [
        ("one/alerts", ["one/alerts"], ["two/alerts"]),
        ("alerts", ["one/alerts", "two/alerts"], ["slack"]),
        ("slack", ["slack", "chain-callbacks-slack/slack"], ["evil/slack"]),
        ("evil/slack", ["evil/slack"], ["slack", "chain-callbacks-slack/slack"]),
    ],
)
def test_distributions_in_what_is_allowed(monkeypatch, rule, allowed, denied):
    """Who allows `slack` allows the one that bears the name by right."""
    monkeypatch.setenv("CHAIN_CALLBACKS_ALLOW", rule)
    resolve(allowed)
    for name in denied:
        with pytest.raises(HandlerDeniedError):
            resolve([name])


@pytest.mark.usefixtures("two_offers")
@pytest.mark.parametrize(
    ("rule", "denied", "allowed"),
    [
        ("one/alerts", ["one/alerts"], ["two/alerts"]),
        ("alerts", ["one/alerts", "two/alerts"], ["slack"]),
        ("slack", ["slack", "evil/slack"], ["one/alerts"]),
        ("evil/slack", ["evil/slack"], ["slack"]),
        ("chain-callbacks-slack/slack", ["slack"], ["evil/slack"]),
    ],
)
def test_distributions_in_what_is_denied(monkeypatch, rule, denied, allowed):
    """Who denies a name denies it of everybody; who denies it of one, of that one."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", rule)
    resolve(allowed)
    for name in denied:
        with pytest.raises(HandlerDeniedError):
            resolve([name])


def test_a_denied_name_may_be_removed(heard, monkeypatch):
    """Taking out what is denied anyway is no fault."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "b")
    STEP.invoke(1, {"callbacks": ["a", "-b"]})
    assert ["a"] == who(heard)


def test_deny_beats_allow(monkeypatch):
    """A name on both lists is denied, and DENY is named."""
    monkeypatch.setenv("CHAIN_CALLBACKS_ALLOW", "a")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "a")
    with pytest.raises(HandlerDeniedError) as caught:
        resolve(["a"])
    assert ("a", "CHAIN_CALLBACKS_DENY") == (caught.value.name, caught.value.rule)


# The file


@pytest.fixture
def config_file(tmp_path, monkeypatch):
    def write(text: str) -> None:
        (tmp_path / "callbacks.toml").write_text(text, "utf-8")
        monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(tmp_path / "callbacks.toml"))

    return write


def test_the_file_names_handlers(config_file, heard, tmp_path):
    """`callbacks` of the file is who hears every run where the environment names nobody."""
    config_file('callbacks = ["a", "b", "-a"]\n')
    STEP.invoke(1)
    assert ["b"] == who(heard)
    sources = [row["source"] for row in resolve().as_data()]
    assert f"callbacks of {tmp_path / 'callbacks.toml'}, entry 1" == sources[0]


@pytest.mark.parametrize(("value", "hears"), [("c", ["c"]), ("", []), ("none", [])])
def test_the_environment_beats_the_file(config_file, monkeypatch, heard, value, hears):
    """The variable, though it is empty, takes the place of the file's list."""
    config_file('callbacks = ["a"]\n')
    monkeypatch.setenv("CHAIN_CALLBACKS", value)
    STEP.invoke(1)
    assert hears == who(heard)


def test_the_file_may_say_all_that_the_environment_may(config_file, monkeypatch, heard):
    """Require, allow, deny, strict and disabled; a variable beats each of them alone."""
    config_file('require = ["d"]\nallow = ["a", "b"]\ndeny = ["b"]\nstrict = true\n')
    STEP.invoke(1, {"callbacks": ["a"]})
    assert ["a", "d"] == who(heard)
    with pytest.raises(ConfigurationErrors):
        STEP.invoke(1, {"callbacks": ["b"]})
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "a")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "0")
    heard.clear()
    STEP.invoke(1, {"callbacks": ["b"]})
    assert ["b", "d"] == who(heard)


def test_plugins_fail_closed(monkeypatch, heard):
    """A policy plugin that is not there stops everything, by its name."""
    monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "corporate")
    with pytest.raises(PolicyPluginError) as caught:
        STEP.invoke(1, {"callbacks": ["a"]})
    assert ("corporate", "it is not installed") == (caught.value.plugin, caught.value.reason)
    assert [] == heard


# Text from outside


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("console", ["console"]),
        (" Console , structlog,", ["console", "structlog"]),
        ("structlog,console,structlog", ["structlog", "console"]),
        ("chain-callbacks-console", ["console"]),
        ("", []),
        (" , ", []),
    ],
)
def test_requested_names(text, names):
    """Bare names of the list come out, in their order, each once."""
    assert names == requested(text, allow=("console", "structlog"))


@pytest.mark.parametrize(
    "text",
    [
        "slack", "-console", "none", "console:audit", "console:default", "evil/console",
        "console,slack", "con sole", "console\nslack", "\u212aonsole", "console--x", "*", "--",
        "os:system", "console?only=errors",
    ],
)  # fmt: skip
def test_requested_refuses_anything_else(text):
    """Other names, removals, `none`, instances, distributions and rubbish are denied."""
    with pytest.raises(HandlerDeniedError) as caught:
        requested(text, allow=("console", "structlog"))
    assert "requested(allow=('console', 'structlog'))" == caught.value.rule


def test_requested_shows_little_of_a_strangers_text():
    """Of somebody else's text sixty characters, escaped, go into a message."""
    with pytest.raises(HandlerDeniedError) as caught:
        requested("x\n" * 1_000, allow=("console",))
    assert 60 == len(caught.value.name)
    assert "\n" not in str(caught.value)


def test_requested_takes_one_name_alone():
    """`allow="console"` is that name, and not its letters."""
    assert ["console"] == requested("console", allow="console")
    with pytest.raises(HandlerDeniedError):
        requested("c", allow="console")


@pytest.mark.parametrize("allow", ["none", "-console", "slack:audit", "evil/slack"])
def test_requested_allows_names_only(allow):
    """A list of what is allowed holds bare names: nothing else can be let through by mistake."""
    with pytest.raises(InvalidNameError):
        requested("console", allow=("console", allow))


def test_requested_names_are_still_denied(monkeypatch):
    """What a program allows, an operator may deny."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "a")
    with pytest.raises(HandlerDeniedError):
        STEP.invoke(1, {"callbacks": requested("a", allow=("a",))})


def test_reload_reads_the_environment_anew(monkeypatch, said):
    """What was told once is told again after a reload."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "slak")
    STEP.invoke(1)
    reload()
    STEP.invoke(1)
    assert 2 == len(said())
