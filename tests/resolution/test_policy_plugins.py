"""Policy plugins, which an operator lists and nobody can go round, and the two other hooks."""

from __future__ import annotations

import sys

import pytest

from chain_callbacks import (
    CallbackManager,
    attached,
    check,
    current_manager,
    explain,
    register,
    resolve,
)
from chain_callbacks.errors import ConfigurationErrors, PolicyPluginError
from chain_callbacks.hosts import manager_at, own_scope, silent_manager
from chain_callbacks.resolution.hooks import plugin_manager
from chain_callbacks.runnables import RunnableLambda

from .conftest import HANDLER, Listening

STEP = RunnableLambda(lambda value: value, name="step")

POLICY = """
from chain_callbacks import hookimpl

asked = []

@hookimpl{marks}
def chain_callbacks_resolved(resolution):
    asked.append(resolution.names)
    {act}
"""


@pytest.fixture(autouse=True)
def _names(names, site):
    """Register a, b, c and d on an empty path."""


@pytest.fixture
def policy_plugin(fake_distribution, monkeypatch):
    """Install a policy plugin, and list it after those there are."""
    listed: list[str] = []

    def install(name: str, act: str = "pass", *, marks: str = "", text: str = POLICY) -> str:
        module = f"{name}_policy_x"
        fake_distribution(
            f"acme-{name}",
            entry_points={name: module},
            modules={module: text.format(act=act, marks=marks)},
        )
        listed.append(name)
        monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", ",".join(listed))
        return module

    return install


def who(heard: list[tuple[str, str]], run: str = "step") -> list[str]:
    return [name for each, name in heard if each == run]


def nested(callbacks: object = None) -> RunnableLambda:
    return RunnableLambda(lambda value: STEP.invoke(value, {"callbacks": callbacks}), name="chain")


@pytest.mark.parametrize("callbacks", [None, [], ["a"], ["none"], ["-d"], "a"])
def test_an_audit_handler_hears_everything(policy_plugin, heard, callbacks):
    """What a policy adds hears every call, with handlers or none, and every nested one, once."""
    policy_plugin("audit", "resolution.add('d')")
    nested(callbacks).invoke(1, {"callbacks": callbacks})
    assert (["d"], ["d"]) == tuple(
        [name for name in who(heard, run) if name == "d"] for run in ("chain", "step")
    )


def test_an_audit_handler_may_be_an_object(policy_plugin, fake_distribution, heard):
    """A policy may add an object of its own."""
    text = HANDLER.format(name="Audit") + "audit = Audit()\n" + POLICY
    module = policy_plugin("audit", "resolution.add(audit)", text=text.replace("{}", "{{}}"))
    nested(["a"]).invoke(1)
    assert ["chain", "step"] == sys.modules[module].heard


def test_a_policy_forbids(policy_plugin, heard):
    """A handler that a policy takes out gets no events, wherever it is named."""
    policy_plugin("strict", "resolution.remove('b')")
    with attached("b"):
        nested(["b", "c"]).invoke(1, {"callbacks": ["a", "b"]})
    assert (["a"], ["a", "c"]) == (who(heard, "chain"), who(heard))


def test_a_policy_reorders(policy_plugin, heard):
    """`move_to_end` has a handler told last."""
    policy_plugin("order", "'a' in resolution.names and resolution.move_to_end('a')")
    STEP.invoke(1, {"callbacks": ["a", "b"]})
    assert ["b", "a"] == who(heard)


def test_a_policy_sees_who_would_listen(policy_plugin, heard, listening):
    """Names in their order, a class for an object; asked once for each distinct list."""
    module = policy_plugin("watch")
    for _ in range(3):
        STEP.invoke(1, {"callbacks": ["b", "a"]})
        STEP.invoke(1)
    assert [(), ("b", "a")] == sys.modules[module].asked
    STEP.invoke(1, {"callbacks": [listening("H")]})
    assert ("Listening",) == sys.modules[module].asked[-1]


@pytest.mark.parametrize("ask", [resolve, lambda names: explain(callbacks=names)])
def test_a_policy_is_asked_once_by_who_asks(policy_plugin, ask):
    """`resolve()` and `explain()` fold once, environment and call together."""
    module = policy_plugin("watch")
    ask(["b", "a"])
    assert [("b", "a")] == sys.modules[module].asked


