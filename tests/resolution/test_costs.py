"""What resolution costs, counted and not timed."""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter

import pytest

from chain_callbacks import attached, current_manager, policy, resolve
from chain_callbacks.errors import UnknownHandlerError
from chain_callbacks.resolution import (
    handler_settings,
    index,
    names,
    resolver,
    settings,
    sources,
)
from chain_callbacks.runnables import RunnableLambda

from .conftest import HANDLER, Listening

STEP = RunnableLambda(lambda value: value, name="step")

BUILT_IN = {
    "console": "chain_callbacks.handlers.console_handler:ConsoleHandler",
    "structlog": "chain_callbacks.handlers.structlog_handler:StructlogHandler",
}


@pytest.fixture
def plugin(fake_distribution):
    """Install `alerts`, `beeper` and `clock`."""
    for name in ("alerts", "beeper", "clock"):
        fake_distribution(
            f"acme-{name}",
            entry_points={name: f"{name}_x:Handler"},
            modules={f"{name}_x": HANDLER.format(name="Handler")},
        )


@pytest.fixture
def work(monkeypatch) -> Counter[str]:
    """Count what a resolution is made of."""
    counted: Counter[str] = Counter()

    def count(module: object, name: str) -> None:
        function = getattr(module, name)

        def wrapper(*args: object, **kwargs: object) -> object:
            counted[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, wrapper)

    count(index, "scan")
    count(resolver, "merge")
    for module in (names, sources):
        count(module, "parse_entry")
    count(settings, "read")
    count(handler_settings, "variables_of")
    count(resolver, "misspelt_variables")
    return counted


