"""The settings of the framework, from the environment and its file, whatever code says."""

from __future__ import annotations

from contextlib import suppress

import pytest

import chain_callbacks
from chain_callbacks import (
    Local,
    attached,
    check,
    current_manager,
    policy,
    register,
    reload,
    requested,
    resolve,
)
from chain_callbacks.delivery.options import options
from chain_callbacks.errors import (
    BrokenPluginError,
    ConfigurationErrors,
    HandlerDeniedError,
    InvalidNameError,
    InvalidSettingError,
    PolicyPluginError,
    SettingsError,
    UnknownHandlerError,
)
from chain_callbacks.resolution import instances
from chain_callbacks.resolution.settings import VARIABLES, settings
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
            "CHAIN_CALLBACKS_CALLBACKS: chain-callbacks has no such setting. Did you mean "
            "'CHAIN_CALLBACKS_ALLOW'? Correct or unset it.\nThe run goes on without it."
        ),
        (
            "CHAIN_CALLBACKS_DISABELD: chain-callbacks has no such setting. Did you mean "
            "'CHAIN_CALLBACKS_DISABLED'? Correct or unset it.\nThe run goes on without it."
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


# A wrong value

REMOVAL = "it removes handlers, and only the name of one is allowed"
ENFORCED = [
    ("REQUIRE", "a b", "entry 1, 'a b': not a handler name"),
    (
        "ALLOW",
        "a,none",
        "entry 2, 'none': it removes handlers, and only the name of one is allowed",
    ),
    ("DENY", "-a", "entry 1, '-a': it removes handlers, and only the name of one is allowed"),
    ("PLUGINS", "/opt/policy.py", "entry 1, '/opt/policy.py': not a handler name"),
    ("REDACTOR", "no_colon", "it must be the path of an object, module:name"),
    ("REDACTOR", "no_such_module:X", "loading 'no_such_module:X' raised ModuleNotFoundError"),
    ("REDACTOR", "os:path", "'os:path' has no methods hides(key) and redact(text)"),
    (
        "CONFIG",
        "callbacks.toml",
        (
            "it must be an absolute path: whoever can write to the working directory could "
            "redirect what handlers send"
        ),
    ),
]
IGNORED = [
    ("EXIT_TIMEOUT", "soon", "it must be a number of seconds, 0 or more", "with the default, 5.0"),
    ("EXIT_TIMEOUT", "-1", "it must be a number of seconds, 0 or more", "with the default, 5.0"),
    ("EXIT_TIMEOUT", "nan", "it must be a number of seconds, 0 or more", "with the default, 5.0"),
    (
        "DELIVERY",
        "queued",
        "it must be 'inline'; what queues a handler is its own setting DELIVERY",
        "without it",
    ),
    ("SECRETS_DIR", "/no/such/folder", "it must be a folder that exists", "without it"),
    ("FLUSH_ON_SIGTERM", "ja", SWITCH := "it must be 1 or 0 (true or false, yes or no, on or off)",
     "without it"),
    ("STRICT", "perhaps", SWITCH, "without it"),
    ("DISABLED", "maybe", SWITCH, "as if it were 1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "reason"), ENFORCED)
def test_a_wrong_value_that_enforces_something_stops_everything(
    monkeypatch, heard, name, value, reason
):
    """No run starts: it might have forbidden something, or required a handler."""
    monkeypatch.setenv(f"CHAIN_CALLBACKS_{name}", value)
    ran = []
    for act in (lambda: RunnableLambda(ran.append).invoke(1, {"callbacks": ["a"]}), check, resolve):
        for _ in range(2):
            with pytest.raises(SettingsError) as caught:
                act()
            assert (f"CHAIN_CALLBACKS_{name}: {reason}",) == caught.value.problems
    assert "No run starts until it is corrected." in str(caught.value)
    assert ([], []) == (ran, heard)


@pytest.mark.parametrize(("name", "value", "reason", "instead"), IGNORED)
def test_any_other_wrong_value_costs_a_warning(
    monkeypatch, heard, said, name, value, reason, instead
):
    """The program's own call goes on, with the default; it is said once."""
    monkeypatch.setenv(f"CHAIN_CALLBACKS_{name}", value)
    for _ in range(2):
        STEP.invoke(1, {"callbacks": ["a"]})
    assert ([] if name == "DISABLED" else ["a", "a"]) == who(heard)
    (warning,) = said()
    assert warning == (
        f"CHAIN_CALLBACKS_{name}: {reason}. Correct or unset it.\nThe run goes on {instead}."
    )


@pytest.mark.parametrize(("name", "value", "reason", "instead"), IGNORED)
def test_every_wrong_value_is_raised_by_check_and_strict(monkeypatch, name, value, reason, instead):
    """`check()` raises it, and with STRICT the first call of a run."""
    monkeypatch.setenv(f"CHAIN_CALLBACKS_{name}", value)
    acts = [check]
    if name != "STRICT":
        monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
        acts += [lambda: STEP.invoke(1), resolve]
    for act in acts:
        with pytest.raises(ConfigurationErrors) as caught:
            act()
        (error,) = caught.value.exceptions
        assert isinstance(error, InvalidSettingError)
        assert (f"CHAIN_CALLBACKS_{name}", reason) == (error.setting, error.reason)


@pytest.mark.parametrize("require", ["a", "zzz"])
def test_disabled_that_cannot_be_read_fails_closed_where_handlers_are_required(
    monkeypatch, heard, require
):
    """Whether the required handlers are to be told is not known: no run starts."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "maybe")
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", require)
    with pytest.raises(SettingsError) as caught:
        STEP.invoke(1)
    assert (f"CHAIN_CALLBACKS_DISABLED: {SWITCH}",) == caught.value.problems
    assert [] == heard


def test_all_that_is_wrong_is_in_one_error(monkeypatch):
    """Where one value stops everything, the error names the others too."""
    monkeypatch.setenv("CHAIN_CALLBACKS_DISABLED", "perhaps")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "-a,b d")
    with pytest.raises(SettingsError) as caught:
        STEP.invoke(1)
    assert ["CHAIN_CALLBACKS_DENY", "CHAIN_CALLBACKS_DISABLED"] == [
        problem.partition(":")[0] for problem in caught.value.problems
    ]


def test_a_corrected_value_is_read_by_the_next_run(monkeypatch, heard):
    """Nothing of the wrong value stays."""
    for value, runs in (("a b", 0), ("b", 1), ("", 2)):
        monkeypatch.setenv("CHAIN_CALLBACKS_DENY", value)
        with suppress(SettingsError):
            STEP.invoke(1, {"callbacks": ["a"]})
        assert ["a"] * runs == who(heard)


def test_a_blank_variable_is_as_one_that_is_not_set(monkeypatch, heard):
    """Whatever kind of value it should have."""
    for name in VARIABLES.values():
        monkeypatch.setenv(name, "  ")
    STEP.invoke(1, {"callbacks": ["a"]})
    assert ["a"] == who(heard)
    check()


def test_reading_the_settings_sets_nothing(monkeypatch):
    """Delivery is handed its options by the resolver, and nothing else changes them."""
    STEP.invoke(1)
    monkeypatch.setenv("CHAIN_CALLBACKS_EXIT_TIMEOUT", "2.5")
    monkeypatch.setenv("CHAIN_CALLBACKS_DELIVERY", "inline")
    monkeypatch.setenv("CHAIN_CALLBACKS_REDACTOR", "no_such_module:X")
    assert (2.5, "inline") == (settings().exit_timeout, settings().delivery)
    assert (5.0, False) == (options.exit_timeout, options.is_inline)
    monkeypatch.delenv("CHAIN_CALLBACKS_REDACTOR")
    STEP.invoke(1)
    assert (2.5, True) == (options.exit_timeout, options.is_inline)


def test_the_framework_needs_no_pydantic_for_its_settings(program, tmp_path):
    """All of them set, in the environment and in the file, pydantic is not imported."""
    file = tmp_path / "callbacks.toml"
    file.write_text("strict = true\nexit_timeout = 1\n[handlers.a]\nonly = 'errors'\n", "utf-8")
    text = (
        "import sys\n"
        "from chain_callbacks.runnables import RunnableLambda\n"
        "RunnableLambda(len).invoke('a')\n"
        "from chain_callbacks.resolution.settings import settings\n"
        "print(settings().exit_timeout, settings().deny)\n"
        "print(sorted(name for name in sys.modules if name.startswith('pydantic')))\n"
    )
    done = program(text, CHAIN_CALLBACKS_CONFIG=str(file), CHAIN_CALLBACKS_DENY="b")
    assert ["1.0 (Ref(name='b', instance=None, distribution=None),)", "[]"] == (
        done.stdout.splitlines()
    )


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


UNREADABLE = {
    "not TOML": (b"callbacks = [", "it is not TOML: Invalid value (at end of document)"),
    "not UTF-8": (b"a = '\xff'", "it is not UTF-8"),
    "nested": (b"a = " + b"[" * 5_000 + b"]" * 5_000, "it cannot be read (RecursionError)"),
    "nested tables": (b"a = " + b"{a = " * 5_000 + b"1", "it cannot be read (RecursionError)"),
    "digits": (b"a = " + b"1" * 10_000, "it cannot be read (ValueError)"),
}


@pytest.mark.parametrize(("content", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_stops_everything(tmp_path, monkeypatch, content, reason):
    """It might have forbidden something: no run starts."""
    path = tmp_path / "callbacks.toml"
    path.write_bytes(content)
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))
    with pytest.raises(SettingsError) as caught:
        STEP.invoke(1)
    assert (f"{path}: {reason}",) == caught.value.problems


def test_a_file_that_is_not_there_or_not_a_file(tmp_path, monkeypatch):
    """The error names it, and why it cannot be read."""
    problems = []
    for path in (tmp_path / "none.toml", tmp_path):
        monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))
        with pytest.raises(SettingsError) as caught:
            STEP.invoke(1)
        problems.extend(caught.value.problems)
    assert [
        f"{tmp_path / 'none.toml'}: it cannot be read (No such file or directory)",
        f"{tmp_path}: it cannot be read (Is a directory)",
    ] == problems


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path, monkeypatch, heard):
    """An editor may put one before the text."""
    path = tmp_path / "callbacks.toml"
    path.write_text('callbacks = ["a"]\n', encoding="utf-8-sig")
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(path))
    STEP.invoke(1)
    assert ["a"] == who(heard)


@pytest.mark.parametrize(
    ("text", "setting", "reason"),
    [
        ("calbacks = []", "calbacks of {file}",
         "chain-callbacks has no such setting. Did you mean 'callbacks'?"),
        ("config = '/x'", "config of {file}", "chain-callbacks has no such setting."),
        ("handlers = 1", "handlers of {file}", "it must be a table for each handler"),
        ("[handlers]\nslack = 1", "[handlers.'slack'] of {file}", "it must be a table"),
        ("[handlers.'a b']", "[handlers.'a b'] of {file}",
         "it must be a handler's name, or name:instance"),
        ("[handlers.none]", "[handlers.'none'] of {file}",
         "it must be a handler's name, or name:instance"),
        ("[handlers.-slack]", "[handlers.'-slack'] of {file}",
         "it must be a handler's name, or name:instance"),
        ("[handlers.'acme/slack']", "[handlers.'acme/slack'] of {file}",
         "it must be a handler's name, or name:instance"),
        ("strict = 'maybe'", "strict of {file}", SWITCH),
        ("strict = 2", "strict of {file}", SWITCH),
        ("callbacks = 7", "callbacks of {file}", "it must be a list of texts"),
        ("callbacks = [['a']]", "callbacks of {file}", "it must be a list of texts"),
        ("exit_timeout = true", "exit_timeout of {file}",
         "it must be a number of seconds, 0 or more"),
        ("secrets_dir = 'here'", "secrets_dir of {file}",
         ("it must be an absolute path: whoever can write to the working directory could redirect "
          "what handlers send")),
        ('secrets_dir = "/tmp/\\u0000"', "secrets_dir of {file}",
         "it must be a folder that exists"),
        (f"{'x' * 300} = 1", "x" * 197 + "... of {file}", "chain-callbacks has no such setting."),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_file_and_enforces_nothing(
    config_file, heard, said, tmp_path, text, setting, reason
):
    """It costs one warning, which names the key and the file; the rest of the file counts."""
    lines = ["deny = ['b']", text] if text.startswith("[") else [text, "deny = ['b']"]
    config_file("\n".join(lines))
    STEP.invoke(1, {"callbacks": ["a"]})
    assert ["a"] == who(heard)
    with pytest.raises(HandlerDeniedError):
        STEP.invoke(1, {"callbacks": ["b"]})
    (warning,) = said()
    assert warning.startswith(f"{setting.format(file=tmp_path / 'callbacks.toml')}: {reason}")


@pytest.mark.parametrize("text", ["require = 'a b'", "deny = 7", "redact_keys = 7", "redactor = 7"])
def test_what_is_wrong_in_the_file_and_enforces_something(config_file, tmp_path, text):
    """No run starts."""
    config_file(text)
    with pytest.raises(SettingsError) as caught:
        STEP.invoke(1)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{text.partition(' ')[0]} of {tmp_path / 'callbacks.toml'}: ")


def test_a_wrong_variable_is_not_replaced_by_the_file(config_file, monkeypatch):
    """The variable was meant to take precedence: the default is used, and the error is its own."""
    config_file("exit_timeout = 9\ndeny = ['a']\n")
    monkeypatch.setenv("CHAIN_CALLBACKS_EXIT_TIMEOUT", "soon")
    assert 5.0 == settings().exit_timeout
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "a b")
    with pytest.raises(SettingsError):
        settings()


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
    """Of somebody else's text 200 characters, escaped, go into a message."""
    with pytest.raises(HandlerDeniedError) as caught:
        requested("x\n" * 1_000, allow=("console",))
    assert 200 == len(caught.value.name)
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
