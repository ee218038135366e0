"""Every way in which a plugin can be broken: who named it goes on without it, and nobody else."""

from __future__ import annotations

import sys

import pytest

from chain_callbacks import BaseCallbackHandler, check, explain, register, reload, resolve
from chain_callbacks.errors import (
    BrokenPluginError,
    ConfigurationErrors,
    HandlerDeniedError,
    HandlerSettingsError,
    InvalidNameError,
    InvalidSettingError,
    UnknownHandlerError,
)
from chain_callbacks.resolution import hooks, instances
from chain_callbacks.runnables import RunnableLambda

from .conftest import HANDLER

STEP = RunnableLambda(lambda value: value, name="step")
GOOD = HANDLER.format(name="Handler")

# What the module says, and the reason that it is given.
OTHERWISE = "not one with methods of the event table, such as on_chain_start"

BROKEN = {
    "an import that fails": (
        "import no_such_module",
        "ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "a name that cannot be imported": (
        "from os import no_such_name",
        "ImportError: cannot import name 'no_such_name' from 'os' ({os})",
    ),
    "a syntax error": ("def", "SyntaxError: invalid syntax (broken_x.py, line 1)"),
    "an exit": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "an error of many lines": ("raise RuntimeError('one\\ntwo')", "RuntimeError: one"),
    "an error without words": ("raise RuntimeError", "RuntimeError"),
    "a BaseException": (
        "class Odd(BaseException): ...\nraise Odd('far out')",
        "Odd: far out",
    ),
    "a missing attribute": (
        "handler = None",
        "AttributeError: module 'broken_x' has no attribute 'Handler'",
    ),
    "no provider": ("Handler = 7", "'broken_x:Handler' is an object of type int"),
    "a provider that raises": (
        "def Handler():\n    raise ValueError('no')",
        "making it raised ValueError",
    ),
    "a provider that exits": (
        "import sys\ndef Handler():\n    sys.exit()",
        "making it raised SystemExit",
    ),
    "a provider that raises a BaseException": (
        "class Odd(BaseException): ...\ndef Handler():\n    raise Odd",
        "making it raised Odd",
    ),
    "a provider that raises an error of ours": (
        (
            "from chain_callbacks.errors import HandlerSettingsError as Error\n"
            "def Handler():\n    raise Error(name='x', source='y', problems=('z',))"
        ),
        "making it raised HandlerSettingsError",
    ),
    "a provider that wants arguments": (
        "def Handler(client):\n    ...",
        "making it raised TypeError",
    ),
    "nothing": (
        "def Handler():\n    return None",
        "it returns an object of type NoneType, " + OTHERWISE,
    ),
    "an object without methods": (
        "class Handler:\n    def on_chian_start(self): ...",
        "it returns an object of type Handler, " + OTHERWISE,
    ),
    "a class": (
        GOOD + "Made = Handler\ndef Handler():\n    return Made",
        "it returns the class Handler, " + OTHERWISE,
    ),
    "a coroutine": (
        GOOD + "Made = Handler\nasync def Handler():\n    return Made()",
        "it returns a coroutine, " + OTHERWISE,
    ),
    "too few arguments": (
        "class Handler:\n    def on_chain_start(self, serialized, *, run_id): ...",
        (
            "Handler.on_chain_start cannot be called: it takes 1 arguments and the event brings 2. "
            "Give it the event's arguments and end its signature with **kwargs."
        ),
    ),
    "an argument of no event": (
        "class Handler:\n    def on_chain_end(self, outputs, *, colour, **kwargs): ...",
        (
            "Handler.on_chain_end cannot be called: its argument 'colour' is none of the event's. "
            "Give it the event's arguments and end its signature with **kwargs."
        ),
    ),
    "a settings model that cannot be imported": (
        (
            "class Handler:\n    settings_model = 'no_such_module:Settings'\n"
            "    def on_event(self, record): ..."
        ),
        "reading its settings raised ModuleNotFoundError",
    ),
    "a hook of a wrong signature": (
        GOOD + "from chain_callbacks import hookimpl\n"
        "@hookimpl\ndef chain_callbacks_handler_created(name, colour): ...\n",
        (
            "PluginValidationError: Plugin 'acme-broken:broken_x' for hook "
            "'chain_callbacks_handler_created'"
        ),
    ),
    "a module": (None, "'broken_x' is a module with hooks: list it in CHAIN_CALLBACKS_PLUGINS"),
}


@pytest.fixture
def good(fake_distribution):
    """An ordinary plugin, `good`."""
    fake_distribution("good", entry_points={"good": "good_x:Handler"}, modules={"good_x": GOOD})