def test_importing_the_package_does_nothing(program):
    """`import chain_callbacks` scans nothing, and imports neither pydantic nor pluggy."""
    text = (
        "import sys, importlib.metadata\n"
        "def no(*_, **__): raise SystemExit('scanned')\n"
        "importlib.metadata.distributions = importlib.metadata.entry_points = no\n"
        "import chain_callbacks\n"
        "heavy = {'pydantic', 'pydantic_settings', 'pluggy', 'importlib_metadata', 'structlog'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = program(text)
    assert ("[]\n", "") == (done.stdout, done.stderr)


def test_naming_nothing_does_nothing(program):
    """A run, and a run with a handler object, scan nothing and import no plugin machinery."""
    text = (
        "import sys\n"
        "from chain_callbacks import BaseCallbackHandler\n"
        "from chain_callbacks.runnables import RunnableLambda\n"
        "step = RunnableLambda(lambda value: value)\n"
        "step.invoke(1)\n"
        "step.invoke(1, {'callbacks': [BaseCallbackHandler()]})\n"
        "heavy = {'pydantic', 'pydantic_settings', 'pluggy', 'importlib_metadata', 'structlog'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = program(text)
    assert ("[]\n", "") == (done.stdout, done.stderr)


def test_naming_nothing_scans_nothing(plugin, scans, monkeypatch):
    """Neither runs, nor objects, nor `none`, nor a block with nothing in it."""
    for value in ("", " , ", "none"):
        monkeypatch.setenv("CHAIN_CALLBACKS", value)
        with attached():
            STEP.invoke(1, {"callbacks": [Listening("H", [])]})
        STEP.invoke(1, {"callbacks": ["none"]})
    assert [] == scans


def test_structlog_alone_imports_no_pydantic(program, fake_distribution):
    """The built-in handler starts without pydantic where none of its settings is set."""
    fake_distribution("chain-callbacks", "0.1.0", entry_points=BUILT_IN)
    text = (
        "import sys\n"
        "from chain_callbacks.runnables import RunnableLambda\n"
        "RunnableLambda(lambda value: value, name='step').invoke(1)\n"
        "print(sorted(name for name in sys.modules if name.startswith('pydantic')))\n"
    )
    done = program(text, CHAIN_CALLBACKS="structlog")
    assert "[]" == done.stdout.splitlines()[-1]
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert "chain_end" in [line["event"] for line in told if line.get("run_name") == "step"]


def test_a_process_scans_once(plugin, scans, monkeypatch):
    """However many names are asked for, wherever they stand."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "alerts")
    for callbacks in (None, ["beeper"], ["clock", "-alerts"], "alerts,clock"):
        STEP.invoke(1, {"callbacks": callbacks})
    monkeypatch.setenv("CHAIN_CALLBACKS", "clock")
    STEP.invoke(1)
    resolve(["alerts"])
    assert 1 == len(scans)


def test_an_unknown_name_of_the_environment_is_looked_for_once(plugin, scans, monkeypatch):
    """A name that is not installed costs nothing after the first run."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "alerts,nobody")
    for _ in range(10):
        STEP.invoke(1)
    assert 1 == len(scans)


def test_nested_runs_cost_no_second_resolution(plugin, work, monkeypatch):
    """A tree of runs is resolved at its root; below nothing is parsed, folded or read."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "alerts")
    seen: list[Counter[str]] = []

    def inside(value: int) -> int:
        seen.append(Counter(work))
        STEP.invoke(value)
        RunnableLambda(STEP.invoke).invoke(value)
        seen.append(Counter(work))
        return value

    RunnableLambda(inside).invoke(1, {"callbacks": ["beeper"]})
    assert seen[0] == seen[1]
    assert {"alerts_x": 4, "beeper_x": 4} == {
        name: len(sys.modules[name].heard) for name in ("alerts_x", "beeper_x")
    }


def test_a_list_that_was_resolved_is_not_resolved_again(plugin, work, monkeypatch):
    """The second call of each kind folds nothing, parses nothing and reads no environment."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "alerts")
    monkeypatch.setenv("CHAIN_CALLBACKS_DENY", "clock")
    handler = Listening("H", [])
    step = RunnableLambda(lambda value: value, callbacks=["beeper", "-alerts"])
    scope = attached("beeper", policy("alerts", only="errors"))

    def calls() -> None:
        STEP.invoke(1)
        STEP.invoke(1, {"callbacks": ["beeper"]})
        STEP.invoke(1, {"callbacks": "beeper,-alerts", "tags": ["x"]})
        STEP.invoke(1, {"callbacks": [handler, policy("beeper", only="errors"), "none"]})
        step.invoke(1, {"callbacks": [handler]})
        RunnableLambda(lambda value: STEP.invoke(value, {"callbacks": ["beeper"]})).invoke(1)
        with scope:
            STEP.invoke(1)
        current_manager()

    calls()
    before = Counter(work)
    for _ in range(5):
        calls()
    assert before == Counter(work)
    assert 1 == before["scan"]


def test_a_bad_list_is_refused_each_time(plugin, work):
    """What was refused is not remembered as right."""
    for _ in range(3):
        with pytest.raises(UnknownHandlerError):
            STEP.invoke(1, {"callbacks": ["alerts", "nobody"]})
    STEP.invoke(1, {"callbacks": ["alerts"]})
    assert ["step"] == sys.modules["alerts_x"].heard


def test_nothing_grows(plugin, monkeypatch):
    """Neither repeated calls nor a fresh handler for each of them leave anything behind."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "alerts")

    def calls(count: int) -> None:
        for _ in range(count):
            with attached(Listening("scope", [])):
                STEP.invoke(1, {"callbacks": [Listening("fresh", []), "beeper"]})
            STEP.invoke(1, {"callbacks": ["-alerts"]})
            RunnableLambda(
                lambda value: STEP.invoke(value, {"callbacks": [Listening("inner", [])]}),
                callbacks=[Listening("own", [])],
            ).invoke(1)
        sys.modules["alerts_x"].heard.clear()
        sys.modules["beeper_x"].heard.clear()

    calls(400)
    gc.collect()
    alive = sum(issubclass(type(each), Listening) for each in gc.get_objects())
    # Of 1600 handlers those are alive that the last lists which are remembered hold.
    assert 4 * resolver._MOST_MERGES >= alive
    assert resolver._MOST_MERGES >= len(resolver._root.manager.down.folds)


def test_what_was_merged_dies_with_its_base(monkeypatch, names):
    """A changed environment frees what was resolved under the old one."""
    monkeypatch.setenv("CHAIN_CALLBACKS", "a")
    STEP.invoke(1, {"callbacks": [Listening("mortal", [])]})
    monkeypatch.setenv("CHAIN_CALLBACKS", "b")
    STEP.invoke(1)
    gc.collect()
    assert [] == [
        each for each in gc.get_objects() if isinstance(each, Listening) and each.name == "mortal"
    ]


def test_the_callers_lists_stay_as_they_are(names):
    """Nothing that was passed is changed, and changing it later changes nothing."""
    handler = Listening("H", [])
    callbacks, tags, metadata = ["a", handler], ["x"], {"k": 1}
    config = {"callbacks": callbacks, "tags": tags, "metadata": metadata}
    own = ["b"]
    step = RunnableLambda(lambda value: value, callbacks=own)
    for _ in range(50):
        step.invoke(1, config)
    assert (["a", handler], ["x"], {"k": 1}, ["b"]) == (callbacks, tags, metadata, own)
    own.append("no-such-handler")
    step.invoke(1, config)
