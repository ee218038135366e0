"""The plugin as a plugin: its settings from the environment, and that loading it does nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chain_callbacks import register, resolve
from chain_callbacks_slack import SlackHandler

WEBHOOK = "https://hooks.slack.example/services/c4n4ry"


# A name of its own: under "slack" the plugin may be installed, and have a live instance.
NAME = "slack-tried"
PREFIX = "CHAIN_CALLBACKS_SLACK_TRIED__"


@pytest.fixture(autouse=True)
def _registered() -> None:
    register(NAME, SlackHandler)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "WEBHOOK_URL is not set."),
        ({"TOKEN": "xoxb-c4n4ry"}, "CHANNEL is not set."),
        ({"CHANNEL": "#c4n4ry"}, "TOKEN is not set."),
        (
            {"WEBHOOK_URL": WEBHOOK, "TOKEN": "xoxb-c4n4ry"},
            "TOKEN is wrong: webhook_url is set too",
        ),
        (
            {"WEBHOOK_URL": WEBHOOK, "CHANNEL": "#c4n4ry"},
            "CHANNEL is wrong: webhook_url is set too",
        ),
        (
            {"WEBHOOK_URL": "hooks.slack.example/c4n4ry"},
            "WEBHOOK_URL is wrong: it is no URL",
        ),
        ({"WEBHOOK_URL": WEBHOOK, "TIMEOUT": "-1"}, "TIMEOUT is"),
        ({"WEBHOOK_URL": WEBHOOK, "DIGEST_SECONDS": "0"}, "DIGEST_SECONDS is"),
        ({"WEBHOOK_URL": WEBHOOK, "DIGEST_SECONDS": "inf"}, "DIGEST_SECONDS is"),
        ({"WEBHOOK_URL": WEBHOOK, "DIGEST_SECONDS": "1000000000000"}, "DIGEST_SECONDS is"),
    ],
)
def test_settings_that_cannot_work_are_named_by_their_variable(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    expected: str,
) -> None:
    """What is missing or wrong is told when the handler is named, with no value in it."""
    for field, value in variables.items():
        monkeypatch.setenv(PREFIX + field, value)
    assert resolve(NAME).manager.handlers == []
    (problem,) = caplog.messages
    assert problem.startswith(f"{NAME}: {PREFIX}{expected}")
    assert "c4n4ry" not in caplog.text


@pytest.mark.parametrize(
    "variables",
    [{"WEBHOOK_URL": WEBHOOK + "\n"}, {"TOKEN": "xoxb-c4n4ry\n", "CHANNEL": "C042"}],
)
def test_either_way_is_enough(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """A webhook alone makes a handler, and so do a token and a channel."""
    for field, value in variables.items():
        monkeypatch.setenv(PREFIX + field, value)
    assert [SlackHandler] == [type(handler) for handler in resolve(NAME).manager.handlers]


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_loading_and_making_it_touches_nothing() -> None:
    """slack_sdk, threads, logging, signals and warnings: all as they were before."""
    code = f"""
import logging, signal, sys, threading, warnings
import chain_callbacks, chain_callbacks.resolution.settings_model
def state():
    signals = [signal.getsignal(number) for number in signal.valid_signals()]
    root, own = logging.getLogger(), logging.getLogger("chain_callbacks")
    loggers = [(each.level, each.handlers, each.propagate) for each in (root, own)]
    return signals, loggers, threading.enumerate(), [*warnings.filters]
before = state()
import chain_callbacks_slack as plugin
plugin.SlackHandler(plugin.SlackSettings(webhook_url={WEBHOOK!r}))
assert before == state()
print("slack_sdk" in sys.modules)
"""
    assert run(code) == "False\n"


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_readme_has_examples() -> None:
    """The examples are found, so that the next test tries them."""
    assert EXAMPLES


@pytest.mark.parametrize("code", EXAMPLES)
def test_readme_example_runs(code: str) -> None:
    """What the README shows works as it stands."""
    run(code)