@pytest.fixture(params=BROKEN.values(), ids=BROKEN)
def reason(request, fake_distribution, good, monkeypatch) -> str:
    """Install a plugin `broken` and return why it cannot be used."""
    text, why = request.param
    value = "broken_x" if text is None else "broken_x:Handler"
    fake_distribution(
        "acme-broken", "2.1", entry_points={"broken": value}, modules={"broken_x": text or GOOD}
    )
    if "settings model" in request.node.name:
        monkeypatch.setenv("CHAIN_CALLBACKS_BROKEN__COLOUR", "red")
    return why.format(os=sys.modules["os"].__file__)


def registered() -> set[str]:
    return {name for name, _ in hooks.plugin_manager().list_name_plugin()}


def test_a_name_in_the_environment(reason, site, monkeypatch, said):
    """One warning; the run goes on, the other handler hears it, and nothing is half there."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "broken,good")
    assert [1, 2] == [STEP.invoke(1), STEP.invoke(2)]
    assert ["step", "step"] == sys.modules["good_x"].heard
    assert [
        (
            f"The handler 'broken' of acme-broken 2.1 ({site}) cannot be used: {reason}"
            f"{' ' if reason.endswith('.') else '; '}CHAIN_CALLBACKS asks for it. Fix or uninstall "
            "the plugin, or remove the name from CHAIN_CALLBACKS.\nThe run goes on without it."
        )
    ] == said()
    assert {"good"} == set(instances.live_handlers())


def test_a_name_at_run_time(reason, said):
    """The same: one warning for a list, however often it is passed."""
    for value in (1, 2):
        assert value == STEP.invoke(value, {"callbacks": ["broken", "good"]})
    assert ["step", "step"] == sys.modules["good_x"].heard
    (warning,) = said()
    assert reason in warning


def test_with_strict(reason, monkeypatch):
    """All that is wrong is raised at once, before anything runs; so does `check()`."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "broken,good,slak,good,b!d")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICT", "1")
    for act in (lambda: STEP.invoke(1), check):
        with pytest.raises(ConfigurationErrors) as caught:
            act()
        kinds = {type(error) for error in caught.value.exceptions}
        assert {BrokenPluginError, UnknownHandlerError, InvalidNameError} == kinds
        assert "3 things are wrong with the handlers (3 sub-exceptions)" == str(caught.value)
    assert [] == sys.modules["good_x"].heard


def test_what_the_error_has(reason, site, monkeypatch):
    """Name, source, reason, distribution, version and place are attributes of the error."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "broken")
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    (error,) = caught.value.exceptions
    assert ("broken", "CHAIN_CALLBACKS", reason, "acme-broken", "2.1", str(site)) == (
        error.name,
        error.source,
        error.reason,
        error.distribution,
        error.version,
        error.location,
    )


def test_explain_says_why(reason):
    """`explain()` raises nothing: the row of the broken one says why, the other is active."""
    rows = explain(config={"callbacks": ["broken", "good"]}).as_data()
    assert [("broken", reason), ("active", "")] == [(row["status"], row["reason"]) for row in rows]


@pytest.fixture
def hooked(fake_distribution):
    """Install a handler whose module has a hook of a wrong signature."""
    text = BROKEN["a hook of a wrong signature"][0]
    fake_distribution(
        "hooked", entry_points={"hooked": "hooked_x:Handler"}, modules={"hooked_x": text}
    )


def test_nothing_stays_half_registered(hooked, said):
    """A module whose hooks are refused is in no register, also when it is asked for again."""
    for _ in range(2):
        resolve(["hooked"])
        reload()
    assert "hooked:hooked_x" not in registered()


HOOKED = GOOD + (
    "from chain_callbacks import hookimpl\n"
    "@hookimpl\ndef chain_callbacks_handler_created(name): ...\n"
)


def test_a_module_without_hooks_is_not_registered(program, fake_distribution):
    """Pluggy has nothing to do with it, and is not imported."""
    fake_distribution("good", entry_points={"good": "good_x:Handler"}, modules={"good_x": GOOD})
    text = (
        "import sys\n"
        "from chain_callbacks import resolve\n"
        "print([row['status'] for row in resolve(['good']).as_data()], 'pluggy' in sys.modules)\n"
    )
    assert "['active'] False\n" == program(text).stdout


def test_two_names_from_one_module(fake_distribution):
    """The module is imported and registered once; one of its handlers may be broken alone."""
    fake_distribution(
        "pair",
        entry_points={"first": "pair_x:Handler", "second": "pair_x:second", "third": "pair_x:no"},
        modules={"pair_x": HOOKED + "def second():\n    raise ValueError\n"},
    )
    rows = explain(config={"callbacks": ["first", "second", "third"]}).as_data()
    assert ["active", "broken", "broken"] == [row["status"] for row in rows]
    assert 1 == len([name for name in registered() if name == "pair:pair_x"])


def test_a_module_that_was_imported_anew(fake_distribution):
    """A purged module, as a notebook's reload leaves it, takes the place of the old one."""
    fake_distribution("pair", entry_points={"pair": "pair_x:Handler"}, modules={"pair_x": HOOKED})
    resolve(["pair"])
    del sys.modules["pair_x"]
    reload()
    resolve(["pair"])
    assert hooks.plugin_manager().get_plugin("pair:pair_x") is sys.modules["pair_x"]


