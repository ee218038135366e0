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
        ("'a b' is no handler name; entry 2 of CHAIN_CALLBACKS. Write letters and digits, joined "
        "by '-' or '_', such as 'slack', 'slack:audit', '-slack' or 'none'."),
        ValueError,
    ),
    (
        errors.InvalidNameError(
            entry="a:b", position=1, source="register()", reason="only a name alone may stand there"
        ),
        "'a:b' cannot stand in register(): only a name alone may stand there.",
        ValueError,
    ),
    (
        errors.UnknownHandlerError(
            name="slak", source="CHAIN_CALLBACKS", installed=("console", "slack", "structlog")
        ),
        ("No handler is called 'slak'; CHAIN_CALLBACKS asks for it. Did you mean 'slack'?\n"
        "Installed: 'console', 'slack', 'structlog'."),
        LookupError,
    ),
    (
        errors.UnknownHandlerError(name="zzz", source="CHAIN_CALLBACKS"),
        "No handler is called 'zzz'; CHAIN_CALLBACKS asks for it.\nNone is installed.",
        LookupError,
    ),
    (
        errors.UnknownHandlerError(
            name="slack",
            source='config["callbacks"][1]',
            installed=["console"],
            distribution="chain-callbacks-slack",
        ),
        ("No handler is called 'slack'; config[\"callbacks\"][1] asks for it. It is not "
        "installed:\npip install chain-callbacks-slack"),
        LookupError,
    ),
    (
        errors.UnknownInstanceError(
            name="slack:audit",
            source="attached()[0]",
            variable="CHAIN_CALLBACKS_SLACK__AUDIT__",
            installed=["slack"],
            distribution="chain-callbacks-slack",
        ),
        ("No handler is called 'slack:audit'; attached()[0] asks for it. Nobody configured that "
        "instance: set one of its settings, CHAIN_CALLBACKS_SLACK__AUDIT__<FIELD>, to make it "
        "exist."),
        errors.UnknownHandlerError,
    ),
    (
        errors.AmbiguousHandlerError(name="x", source="CHAIN_CALLBACKS", distributions=["a", "b"]),
        ("'x' is offered by more than one distribution: 'a', 'b'; CHAIN_CALLBACKS asks for it. "
        "Write 'a/x' to say which."),
        LookupError,
    ),
    (
        errors.BrokenPluginError(
            name="x", source="s", reason="ImportError: y", distribution="acme-x", version="1.2",
            location="/lib",
        ),
        ("The handler 'x' cannot be used: ImportError: y. It comes from acme-x 1.2 (/lib); s asks "
        "for it. Mend or uninstall it, or take the name out."),
        errors.ChainCallbacksError,
    ),
    (
        errors.BrokenPluginError(name="x", source="s", reason="r", distribution="acme-x"),
        ("The handler 'x' cannot be used: r. It comes from acme-x; s asks for it. Mend or "
        "uninstall it, or take the name out."),
        errors.ChainCallbacksError,
    ),
    (
        errors.BrokenPluginError(name="x", source="s", reason="r"),
        ("The handler 'x' cannot be used: r. It was registered by hand; s asks for it. "
        "Mend or uninstall it, or take the name out."),
        errors.ChainCallbacksError,
    ),
    (
        errors.HandlerSettingsError(name="slack", source="s", problems=["A is not set", "B is"]),
        "slack: A is not set; B is. s asks for it. Set what is missing, or take the name out.",
        errors.BrokenPluginError,
    ),
    (
        errors.HandlerDeniedError(name="x", source="s", rule="CHAIN_CALLBACKS_DENY"),
        ("The handler 'x' may not be used; s asks for it and CHAIN_CALLBACKS_DENY forbids it. "
        "Take the name out, or have the rule changed."),
        PermissionError,
    ),
    (
        errors.NotAHandlerError(kind="of type int", source="callbacks[0]", reason="it is 7"),
        "callbacks[0] is no handler but of type int: it is 7.",
        TypeError,
    ),
    (
        errors.HandlerSignatureError(handler="H", event="on_text", reason="no room"),
        ("H.on_text cannot be called: no room. Give it the event's arguments and end its "
        "signature with **kwargs."),
        TypeError,
    ),
    (
        errors.InvalidPolicyError(
            policy="only", value="eror", source="policy()", valid=("all", "errors")
        ),
        ("'eror' is no value of the policy 'only'; policy() states it. Did you mean 'errors'? "
        "Valid: 'all', 'errors'."),
        ValueError,
    ),
    (
        errors.UnknownPolicyError(
            policy="onyl", value="errors", source="policy()", valid=("only", "tags")
        ),
        ("There is no policy 'onyl'; policy() states it. Did you mean 'only'? "
        "Valid: 'only', 'tags'."),
        errors.InvalidPolicyError,
    ),
    (
        errors.InvalidConfigError(key="tag", reason="is no key of a config."),
        "config['tag'] is no key of a config.",
        ValueError,
    ),
    (
        errors.RecursionLimitError(name="agent", limit=25),
        ("agent stopped after 25 steps without an answer. Raise config[\"recursion_limit\"] if it "
        "needs more."),
        RecursionError,
    ),
    (
        errors.SettingsError(problems=["A is wrong", "B is no key. Did you mean 'C'?"]),
        "The configuration is wrong: A is wrong; B is no key. Did you mean 'C'?",
        ValueError,
    ),
    (
        errors.SettingsError(problems=["A is wrong."]),
        "The configuration is wrong: A is wrong.",
        ValueError,
    ),
    (
        errors.PolicyPluginError(plugin="audit", reason="it is not installed"),
        ("The policy plugin 'audit' cannot be used: it is not installed. CHAIN_CALLBACKS_PLUGINS "
        "asks for it, and nothing is resolved without it. Mend it, or take the name out."),
        errors.ChainCallbacksError,
    ),
    (
        errors.ConfigurationErrors([errors.SettingsError(problems=["A"])]),
        "1 thing is wrong with the handlers (1 sub-exception)",
        ExceptionGroup,
    ),
    (
        errors.ConfigurationErrors(
            [errors.SettingsError(problems=["A"]), errors.SettingsError(problems=["B"])]
        ),
        "2 things are wrong with the handlers (2 sub-exceptions)",
        ExceptionGroup,
    ),
]  # fmt: skip
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
    error = errors.UnknownHandlerError(name="a", source="s", installed=["b"], distribution="d")
    assert ("a", "s", ("b",), "d") == (
        error.name, error.source, error.installed, error.distribution
    )  # fmt: skip
    settings = errors.HandlerSettingsError(name="a", source="s", problems=["p", "q"])
    assert ("p; q", ("p", "q"), None) == (settings.reason, settings.problems, settings.version)
    denied = errors.HandlerDeniedError(name="a", source="s", rule="r")
    assert ("a", "s", "r") == (denied.name, denied.source, denied.rule)


def test_a_group_may_be_taken_apart():
    """`except*` and `split` give groups of the same class."""
    unknown = errors.UnknownHandlerError(name="a", source="s")
    settings = errors.SettingsError(problems=["p"])
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
        raise errors.ConfigurationErrors([errors.SettingsError(problems=["p"])])


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
        ("slack:audit", "only a name alone may stand there, such as 'slack'"),
        ("acme/slack", "only a name alone may stand there, such as 'slack'"),
        (
            "-slack",
            "it takes something out, and only the name of a handler may stand there",
        ),
        ("-none", "'none' takes out everything before it, and stands alone"),
    ],
)
def test_a_name_that_cannot_stand_there(name, reason):
    """What is a name elsewhere is not called none: the error says why it cannot stand there."""
    with pytest.raises(errors.InvalidNameError) as caught:
        register(name, object)
    assert f"{name!r} cannot stand in register(): {reason}." == str(caught.value)
