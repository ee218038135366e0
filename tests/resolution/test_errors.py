"""The errors: their texts, their attributes, and that they survive a process border."""

from __future__ import annotations

import copy
import pickle

import pytest

from chain_callbacks import errors, policy, register

# Each error with its text and the built-in class that it is as well.
CASES = [
    (
        errors.InvalidNameError(entry="a b", position=2, source="CHAIN_CALLBACKS"),
        (
            "'a b' is not a handler name. Write entry 2 of CHAIN_CALLBACKS in letters and digits, "
            "joined by '-' or '_', such as 'slack', 'slack:audit', '-slack' or 'none'."
        ),
        ValueError,
    ),
    (
        errors.InvalidNameError(
            entry="a:b", position=1, source="register()", reason="only a name alone is allowed"
        ),
        "'a:b' is not allowed in register(): only a name alone is allowed.",
        ValueError,
    ),
    (
        errors.UnknownHandlerError(
            name="slak", source="CHAIN_CALLBACKS", installed=("console", "slack", "structlog")
        ),
        (
            "No handler is called 'slak'; CHAIN_CALLBACKS asks for it. Did you mean 'slack'?\n"
            "Installed: 'console', 'slack', 'structlog'."
        ),
        LookupError,
    ),
    (
        errors.UnknownHandlerError(name="zzz", source="CHAIN_CALLBACKS"),
        "No handler is called 'zzz'; CHAIN_CALLBACKS asks for it. Installed: none.",
        LookupError,
    ),
    (
        errors.UnknownHandlerError(
            name="slack",
            source='config["callbacks"][1]',
            installed=("console",),
            distribution="chain-callbacks-slack",
        ),
        (
            "No handler is called 'slack'; config[\"callbacks\"][1] asks for it. Install it:\n"
            "pip install chain-callbacks-slack"
        ),
        LookupError,
    ),
    (
        errors.UnknownHandlerError(
            name="slack",
            source="CHAIN_CALLBACKS",
            distribution="chain-callbacks-slack",
            claimed_by=("evil",),
        ),
        (
            "No handler is called 'slack': the name belongs to chain-callbacks-slack; others have "
            "'evil/slack'; CHAIN_CALLBACKS asks for it. Install it:\n"
            "pip install chain-callbacks-slack"
        ),
        LookupError,
    ),
    (
        errors.UnknownInstanceError(
            name="slack:audit",
            source="attached()[0]",
            variable="CHAIN_CALLBACKS_SLACK__AUDIT__",
            installed=("slack",),
            distribution="chain-callbacks-slack",
        ),
        (
            "No handler is called 'slack:audit': the instance is not configured; attached()[0] "
            "asks for it. Set one of its settings, CHAIN_CALLBACKS_SLACK__AUDIT__<FIELD>."
        ),
        errors.UnknownHandlerError,
    ),
    (
        errors.AmbiguousHandlerError(name="x", source="CHAIN_CALLBACKS", distributions=("a", "b")),
        (
            "'x' is ambiguous: offered by a and b; CHAIN_CALLBACKS asks for it. Write 'a/x', or "
            "uninstall one of them."
        ),
        LookupError,
    ),
    (
        errors.BrokenPluginError(
            name="x",
            source="CHAIN_CALLBACKS",
            reason="ImportError: y",
            distribution="acme-x",
            version="1.2",
            location="/lib",
        ),
        (
            "The handler 'x' of acme-x 1.2 (/lib) cannot be used: ImportError: y; CHAIN_CALLBACKS "
            "asks for it. Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS."
        ),
        errors.ChainCallbacksError,
    ),
    (
        errors.BrokenPluginError(name="x", source="s", reason="r.", distribution="acme-x"),
        (
            "The handler 'x' of acme-x cannot be used: r. s asks for it. Fix or uninstall the "
            "plugin, or remove the name from s."
        ),
        errors.ChainCallbacksError,
    ),
    (
        errors.BrokenPluginError(name="x", source="s", reason="r"),
        ("The handler 'x' cannot be used: r; s asks for it. Fix it, or remove the name from s."),
        errors.ChainCallbacksError,
    ),
    (
        errors.BrokenPluginError(
            name="langgraph", source="", reason="r", distribution="acme-x", kind="bridge"
        ),
        "The bridge 'langgraph' of acme-x cannot be used: r. Fix or uninstall the plugin.",
        errors.ChainCallbacksError,
    ),
    (
        errors.HandlerSettingsError(name="slack", source="s", problems=("A is not set", "B is")),
        (
            "slack: A is not set; B is. s asks for it. Correct the settings, or remove the name "
            "from s."
        ),
        errors.BrokenPluginError,
    ),
    (
        errors.HandlerDeniedError(name="x", source="s", rule="CHAIN_CALLBACKS_DENY"),
        (
            "The handler 'x' may not be used: CHAIN_CALLBACKS_DENY forbids it; s asks for it. "
            "Remove the name, or change the rule."
        ),
        PermissionError,
    ),
    (
        errors.NotAHandlerError(
            kind="the class H", source="callbacks[0]", advice="Pass an instance: H()."
        ),
        "callbacks[0] is the class H, not a handler. Pass an instance: H().",
        TypeError,
    ),
    (
        errors.HandlerSignatureError(handler="H", event="on_text", reason="no room"),
        (
            "H.on_text cannot be called: no room. Give it the event's arguments and end its "
            "signature with **kwargs."
        ),
        TypeError,
    ),
    (
        errors.InvalidPolicyError(
            policy="only", value="eror", source="policy()", valid=("all", "errors")
        ),
        (
            "'eror' is not a value of the policy 'only'; policy() states it. "
            "Did you mean 'errors'? Valid: 'all', 'errors'."
        ),
        ValueError,
    ),
    (
        errors.InvalidPolicyError(
            policy="delivery", value="queued", source="H", valid=("inline",), reason="it is late"
        ),
        "delivery=queued is not possible: it is late; H states it. Valid: 'inline'.",
        ValueError,
    ),
    (
        errors.UnknownPolicyError(
            policy="onyl", value="errors", source="policy()", valid=("only", "tags")
        ),
        (
            "There is no policy 'onyl'; policy() states it. Did you mean 'only'? "
            "Valid: 'only', 'tags'."
        ),
        errors.InvalidPolicyError,
    ),
    (
        errors.InvalidConfigError(key="tag", reason="is not a key of a config", advice="Write it."),
        "config['tag'] is not a key of a config. Write it.",
        ValueError,
    ),
    (
        errors.InvalidConfigError(key=None, reason="is of type list"),
        "config is of type list.",
        ValueError,
    ),
    (
        errors.RecursionLimitError(name="agent", limit=25),
        (
            'agent stopped after 25 steps without an answer. Raise config["recursion_limit"] if '
            "it needs more."
        ),
        RecursionError,
    ),
    (
        errors.SettingsError(problems=("A: wrong", "B: not a key. Did you mean 'C'?")),
        (
            "The configuration is wrong: A: wrong; B: not a key. Did you mean 'C'? No run starts "
            "until it is corrected."
        ),
        ValueError,
    ),
    (
        errors.InvalidSettingError(setting="A", reason="it must be a number"),
        "A: it must be a number. Correct or unset it.",
        errors.SettingsError,
    ),
    (
        errors.PolicyPluginError(plugin="audit", reason="it is not installed"),
        (
            "The policy plugin 'audit' cannot be used: it is not installed; "
            "CHAIN_CALLBACKS_PLUGINS asks for it. Fix it, or remove the name: no run starts until "
            "then."
        ),
        errors.ChainCallbacksError,
    ),
    (
        errors.ConfigurationErrors([errors.SettingsError(problems=("A",))]),
        "1 thing is wrong with the handlers (1 sub-exception)",
        ExceptionGroup,
    ),
    (
        errors.ConfigurationErrors(
            [errors.SettingsError(problems=("A",)), errors.SettingsError(problems=("B",))]
        ),
        "2 things are wrong with the handlers (2 sub-exceptions)",
        ExceptionGroup,
    ),
]
IDS = [type(error).__name__ for error, *_ in CASES]