def test_what_a_module_loads_lazily_stays_unloaded(fake_distribution, monkeypatch):
    """Registering a module asks for none of the attributes that it only announces."""
    text = GOOD + (
        "def __dir__():\n    return ['extra']\n"
        "def __getattr__(name):\n    raise ImportError('an extra is missing')\n"
    )
    fake_distribution("lazy", entry_points={"lazy": "lazy_x:Handler"}, modules={"lazy_x": text})
    assert ["active"] == [row["status"] for row in resolve(["lazy"]).as_data()]


@pytest.fixture
def own_1_4(fake_distribution):
    """This project, as if version 1.4.2 were installed."""
    fake_distribution("chain-callbacks", "1.4.2")


@pytest.mark.usefixtures("own_1_4")
@pytest.mark.parametrize(
    "requirement",
    [
        "chain-callbacks>=99", "chain_callbacks<1", "Chain.Callbacks (>=2,<3)",
        "chain-callbacks[test]~=2.0", "chain-callbacks==1.3.*", "chain-callbacks!=1.4.2",
        "chain-callbacks~=1.5", "chain-callbacks==1.4", "chain-callbacks>1.4.2",
        "chain-callbacks===1.4.1", "chain-callbacks>=1.4.2.post1", "chain-callbacks<1.4.2rc1",
        "chain-callbacks>=99; python_version >= '3'",
    ],
)  # fmt: skip
def test_a_plugin_for_another_version_is_refused_before_its_import(fake_distribution, requirement):
    """Its `Requires-Dist` on us is enough: its module is never imported."""
    fake_distribution(
        "later", entry_points={"later": "later_x:Handler"}, modules={"later_x": GOOD},
        requires=["structlog>=99", requirement],
    )  # fmt: skip
    (row,) = explain(config={"callbacks": ["later"]}).as_data()
    assert "broken" == row["status"]
    assert row["reason"].startswith("it needs chain-callbacks")
    assert row["reason"].endswith(", and this is 1.4.2")
    assert "later_x" not in sys.modules


@pytest.mark.usefixtures("own_1_4")
@pytest.mark.parametrize(
    "requirement",
    [
        "chain-callbacks", "chain-callbacks>=1,<2", "chain-callbacks==1.4.2",
        "chain-callbacks==1.4.*", "chain-callbacks~=1.4.0", "chain-callbacks~=1.2",
        "chain-callbacks>=99; extra == 'later'", "chain-callbacks>=99; extra=='later'",
        "chain-callbacks>=99; python_version < '3'", "chain-callbacks-slack>=99",
        "chain-callbacks @ file:///somewhere", "chain-callbacks===1.4.2", "chain-callbacks>=1.0a1",
        "nonsense !!!", "",
    ],
)  # fmt: skip
def test_a_plugin_for_this_version_is_used(fake_distribution, requirement):
    """A requirement that is met, of somebody else, or not understood, keeps nobody out."""
    fake_distribution(
        "fits", entry_points={"fits": "fits_x:Handler"}, modules={"fits_x": GOOD},
        requires=[requirement],
    )  # fmt: skip
    assert ["active"] == [row["status"] for row in resolve(["fits"]).as_data()]


def test_a_release_candidate_is_in_the_range_it_leads_to(fake_distribution):
    """A plugin may be tried with a version of this project that is not released yet."""
    fake_distribution("chain-callbacks", "2.0.0rc1")
    fake_distribution(
        "fits", entry_points={"fits": "fits_x:Handler"}, modules={"fits_x": GOOD},
        requires=["chain-callbacks>=1,<3"],
    )  # fmt: skip
    assert ["active"] == [row["status"] for row in resolve(["fits"]).as_data()]