def test_the_current_manager_is_under_the_policy(policy_plugin):
    """A manager that is passed on by hand has what the policy adds."""
    policy_plugin("audit", "resolution.add('d')")
    assert ["d"] == [each.name for each in current_manager().handlers]


def test_what_is_required_beats_a_policy(policy_plugin, monkeypatch, heard):
    """A plugin cannot take out what the operator requires."""
    policy_plugin("strict", "resolution.remove('d')")
    monkeypatch.setenv("CHAIN_CALLBACKS_REQUIRE", "d")
    STEP.invoke(1)
    assert ["d"] == who(heard)


def test_the_order_of_policies(policy_plugin, heard):
    """`tryfirst` is asked before the others and `trylast` after them, each sees the same."""
    for name, marks in (("late", "(trylast=True)"), ("plain", ""), ("early", "(tryfirst=True)")):
        handler = {"late": "c", "plain": "b", "early": "a"}[name]
        policy_plugin(name, f"resolution.add('{handler}')", marks=marks)
    STEP.invoke(1)
    assert ["a", "b", "c"] == who(heard)


@pytest.mark.parametrize(
    ("act", "text", "reason"),
    [
        ("raise ValueError('no audit')", POLICY,
         "chain_callbacks_resolved raised ValueError: no audit"),
        ("import sys; sys.exit('x')", POLICY, "chain_callbacks_resolved raised SystemExit: x"),
        ("resolution.add('slak')", POLICY, ("No handler is called 'slak'; the plugin "
         "acme-bad:bad_policy_x[0] asks for it. Did you mean 'slack'?")),
        ("resolution.add(7)", POLICY, ("chain_callbacks_resolved raised NotAHandlerError: the "
         "plugin acme-bad:bad_policy_x[0] is an object of type int, not a handler. Pass a name, or "
         "an object with methods of the event table, such as on_chain_start.")),
        ("", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("", "raise SystemExit(1)", "SystemExit: 1"),
        ("", "x = 1", "'bad_policy_x' implements no hook"),
        ("", POLICY.replace("_resolved", "_resolvd"), ("'bad_policy_x' implements "
         "chain_callbacks_resolvd, which is not a hook. Did you mean 'chain_callbacks_resolved'?")),
        ("yield", POLICY.replace("{marks}", "(wrapper=True)"), ("'bad_policy_x' wraps "
         "chain_callbacks_resolved; each implementation is called for itself")),
        ("", POLICY.replace("(resolution)", "(resolution, colour)"), ("PluginValidationError: "
         "Plugin 'acme-bad:bad_policy_x' for hook 'chain_callbacks_resolved'")),
    ],
)  # fmt: skip
def test_a_policy_that_fails_stops_everything(policy_plugin, heard, act, text, reason):
    """Missing, broken or raising, it fails closed, by its name: nothing runs without it."""
    register("slack", lambda: Listening("slack", []))
    policy_plugin("bad", act, text=text)
    ran = []
    for callbacks in (None, ["a"], ["none"]):
        with pytest.raises(PolicyPluginError) as caught:
            RunnableLambda(ran.append).invoke(1, {"callbacks": callbacks})
        assert caught.value.plugin in {"bad", "acme-bad:bad_policy_x"}
        assert reason == caught.value.reason.splitlines()[0]
    with pytest.raises(PolicyPluginError), attached("a"):
        ...
    assert ([], []) == (ran, heard)


LAZY = """
import asyncio, contextlib, functools
from chain_callbacks import hookimpl

@hookimpl
def chain_callbacks_handler_created(name): ...

async def added(resolution):
    resolution.add("d")

def added_step_by_step(resolution):
    yield resolution.add("d")

async def added_later(resolution):
    yield resolution.add("d")

def added_at_once(resolution):
    resolution.add("d")

def passing(function):
    @functools.wraps(function)
    def wrapper(resolution):
        return function(resolution)
    return wrapper

class Adding:
    chain_callbacks_impl = hookimpl(lambda: None).chain_callbacks_impl
    def __call__(self, resolution):
        resolution.add("d")
    @hookimpl
    async def method(self, resolution):
        resolution.add("d")

class Waiting(Adding):
    async def __call__(self, resolution):
        resolution.add("d")

class Awaitable:
    def __await__(self):
        yield

"""
NO_EFFECT = "which would have no effect; write a plain function"
NO_FUNCTION = (
    "'lazy_policy_x' sets chain_callbacks_resolved to an object of type {}; write a function"
)
IMPLEMENTS = "'lazy_policy_x' implements chain_callbacks_resolved as a"
RETURNED = "chain_callbacks_resolved returned an object of type"


@pytest.mark.parametrize(
    ("defined", "reason"),
    [
        ("= hookimpl(added)", f"{IMPLEMENTS} coroutine function, {NO_EFFECT}"),
        ("= Adding().method", f"{IMPLEMENTS} coroutine function, {NO_EFFECT}"),
        ("= hookimpl(added_step_by_step)", f"{IMPLEMENTS} generator function, {NO_EFFECT}"),
        ("(resolution):\n    yield", f"{IMPLEMENTS} generator function, {NO_EFFECT}"),
        ("= hookimpl(added_later)", f"{IMPLEMENTS}n asynchronous generator function, {NO_EFFECT}"),
        ("= hookimpl(passing(added))", f"{RETURNED} coroutine, {NO_EFFECT}"),
        ("= passing(hookimpl(lambda resolution: added(resolution)))",
         f"{RETURNED} coroutine, {NO_EFFECT}"),
        ("= hookimpl(passing(added_step_by_step))", f"{RETURNED} generator, {NO_EFFECT}"),
        ("= hookimpl(passing(added_later))", f"{RETURNED} async_generator, {NO_EFFECT}"),
        ("(resolution): return map(resolution.add, ['d'])", f"{RETURNED} map, {NO_EFFECT}"),
        ("(resolution): return Awaitable()", f"{RETURNED} Awaitable, {NO_EFFECT}"),
        ("= Adding()", NO_FUNCTION.format("Adding")),
        ("= Waiting()", NO_FUNCTION.format("Waiting")),
        ("= hookimpl(Adding)", NO_FUNCTION.format("type")),
        ("= hookimpl(functools.partial(added_at_once))", NO_FUNCTION.format("partial")),
        ("= hookimpl(functools.partial(added))", NO_FUNCTION.format("partial")),
        ("= 7", NO_FUNCTION.format("int")),
        ("= added_at_once",
         "'lazy_policy_x' defines chain_callbacks_resolved without the marker; write @hookimpl"),
    ],
)  # fmt: skip
def test_a_policy_that_would_do_nothing_is_refused(policy_plugin, heard, defined, reason):
    """What nothing awaits or iterates, or pluggy passes over, stops everything, by its name."""
    how = "@hookimpl\ndef " if defined.startswith("(") else ""
    text = f"{LAZY}\n{how}chain_callbacks_resolved{defined}\n"
    policy_plugin("lazy", text=text.replace("{", "{{").replace("}", "}}"))
    ran: list[object] = []
    for _ in range(2):
        with pytest.raises(PolicyPluginError) as caught:
            RunnableLambda(ran.append).invoke(1, {"callbacks": ["a"]})
        assert caught.value.plugin in {"lazy", "acme-lazy:lazy_policy_x"}
        assert reason in caught.value.reason
    assert ([], []) == (ran, heard)


@pytest.mark.parametrize(
    "defined",
    [
        "= hookimpl(passing(added_at_once))",
        "= passing(hookimpl(lambda resolution: added_at_once(resolution)))",
        "= hookimpl(lambda resolution: resolution.add('d'))",
        "(resolution): return [resolution.add('d')]",
    ],
)
def test_a_policy_may_be_any_function(policy_plugin, heard, defined):
    """Decorated, or a lambda: what it does before it returns is applied."""
    how = "@hookimpl\ndef " if defined.startswith("(") else ""
    text = f"{LAZY}\n{how}chain_callbacks_resolved{defined}\n"
    policy_plugin("eager", text=text.replace("{", "{{").replace("}", "}}"))
    STEP.invoke(1)
    assert ["d"] == who(heard)


def test_a_policy_holds_for_managers_made_by_hand(policy_plugin, heard, listening):
    """What it adds hears their runs, and it is asked with what they were given."""
    module = policy_plugin("audit", "resolution.add('d')")
    for handlers in ([listening("H")], []):
        with CallbackManager(handlers).run("chain", "byhand", {}) as run:
            STEP.invoke(1)
            STEP.invoke(1, {"callbacks": [run.get_child(), "none"]})
    assert ["H", "d", "d"] == who(heard, "byhand")
    assert ["H", "d", "d", "d", "d"] == who(heard)
    assert ("Listening",) == sys.modules[module].asked[0]


def test_a_policy_holds_for_what_a_bridge_asks(policy_plugin):
    """`manager_at` with names is under it, in a run or outside."""
    policy_plugin("strict", "resolution.add('d'); resolution.remove('b')")
    with CallbackManager([]).run("chain", "byhand", {}):
        for scope in (None, own_scope(), silent_manager()):
            manager = manager_at(scope, ["b", "a"])
            assert manager is not None
            assert ["a", "d"] == sorted(each.name for each in manager.handlers)


def test_a_policy_that_fails_allows_no_manager(policy_plugin, listening):
    """A manager made by hand is not made without it."""
    policy_plugin("bad", "raise ValueError('no')")
    with pytest.raises(PolicyPluginError, match="raised ValueError: no"):
        CallbackManager([listening("H")])


def test_a_policy_may_start_runs(policy_plugin, heard):
    """They are told to nobody; the policy is asked once, and not about its own runs."""
    module = policy_plugin(
        "busy",
        "from chain_callbacks import CallbackManager; "
        "from chain_callbacks.runnables import RunnableLambda; "
        "RunnableLambda(lambda value: value, name='busy').invoke(1, {{'callbacks': ['a']}}); "
        "CallbackManager(); resolution.add('d')".replace("{{", "{").replace("}}", "}"),
    )
    STEP.invoke(1)
    assert ([("step", "d")], 1) == (heard, len(sys.modules[module].asked))


def test_a_policy_that_is_missing_stops_everything(monkeypatch, heard):
    """A plugin that is listed and not installed stops resolution, nested or not."""
    monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "corporate")
    with pytest.raises(PolicyPluginError) as caught:
        STEP.invoke(1)
    assert (
        "The policy plugin 'corporate' cannot be used: it is not installed; "
        "CHAIN_CALLBACKS_PLUGINS asks for it. Fix it, or remove the name: no run starts until "
        "then."
    ) == str(caught.value)


