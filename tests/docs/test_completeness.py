"""What there is to know of is on a page: public names, events, commands, settings, pages."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from chain_callbacks import errors, handlers
from chain_callbacks.cli.commands import COMMANDS
from chain_callbacks.dispatch.handler_class import FACTS
from chain_callbacks.events import EVENTS, KINDS
from chain_callbacks.handlers.settings import StructlogSettings
from chain_callbacks.policies import POLICIES
from chain_callbacks.resolution import hookspecs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)")


def text_of(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def undocumented(names: list[str], page: str) -> list[str]:
    """Return those of *names* that do not stand in code on the page."""
    told = re.findall(r"`([^`\n]+)`", text_of(page))
    return [
        name
        for name in names
        if not any(re.search(rf"(?<![\w.]){re.escape(name)}\b", code) for code in told)
    ]


@pytest.mark.parametrize(
    "module",
    [
        "chain_callbacks",
        "chain_callbacks.hosts",
        "chain_callbacks.runnables",
        "chain_callbacks.testing",
        "chain_callbacks_clients",
        "chain_callbacks_clients.testing",
    ],
)
def test_public_names_are_on_their_page(module):
    """Whatever a module offers is explained; whatever is not explained is not offered."""
    assert undocumented(importlib.import_module(module).__all__, "reference/public-api.md") == []


def test_errors_are_on_their_page():
    """Whatever a caller may want to handle is explained."""
    kinds = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ChainCallbacksError)
    ]
    assert undocumented(kinds, "reference/public-api.md") == []


def test_public_names_of_handlers_are_on_their_page():
    """What the handlers' package offers to a program is explained."""
    assert undocumented(handlers.__all__, "reference/public-api.md") == []


def test_events_types_of_runs_and_facts_are_on_their_page():
    """A handler's author finds each event, each type of run, and each fact that there is."""
    assert undocumented([*EVENTS, *KINDS, *FACTS, "on_event"], "reference/events.md") == []


def test_commands_are_on_their_page():
    """Each command of the command line is explained."""
    assert undocumented([command.name for command in COMMANDS], "reference/command-line.md") == []


def test_policies_are_on_the_page_of_resolution():
    """Each policy is explained where the merging is."""
    assert undocumented([*POLICIES], "reference/resolution.md") == []


def test_hooks_are_in_the_page_for_authors_of_plugins():
    """Each of the framework's own hooks is named."""
    hooks = [name for name in vars(hookspecs) if name.startswith("chain_callbacks_")]

    assert undocumented(hooks, "how-to/write-a-plugin.md") == []


def test_handlers_of_this_repository_and_their_settings_are_on_their_page():
    """Each handler that is published here has a section, with the variable of each setting."""
    projects = [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    names = [
        name
        for path in projects
        for name in tomllib.loads(path.read_text("utf-8"))["project"]
        .get("entry-points", {})
        .get("chain_callbacks", {})
    ]
    variables = [
        f"CHAIN_CALLBACKS_STRUCTLOG__{field.upper()}" for field in StructlogSettings.model_fields
    ]
    slack = importlib.metadata.entry_points(group="chain_callbacks", name="slack")
    for each in slack:
        fields = each.load().settings_model.model_fields
        variables += [f"CHAIN_CALLBACKS_SLACK__{field.upper()}" for field in fields]

    assert undocumented(variables, "reference/handlers.md") == []
    assert [name for name in names if f"## `{name}`" not in text_of("reference/handlers.md")] == []


def test_every_page_is_reached_from_the_index():
    """No page is lost: each is linked from the index."""
    linked = {(DOCS / link).resolve() for link in LINK.findall(text_of("index.md"))}

    assert {page.resolve() for page in DOCS.rglob("*.md")} - linked == {DOCS / "index.md"}