def test_requirements_are_parsed_for_a_plugin_that_has_one_of_us(program, fake_distribution):
    """A handler without one is made without the library that parses them."""
    fake_distribution("chain-callbacks", "1.4.2")
    for name, requirement in (("other", "structlog>=99"), ("fits", "chain-callbacks>=1")):
        module = f"{name}_x"
        fake_distribution(
            name, entry_points={name: f"{module}:Handler"}, modules={module: GOOD},
            requires=[requirement],
        )  # fmt: skip
    text = (
        "import sys\n"
        "from chain_callbacks import resolve\n"
        "for name in ('other', 'fits'):\n"
        "    resolve([name])\n"
        "    print('packaging' in sys.modules)\n"
    )
    assert "False\nTrue\n" == program(text).stdout


def test_a_plugin_that_is_not_named_is_not_imported(fake_distribution, good, monkeypatch):
    """A poisoned plugin hurts nobody who does not name it: listing imports nothing either."""
    fake_distribution(
        "poison",
        entry_points={"poison": "poison_x:Handler", "also": "poison_x:Other"},
        modules={"poison_x": "raise SystemExit('poisoned')"},
        requires=["chain-callbacks>=99"],
    )
    monkeypatch.setenv("CHAIN_CALLBACKS", "good")
    STEP.invoke(1)
    STEP.invoke(1, {"callbacks": ["good", "-poison"]})
    assert ("also", "good", "poison") == instances.known_names()
    check()
    explain()
    with pytest.raises(UnknownHandlerError):
        resolve(["poisen"])
    assert "poison_x" not in sys.modules


def test_a_denied_plugin_is_not_imported(fake_distribution, monkeypatch):
    """What the operator denies stays unloaded, whoever names it."""
    fake_distribution("poison", entry_points={"poison": "poison_x:Handler"})
    monkeypatch.setenv("CHAIN_CALLBACKS", "poison")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "poison")
    STEP.invoke(1)
    with pytest.raises(HandlerDeniedError):
        STEP.invoke(1, {"callbacks": ["poison"]})
    assert "poison_x" not in sys.modules


def test_check_says_everything_at_once(fake_distribution, monkeypatch, said):
    """Broken, unknown, denied, misnamed, wrongly set, required and misspelt: one group of all."""
    fake_distribution("acme", entry_points={"broken": "no_such_x:Handler"})
    text = GOOD.replace("class Handler", "class Unset") + (
        "from chain_callbacks import HandlerSettings\n"
        "class Settings(HandlerSettings):\n    url: str\n"
        "Unset.settings_model = Settings\n"
    )
    fake_distribution("unset", entry_points={"unset": "unset_x:Unset"}, modules={"unset_x": text})
    register("denied", object)
    monkeypatch.setenv("CHAIN_CALLBACKS", "broken,slak,denied,b!d,unset")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "denied")
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "audit")
    monkeypatch.setenv("CHAIN_CALLBACKS_STRICTT", "1")
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    kinds = [type(error) for error in caught.value.exceptions]
    assert {
        InvalidNameError, UnknownHandlerError, HandlerDeniedError, InvalidSettingError,
    } <= set(kinds)  # fmt: skip
    assert "CHAIN_CALLBACKS_REQUIRE" in {getattr(e, "source", "") for e in caught.value.exceptions}
    monkeypatch.delenv("CHAIN_CALLBACKS_REQUIRE")
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert {
        InvalidNameError,
        UnknownHandlerError,
        HandlerDeniedError,
        InvalidSettingError,
        BrokenPluginError,
        HandlerSettingsError,
    } == {type(error) for error in caught.value.exceptions}
    assert [] == said()


def test_check_is_silent_where_all_is_well(good, monkeypatch, said):
    """Nothing is raised or logged."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "good")
    check()
    assert [] == said()


def test_an_object_with_a_wrong_signature_is_refused(heard):
    """An object, which code passes, is an error before anything runs."""

    class Wrong(BaseCallbackHandler):
        def on_chain_start(self, serialized):
            heard.append(("no", "no"))

    ran = []
    with pytest.raises(TypeError, match=r"on_chain_start cannot be called"):
        RunnableLambda(ran.append).invoke(1, {"callbacks": [Wrong()]})
    assert [] == ran


def test_an_interrupt_is_nobodys_failure(fake_distribution):
    """Ctrl-C while a plugin is imported stops the program, as anywhere."""
    fake_distribution(
        "slow", entry_points={"slow": "slow_x:Handler"},
        modules={"slow_x": "raise KeyboardInterrupt"},
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        resolve(["slow"])