def test_a_policy_that_two_distributions_offer(fake_distribution, monkeypatch):
    """The plugin's name may say the distribution, as a handler's may."""
    for name in ("one", "two"):
        text = POLICY.format(marks="", act="pass")
        fake_distribution(name, entry_points={"p": f"{name}_x"}, modules={f"{name}_x": text})
    monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "p")
    with pytest.raises(PolicyPluginError, match="several distributions offer it: one, two"):
        STEP.invoke(1)
    monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "two/p")
    STEP.invoke(1)
    assert [()] == sys.modules["two_x"].asked


def test_a_handler_is_no_policy(fake_distribution, monkeypatch):
    """A class that is listed as a plugin is refused."""
    fake_distribution(
        "h", entry_points={"h": "h_x:Handler"}, modules={"h_x": HANDLER.format(name="Handler")}
    )
    monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "h")
    with pytest.raises(PolicyPluginError, match=r"'h_x:Handler' is not a module of hooks"):
        STEP.invoke(1)


def test_only_what_is_listed_is_asked(policy_plugin, monkeypatch, heard):
    """A plugin that is no longer listed, though it was loaded, changes nothing."""
    first = policy_plugin("first", "resolution.add('d')")
    STEP.invoke(1)
    policy_plugin("second")
    monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "second")
    STEP.invoke(1)
    assert ["d"] == who(heard)
    assert [()] == sys.modules[first].asked