@pytest.mark.parametrize(("error", "text", "kind"), CASES, ids=IDS)
def test_what_an_error_says(error, text, kind):
    """What happened, why, with the value and where it came from, and what to do."""
    assert text == str(error)
    assert isinstance(error, kind)
    assert isinstance(error, errors.ChainCallbacksError)


@pytest.mark.parametrize("through", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])  # noqa: S301
@pytest.mark.parametrize("error", [error for error, *_ in CASES], ids=IDS)
def test_an_error_survives_a_process_border(error, through):
    """Pickled or copied it has its class, its text and its attributes."""
    again = through(error)
    assert type(error) is type(again)
    assert str(error) == str(again)
    seen, expected = dict(vars(again)), dict(vars(error))
    if isinstance(error, ExceptionGroup):
        assert [str(each) for each in error.exceptions] == [str(e) for e in again.exceptions]
    assert expected == seen


def test_every_error_has_a_case():
    """No class of the module is left out here."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ChainCallbacksError)
    }
    assert classes - {"ChainCallbacksError"} == set(IDS)


def test_attributes():
    """What an error is about can be asked, and need not be read from its text."""
    error = errors.UnknownHandlerError(name="a", source="s", installed=("b",), distribution="d")
    assert ("a", "s", ("b",), "d") == (
        error.name, error.source, error.installed, error.distribution
    )  # fmt: skip
    settings = errors.HandlerSettingsError(name="a", source="s", problems=("p", "q"))
    assert ("p; q", ("p", "q"), None) == (settings.reason, settings.problems, settings.version)
    denied = errors.HandlerDeniedError(name="a", source="s", rule="r")
    assert ("a", "s", "r") == (denied.name, denied.source, denied.rule)


def test_a_group_may_be_taken_apart():
    """`except*` and `split` give groups of the same class."""
    unknown = errors.UnknownHandlerError(name="a", source="s")
    settings = errors.SettingsError(problems=("p",))
    matching, rest = errors.ConfigurationErrors([unknown, settings]).split(LookupError)
    assert (errors.ConfigurationErrors, (unknown,)) == (type(matching), matching.exceptions)
    assert (errors.ConfigurationErrors, (settings,)) == (type(rest), rest.exceptions)
    caught = []
    try:
        raise errors.ConfigurationErrors([unknown, settings])
    except* errors.SettingsError as group:
        caught.extend(group.exceptions)
    except* errors.UnknownHandlerError as group:
        caught.extend(group.exceptions)
    assert [settings, unknown] == caught


def test_a_group_is_one_error_of_ours():
    """`except ChainCallbacksError` catches it too."""
    with pytest.raises(errors.ChainCallbacksError):
        raise errors.ConfigurationErrors([errors.SettingsError(problems=("p",))])


def test_a_policy_that_there_is_not():
    """A misspelt policy is said to be none, with the closest one; its value is no part of that."""
    with pytest.raises(errors.UnknownPolicyError) as caught:
        policy("x", onyl="errors")
    assert str(caught.value).startswith(
        "There is no policy 'onyl'; policy() states it. Did you mean 'only'?"
    )
    assert ("onyl", "errors") == (caught.value.policy, caught.value.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("slack:audit", "only a name alone is allowed, such as 'slack'"),
        ("acme/slack", "only a name alone is allowed, such as 'slack'"),
        ("-slack", "it removes handlers, and only the name of one is allowed"),
        ("-none", "'none' removes everything before it, and takes no '-', '/' or ':'"),
    ],
)
def test_a_name_that_is_not_allowed_there(name, reason):
    """An entry that is fine in another place is not called wrong: the error says what is."""
    with pytest.raises(errors.InvalidNameError) as caught:
        register(name, object)
    assert f"{name!r} is not allowed in register(): {reason}." == str(caught.value)


LONG = "x" * 10_000


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidNameError(entry=LONG, position=1, source=LONG),
        errors.InvalidNameError(entry=LONG, position=1, source=LONG, reason="r"),
        errors.UnknownHandlerError(name=LONG, source=LONG, installed=(LONG, "y")),
        errors.UnknownHandlerError(name=LONG, source=LONG, distribution="d", claimed_by=(LONG,)),
        errors.UnknownInstanceError(name=LONG, source=LONG, variable=LONG),
        errors.AmbiguousHandlerError(name=LONG, source=LONG, distributions=(LONG, LONG)),
        errors.BrokenPluginError(name=LONG, source=LONG, reason="r", distribution=LONG),
        errors.HandlerSettingsError(name=LONG, source=LONG, problems=("p",)),
        errors.HandlerDeniedError(name=LONG, source=LONG, rule=LONG),
        errors.NotAHandlerError(kind="a list", source=LONG, advice="a."),
        errors.InvalidPolicyError(policy="only", value=LONG, source=LONG, valid=("all",)),
        errors.UnknownPolicyError(policy=LONG, value=LONG, source=LONG, valid=("only",)),
        errors.InvalidConfigError(key=LONG, reason="r"),
        errors.RecursionLimitError(name=LONG, limit=1),
        errors.InvalidSettingError(setting=LONG, reason="r"),
        errors.PolicyPluginError(plugin=LONG, reason="r"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_long_name_is_cut(error):
    """However long a name is that somebody wrote, 200 characters of it are shown; it is kept."""
    assert "x" * 201 not in str(error)
    assert "x" * 190 in str(error)
    assert LONG in vars(error).values()


@pytest.mark.parametrize("error", [error for error, *_ in CASES], ids=IDS)
def test_an_error_keeps_its_notes(error):
    """What was added to an error crosses a process border with it."""
    error = copy.copy(error)
    error.add_note("seen in worker 7")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen in worker 7"]  # noqa: S301


def test_an_error_of_a_program_is_its_own():
    """A class that a program derives from the base has the text that it was given."""

    class AuditError(errors.ChainCallbacksError):
        pass

    assert ("no audit", "AuditError('no audit')") == (
        str(AuditError("no audit")),
        repr(AuditError("no audit")),
    )
