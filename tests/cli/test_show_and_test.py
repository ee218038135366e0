"""``chain-callbacks show`` and ``chain-callbacks test``."""

from __future__ import annotations

import json

from chain_callbacks import register
from chain_callbacks.cli import main

NEEDY = (
    "from pydantic import Field, SecretStr\n"
    "from chain_callbacks import BaseCallbackHandler, HandlerSettings\n"
    "class Settings(HandlerSettings):\n"
    "    token: SecretStr = Field(description='What it signs in with.')\n"
    "    retries: int = 1\n"
    "    channel: str | None = None\n"
    "class Handler(BaseCallbackHandler):\n"
    "    settings_model = Settings\n"
    "    sends_to = 'Acme'\n"
    "    def __init__(self, settings):\n"
    "        raise RuntimeError('made')\n"
    "    def on_chain_error(self, error, **kwargs):\n"
    "        pass\n"
)


def test_show_has_the_settings_and_masks_their_values(capsys, fake_distribution, monkeypatch, site):
    """Each setting has its variable and what sets it; a secret's value is never shown."""
    fake_distribution("acme-handlers", "2.0", {"acme": "needy:Handler"}, {"needy.py": NEEDY})
    monkeypatch.setenv("CHAIN_CALLBACKS_ACME__TOKEN", "canary-token")
    monkeypatch.setenv("CHAIN_CALLBACKS_ACME__CHANNEL", "canary-channel")
    monkeypatch.setenv("CHAIN_CALLBACKS_ACME__RETRIES", "7")
    monkeypatch.setenv("CHAIN_CALLBACKS_ACME__ONLY", "roots")

    assert main(["show", "acme"]) == 0

    assert capsys.readouterr().out == (
        "acme\n"
        "  from      acme-handlers 2.0\n"
        f"  in        {site}\n"
        "  entry     needy:Handler\n"
        "  sends to  Acme\n"
        "  events    on_chain_error\n"
        "\n"
        "setting                              type        default     set by       value\n"
        "CHAIN_CALLBACKS_ACME__TOKEN          SecretStr   (required)  environment  ********\n"
        "CHAIN_CALLBACKS_ACME__RETRIES        int         1           environment  7\n"
        "CHAIN_CALLBACKS_ACME__CHANNEL        str | None  None        environment  ********\n"
        "CHAIN_CALLBACKS_ACME__ONLY           policy      -           environment  roots\n"
        "CHAIN_CALLBACKS_ACME__TAGS           policy      -           -            -\n"
        "CHAIN_CALLBACKS_ACME__CONTENT        policy      redacted    -            -\n"
        "CHAIN_CALLBACKS_ACME__DELIVERY       policy      inline      -            -\n"
        "CHAIN_CALLBACKS_ACME__ON_ERROR       policy      log         -            -\n"
        "CHAIN_CALLBACKS_ACME__WHEN_FULL      policy      drop        -            -\n"
        "CHAIN_CALLBACKS_ACME__QUEUE_RECORDS  policy      10000       -            -\n"
        "CHAIN_CALLBACKS_ACME__QUEUE_BYTES    policy      67108864    -            -\n"
    )


def test_show_as_json_has_the_documented_schema(capsys, fake_distribution, site):
    """The object that machines read has these keys."""
    fake_distribution("acme-handlers", "2.0", {"acme": "needy:Handler"}, {"needy.py": NEEDY})

    assert main(["show", "acme", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert {key: value for key, value in shown.items() if key != "settings"} == {
        "name": "acme",
        "distribution": "acme-handlers",
        "version": "2.0",
        "location": str(site),
        "value": "needy:Handler",
        "sends_to": "Acme",
        "events": ["on_chain_error"],
        "instances": [],
    }
    assert shown["settings"][0] == {
        "name": "token",
        "kind": "SecretStr",
        "default": None,
        "description": "What it signs in with.",
        "variable": "CHAIN_CALLBACKS_ACME__TOKEN",
        "is_required": True,
        "is_secret": True,
        "set_by": None,
        "value": None,
    }


def test_show_of_an_unknown_handler_is_one_sentence(capsys):
    """There is nothing to show of what is not there, and the exit code is 2."""
    assert main(["show", "consle"]) == 2

    assert capsys.readouterr().err == (
        "chain-callbacks: No handler is called 'consle'; chain-callbacks show asks for it. "
        "Did you mean 'console'? Installed: 'console', 'structlog'.\n"
    )


def test_show_of_a_handler_whose_settings_cannot_be_read_is_one_sentence(capsys, fake_distribution):
    """A model that is not there is said, and the exit code is 2."""
    module = "class Handler:\n    settings_model = 'nowhere:Settings'\n    on_text = print\n"
    fake_distribution("acme-handlers", "2.0", {"acme": "lost:Handler"}, {"lost.py": module})

    assert main(["show", "acme"]) == 2

    assert "ModuleNotFoundError: No module named 'nowhere'" in capsys.readouterr().err


def test_test_sends_one_marked_failing_run(capsys):
    """A handler that listens to errors is told of one, in a run that is marked as a test."""
    told = []

    class Handler:
        def on_chain_error(self, error, *, name, tags, status, **kwargs):
            told.append((name, tags, status, str(error)))

    register("mine", Handler)

    assert main(["test", "mine"]) == 0

    assert capsys.readouterr().out == "mine was told of on_chain_error and reported no failure.\n"
    assert told == [
        (
            "chain-callbacks test",
            ["chain-callbacks:test"],
            "error",
            "This is a test of a handler; nothing failed.",
        )
    ]


def test_test_reports_a_handler_that_fails(capsys):
    """What the handler raises is said, and the exit code is 1."""

    class Handler:
        def on_chain_end(self, outputs, **kwargs):
            raise ConnectionError

    register("mine", Handler)

    assert main(["test", "mine", "--json"]) == 1

    assert json.loads(capsys.readouterr().out) == {
        "name": "mine",
        "delivered": False,
        "events": ["on_chain_end"],
        "problems": [
            (
                "The handler test_test_reports_a_handler_that_fails.<locals>.Handler failed in "
                "on_chain_end with ConnectionError. The run goes on; more failures of this handler "
                "are counted, not logged."
            )
        ],
    }


def test_test_of_a_handler_that_cannot_be_made_says_why(capsys, fake_distribution):
    """The cause is on stdout, and the exit code is 1."""
    fake_distribution("acme-handlers", "2.0", {"acme": "needy:Handler"}, {"needy.py": NEEDY})

    assert main(["test", "acme"]) == 1

    assert capsys.readouterr().out == (
        "acme: CHAIN_CALLBACKS_ACME__TOKEN is not set. chain-callbacks test asks for it. "
        "Set what is missing, or take the name out.\n"
    )