def test_a_policy_that_fails_is_explained(policy_plugin, monkeypatch):
    """`explain()` has a row for it; `check()` raises it with all the rest."""
    policy_plugin("bad", "raise ValueError('no')")
    monkeypatch.setenv("CHAIN_CALLBACKS", "slak")
    rows = explain().as_data()
    assert ("broken", "CHAIN_CALLBACKS_PLUGINS") in [(row["status"], row["source"]) for row in rows]
    with pytest.raises(ConfigurationErrors) as caught:
        check()
    assert {"UnknownHandlerError", "PolicyPluginError"} == {
        type(error).__name__ for error in caught.value.exceptions
    }


def test_explain_says_what_a_policy_changed(policy_plugin):
    """The rows name the plugin that added one handler and took another out."""
    policy_plugin("audit", "resolution.add('d'); resolution.remove('a')")
    rows = explain(config={"callbacks": ["a"]}).as_data()
    plugin = "the plugin acme-audit:audit_policy_x"
    assert ("a", "removed", f"by {plugin}") in [
        (row["text"], row["status"], row["reason"]) for row in rows
    ]
    assert ("d", "active", f"{plugin}[0]") in [
        (row["text"], row["status"], row["source"]) for row in rows
    ]


HOOKS = """
from chain_callbacks import BaseCallbackHandler, hookimpl

told = []

@hookimpl
def chain_callbacks_handler_created(name, handler, provenance):
    told.append(("created", name, type(handler).__name__, provenance.distribution))
    {act}

@hookimpl
def chain_callbacks_plugin_failed(name, error, provenance):
    told.append(("failed", name, type(error).__name__, provenance.distribution))

class Handler(BaseCallbackHandler):
    def on_chain_start(self, serialized, inputs, **kwargs): ...
"""


