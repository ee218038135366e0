"""``chain-callbacks list``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from chain_callbacks import BaseCallbackHandler, register
from chain_callbacks.cli import main

POISON = {"poison.py": "raise RuntimeError('imported')"}


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, bool]:
    """Return which entries ``list --json`` gives, and whether they are enabled."""
    assert main(["list", "--json"]) == 0
    return {
        each["entry"]: each["enabled"] for each in json.loads(capsys.readouterr().out)["handlers"]
    }


def test_list_is_a_table_of_what_is_installed_and_registered(
    capsys, fake_distribution, monkeypatch, site
):
    """Each handler has its distribution, version and place, and whether it is enabled."""
    fake_distribution("chain-callbacks-slack", "1.2.3", {"slack": "poison:Handler"}, POISON)
    register("mine", BaseCallbackHandler)
    monkeypatch.setenv("CHAIN_CALLBACKS", "slack")

    assert main(["list"]) == 0

    assert capsys.readouterr().out == (
        "name       enabled  distribution           version  from\n"
        f"console    -        chain-callbacks        0.1.0    {site}\n"
        "mine       -        -                      -        registered\n"
        f"slack      yes      chain-callbacks-slack  1.2.3    {site}\n"
        f"structlog  -        chain-callbacks        0.1.0    {site}\n"
    )


def test_list_as_json_has_the_documented_schema(capsys, fake_distribution, monkeypatch, site):
    """The object that machines read has these keys."""
    fake_distribution("chain-callbacks-slack", "1.2.3", {"slack": "poison:Handler"}, POISON)
    monkeypatch.setenv("CHAIN_CALLBACKS", "slack")

    assert main(["list", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["handlers"][1] == {
        "name": "slack",
        "entry": "slack",
        "kind": "handler",
        "enabled": True,
        "distribution": "chain-callbacks-slack",
        "version": "1.2.3",
        "location": str(site),
        "value": "poison:Handler",
    }


def test_list_imports_no_plugin(capsys, fake_distribution, monkeypatch):
    """A plugin that cannot be imported is listed, even one that is named."""
    fake_distribution("evil", "1", {"evil": "poison:Handler"}, POISON)
    monkeypatch.setenv("CHAIN_CALLBACKS", "evil")

    assert listed(capsys) == {"console": False, "evil": True, "structlog": False}
    assert "poison" not in sys.modules


@pytest.mark.parametrize(
    ("variables", "enabled"),
    [
        ({"": "console,structlog"}, {"console", "structlog"}),
        ({"": "console,structlog,-console"}, {"structlog"}),
        ({"": "console,none,structlog"}, {"structlog"}),
        ({"": "console, Chain-Callbacks/STRUCTLOG"}, {"console", "structlog"}),
        ({"": "console,-console:default"}, set()),
        ({"": "console,-console:eu", "_CONSOLE__EU__CONTENT": "full"}, {"console"}),
        ({"": "a b,unknown,console"}, {"console"}),
        ({"": "console", "_DENY": "console"}, set()),
        ({"": "console", "_DENY": "chain-callbacks/console"}, set()),
        ({"": "structlog,console", "_REQUIRE": "console", "_ALLOW": "console"}, {"console"}),
        ({"_REQUIRE": "console"}, {"console"}),
        ({"": "console", "_DISABLED": "1"}, set()),
    ],
)
def test_list_calls_enabled_what_the_environment_attaches(capsys, monkeypatch, variables, enabled):
    """Removals, and what the operator requires and denies, count; what is wrong is passed over."""
    for name, value in variables.items():
        monkeypatch.setenv(f"CHAIN_CALLBACKS{name}", value)

    assert {entry for entry, is_enabled in listed(capsys).items() if is_enabled} == enabled


def test_list_of_a_name_that_two_distributions_offer_says_what_to_write(
    capsys, fake_distribution, monkeypatch
):
    """Where the name alone does not mean a handler, its distribution stands before it."""
    fake_distribution("one", "1", {"shared": "poison:Handler", "console": "poison:Handler"})
    fake_distribution("two", "1", {"shared": "poison:Handler"})
    monkeypatch.setenv("CHAIN_CALLBACKS", "console,two/shared")

    assert listed(capsys) == {
        "console": True,
        "one/console": False,
        "one/shared": False,
        "two/shared": True,
        "structlog": False,
    }


def test_list_tells_a_policy_plugin_from_a_handler(capsys, fake_distribution, monkeypatch):
    """A module with hooks is enabled by another variable than a handler."""
    fake_distribution("acme", "1", {"acme-audit": "poison"}, POISON)
    monkeypatch.setenv("CHAIN_CALLBACKS_PLUGINS", "acme_audit")

    assert main(["list"]) == 0

    assert "acme-audit  yes (hooks)  acme " in capsys.readouterr().out
    assert "poison" not in sys.modules


def test_list_shows_the_classes_of_the_file(capsys, monkeypatch, tmp_path: Path):
    """A class that only the operator's file names is a handler like another."""
    file = tmp_path / "handlers.toml"
    file.write_text('callbacks = ["own:eu"]\n[handlers."own:eu"]\nclass = "poison:Handler"\n')
    monkeypatch.setenv("CHAIN_CALLBACKS_CONFIG", str(file))

    assert main(["list", "--json"]) == 0

    found = {each["entry"]: each for each in json.loads(capsys.readouterr().out)["handlers"]}
    assert found["own:eu"]["enabled"]
    assert found["own:eu"]["location"] == str(file)


def test_list_writes_out_what_would_move_the_cursor(capsys, fake_distribution):
    """A plugin's metadata cannot paint over the terminal."""
    fake_distribution("evil", "1\x1b[2J", {"evil": "poison:Handler"})

    assert main(["list"]) == 0

    assert "1\\x1b[2J" in capsys.readouterr().out


def test_list_of_nothing_says_so(capsys, monkeypatch):
    """A frozen application has no metadata."""
    monkeypatch.setattr(sys, "path", sys.path[1:])

    assert main(["list"]) == 0

    assert capsys.readouterr().out == "No handler is installed.\n"


def test_list_loads_nothing_heavy(python):
    """Neither pydantic, structlog, pluggy nor the native host is imported."""
    code = "import sys; from chain_callbacks.cli import main; main(['list']); print(*sys.modules)"
    shown = python("-c", code, CHAIN_CALLBACKS="console").stdout

    loaded = set(shown.splitlines()[-1].split())

    heavy = {"pydantic", "pydantic_settings", "structlog", "pluggy", "chain_callbacks.runnables"}
    assert "chain_callbacks.cli.listing" in loaded
    assert loaded & heavy == set()
