"""``chain-callbacks show`` and ``chain-callbacks test``."""

from __future__ import annotations

import json

import pytest

from chain_callbacks import BaseCallbackHandler, register
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
                "The handler mine failed in on_chain_end with ConnectionError. The run goes on; "
                "more failures of this handler are counted, not logged."
            )
        ],
    }


def test_test_of_a_handler_that_cannot_be_made_says_why(capsys, fake_distribution):
    """The cause is on stdout, and the exit code is 1."""
    fake_distribution("acme-handlers", "2.0", {"acme": "needy:Handler"}, {"needy.py": NEEDY})

    assert main(["test", "acme"]) == 1

    assert capsys.readouterr().out == (
        "acme: CHAIN_CALLBACKS_ACME__TOKEN is not set. chain-callbacks test asks for it. "
        "Correct the settings, or remove the name from chain-callbacks test.\n"
    )


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("on_llm_end", ["on_llm_end"]),
        ("on_tool_error", ["on_tool_error"]),
        ("on_retriever_start", ["on_retriever_start"]),
        ("on_embeddings_end", ["on_embeddings_end"]),
        ("on_custom_event", ["on_custom_event"]),
        ("on_event", ["on_chain_start", "on_chain_error"]),
    ],
)
def test_test_makes_a_run_that_the_handler_hears(capsys, event, told):
    """Whatever it implements, the run is of a type that tells it of that."""
    heard = []
    kind = type("Handler", (), {event: lambda self, *args, **kwargs: heard.append(event)})
    register("mine", kind)

    assert main(["test", "mine", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["events"] == told
    assert heard == [event] * len(told)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("ONLY", "tool", "its policy, only=tool, lets no event through that it implements"),
        ("", "", "it implements no event that a test run has"),
    ],
)
def test_test_of_a_handler_that_hears_nothing_is_a_problem(
    capsys, monkeypatch, variable, value, reason
):
    """No success is reported where nothing was told; the operator's policy counts."""
    if variable:
        monkeypatch.setenv(f"CHAIN_CALLBACKS_MINE__{variable}", value)
    event = "on_llm_end" if variable else "on_retry"
    register("mine", type("Handler", (), {event: lambda self, *args, **kwargs: None}))

    assert main(["test", "mine"]) == 1

    assert capsys.readouterr().out == f"mine: It was told of nothing: {reason}.\n"


def test_test_carries_the_tags_that_the_policy_wants(capsys, monkeypatch):
    """A policy that selects runs by a tag lets the test through."""
    monkeypatch.setenv("CHAIN_CALLBACKS_MINE__TAGS", "prod")
    register("mine", type("Handler", (), {"on_chain_end": lambda self, *args, **kwargs: None}))

    assert main(["test", "mine"]) == 0


@pytest.mark.parametrize(
    ("variable", "value"), [("DENY", "mine"), ("ALLOW", "console"), ("DISABLED", "1")]
)
def test_test_sends_nothing_that_the_operator_forbids(capsys, monkeypatch, variable, value):
    """A denied handler is not made, and the exit code is 2."""
    register("mine", lambda: pytest.fail("it was made"))
    monkeypatch.setenv(f"CHAIN_CALLBACKS_{variable}", value)

    assert main(["test", "mine"]) == 2

    assert f"CHAIN_CALLBACKS_{variable} forbids it" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "test"])
@pytest.mark.parametrize("name", ["-console", "none"])
def test_a_removal_names_no_handler(capsys, command, name):
    """What takes something out is refused, and not read as if the minus were not there."""
    assert main([command, "--", name]) == 2

    assert f"{name!r} is not allowed in chain-callbacks {command}" in capsys.readouterr().err


@pytest.mark.parametrize("fails", [False, True])
def test_test_waits_for_a_queue_and_says_what_is_left(capsys, monkeypatch, fails):
    """A handler that is told later has been told when the command ends, or that is said."""
    told = []
    pending = 3 if fails else 0

    class Handler(BaseCallbackHandler):
        delivery = "queued"

        def on_chain_end(self, outputs, **kwargs):
            told.append(outputs)

        def flush(self, timeout):
            return pending

    register("queue", Handler)

    assert main(["test", "queue"]) == int(fails)

    assert told == [{"test": True}]
    said = "queue was told of on_chain_end and reported no failure.\n"
    if fails:
        said = "queue: It did not send everything in time: 3 pending, 0 failed, 0 dropped.\n"
    assert capsys.readouterr().out == said
    pending = 0  # Or the flush of a later test would wait for it.