@pytest.fixture
def hooks(fake_distribution):
    def install(act: str = "pass") -> None:
        fake_distribution(
            "metrics",
            entry_points={"metrics": "metrics_x:Handler"},
            modules={"metrics_x": HOOKS.format(act=act)},
        )

    return install


def test_the_hooks_are_told_of_what_is_made_and_what_fails(hooks):
    """Each instance that is made, and each that cannot be, once."""
    hooks()
    register("broken", lambda: 7)
    for _ in range(2):
        resolve(["metrics", "a", "broken"])
    assert [
        ("created", "metrics", "Handler", "metrics"),
        ("created", "a", "Listening", None),
        ("failed", "broken", "BrokenPluginError", None),
    ] == sys.modules["metrics_x"].told[:3]


@pytest.mark.parametrize("error", ["ValueError(name)", "SystemExit"])
def test_a_hook_that_raises_is_logged(hooks, said, heard, error):
    """The handler that it was told of works all the same."""
    hooks(f"raise {error}")
    STEP.invoke(1, {"callbacks": ["metrics", "a"]})
    assert ["a"] == who(heard)
    kind = error.partition("(")[0]
    warning = f"The plugin metrics:metrics_x failed: chain_callbacks_handler_created raised {kind}."
    assert [warning] * 2 == said()


@pytest.mark.parametrize(
    ("decorated", "kind"),
    [
        ("async def", "a coroutine function"),
        ("@hookimpl\ndef", "a generator function"),
    ],
)
def test_a_hook_that_would_do_nothing_makes_its_handler_unusable(
    fake_distribution, heard, said, decorated, kind
):
    """The handler of its module is broken, by the hook's name; the others hear."""
    text = HOOKS.format(act="yield" if "generator" in kind else "pass")
    begin = "@hookimpl\ndef chain_callbacks_handler_created"
    assert begin in text
    text = text.replace(begin, f"{decorated} chain_callbacks_handler_created")
    fake_distribution(
        "metrics", entry_points={"metrics": "metrics_x:Handler"}, modules={"metrics_x": text}
    )
    STEP.invoke(1, {"callbacks": ["metrics", "a"]})
    assert ["a"] == who(heard)
    hook = "implements chain_callbacks_handler_created"
    assert f"'metrics_x:Handler' {hook} as {kind}, {NO_EFFECT}" in said()[0]


@pytest.mark.parametrize(
    ("returned", "kind"), [("asyncio.sleep(0)", "coroutine"), ("iter([1])", "list_iterator")]
)
def test_a_hook_that_returns_what_nobody_awaits_is_logged(hooks, said, heard, returned, kind):
    """The handler works all the same, and Python warns of nothing."""
    hooks(f"import asyncio; return {returned}")
    STEP.invoke(1, {"callbacks": ["metrics"]})
    sentence = f"chain_callbacks_handler_created returned an object of type {kind}, {NO_EFFECT}."
    assert [f"The plugin metrics:metrics_x failed: {sentence}"] == said()


def test_the_register_holds_modules_and_no_handler(hooks):
    """Pluggy's register never keeps a handler alive."""
    hooks()
    resolve(["metrics", "a"])
    kinds = {type(plugin).__name__ for plugin in plugin_manager().get_plugins()}
    assert {"module"} == kinds
