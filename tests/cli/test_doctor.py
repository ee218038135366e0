"""``chain-callbacks doctor``: one fixture for each cause, each named right."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

import pytest

from chain_callbacks import register
from chain_callbacks.cli import main
from chain_callbacks.runnables import RunnableLambda

GOOD = "class Handler:\n    def on_chain_start(self, serialized, inputs, **kwargs):\n        pass\n"
NEEDY = (
    "from pydantic import SecretStr\n"
    "from chain_callbacks import BaseCallbackHandler, HandlerSettings\n"
    "class Settings(HandlerSettings):\n"
    "    token: SecretStr\n"
    "    retries: int = 1\n"
    "class Handler(BaseCallbackHandler):\n"
    "    settings_model = Settings\n"
    "    def __init__(self, settings):\n"
    "        self.settings = settings\n"
)
HOOKS = (
    "from chain_callbacks import hookimpl\n"
    "@hookimpl\n"
    "def chain_callbacks_resolved(resolution):\n"
    "    {body}\n"
)


class Case(NamedTuple):
    """A configuration that does not do what was meant, and what doctor says of it."""

    says: str
    environment: dict[str, str]
    subject: str
    cause: str
    remedy: str
    module: str | None = None
    """The source of the module of a distribution `acme-handlers`, which offers `acme`."""
    value: str = "acme_handlers:Handler"
    requires: tuple[str, ...] = ()
    status: str = "problem"


CASES = [
    Case(
        "a misspelt name",
        {"CHAIN_CALLBACKS": "strcutlog"},
        "strcutlog",
        "no handler with that name",
        "Did you mean 'structlog'? Installed: 'console', 'structlog'.",
    ),
    Case(
        "a name like nothing installed",
        {"CHAIN_CALLBACKS": "zzz"},
        "zzz",
        "no handler with that name",
        "Installed: 'console', 'structlog'.",
    ),
    Case(
        "a handler of this project that is not installed",
        {"CHAIN_CALLBACKS": "slack"},
        "slack",
        "not installed",
        "Install it: pip install chain-callbacks-slack",
    ),
    Case(
        "not a name",
        {"CHAIN_CALLBACKS": "console,a b"},
        "a b",
        "not a handler name",
        "Write entry 2 of CHAIN_CALLBACKS in letters and digits, joined by '-' or '_', such as "
        "'slack', 'slack:audit', '-slack' or 'none'.",
    ),
    Case(
        "an instance that nobody configured",
        {"CHAIN_CALLBACKS": "console:audit"},
        "console:audit",
        "the instance is not configured",
        "Set one of its settings, CHAIN_CALLBACKS_CONSOLE__AUDIT__<FIELD>.",
    ),
    Case(
        "a denied handler",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_DENY": "console"},
        "console",
        "CHAIN_CALLBACKS_DENY forbids it",
        "Remove the name, or change the rule.",
    ),
    Case(
        "a handler that is not allowed",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_ALLOW": "structlog"},
        "console",
        "CHAIN_CALLBACKS_ALLOW forbids it",
        "Remove the name, or change the rule.",
    ),
    Case(
        "everything is off",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_DISABLED": "1"},
        "CHAIN_CALLBACKS_DISABLED",
        "nothing is attached to any run, handler objects included",
        "unset CHAIN_CALLBACKS_DISABLED",
        status="warning",
    ),
    Case(
        "nothing is named",
        {},
        "CHAIN_CALLBACKS",
        "no handler is named",
        "set CHAIN_CALLBACKS=structlog",
        status="note",
    ),
    Case(
        "a misspelt variable of the framework",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_STRIKT": "1"},
        "CHAIN_CALLBACKS_STRIKT",
        "chain-callbacks has no such setting. Did you mean 'CHAIN_CALLBACKS_STRICT'?",
        "Correct or unset it.",
    ),
    Case(
        "a setting of a handler that does not exist",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_CONSOEL__CONTENT": "1"},
        "CHAIN_CALLBACKS_CONSOEL__CONTENT",
        "a setting of 'consoel', but there is no handler with that name",
        "Did you mean 'console'?",
        status="warning",
    ),
    Case(
        "a framework setting with a wrong value",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_STRICT": "perhaps"},
        "CHAIN_CALLBACKS_STRICT",
        "it must be 1 or 0 (true or false, yes or no, on or off)",
        "Correct or unset it.",
    ),
    Case(
        "a configuration file that is not there",
        {"CHAIN_CALLBACKS_CONFIG": "/nowhere/handlers.toml"},
        "/nowhere/handlers.toml",
        "it cannot be read (No such file or directory)",
        "No run starts until it is corrected.",
    ),
    Case(
        "a handler whose import fails",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "ImportError: no driver",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="raise ImportError('no driver')",
    ),
    Case(
        "a handler whose source is wrong",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "SyntaxError: invalid syntax (acme_handlers.py, line 1)",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="class = 1",
    ),
    Case(
        "a handler whose module ends the process",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "SystemExit: 3",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="raise SystemExit(3)",
    ),
    Case(
        "a handler whose import does not end",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "importing it did not end within 0.5 s",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="import threading\nthreading.Event().wait()",
    ),
    Case(
        "a handler whose module ends the interpreter",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "importing it ended the interpreter with code 7",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="import os\nos._exit(7)",
    ),
    Case(
        "a handler whose module kills the interpreter",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "importing it ended the interpreter by signal 9",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    ),
    Case(
        "a handler whose exception has no text",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "Mute",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="class Mute(Exception):\n    def __str__(self):\n        1 / 0\nraise Mute",
    ),
    Case(
        "an entry point to nothing",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "AttributeError: module 'acme_handlers' has no attribute 'Handler'",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="",
    ),
    Case(
        "a factory that raises",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "making it raised ZeroDivisionError",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="def Handler():\n    1 / 0",
    ),
    Case(
        "something that is not a handler",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "it returns an object of type int, not one with methods of the event table, such as "
        "on_chain_start",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="def Handler():\n    return 1",
    ),
    Case(
        "a method that cannot take its event",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "Handler.on_chain_start cannot be called: it takes 0 arguments and the event brings 2. "
        "Give it the event's arguments and end its signature with **kwargs.",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="class Handler:\n    def on_chain_start(self):\n        pass",
    ),
    Case(
        "a handler made for another version",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "it needs chain-callbacks>=9, and this is 0.1.0",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module="raise RuntimeError('imported')",
        requires=("chain-callbacks>=9",),
    ),
    Case(
        "a missing credential",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "CHAIN_CALLBACKS_ACME__TOKEN is not set",
        "Correct the settings, or remove the name from CHAIN_CALLBACKS.",
        module=NEEDY,
    ),
    Case(
        "a setting with a wrong value",
        {
            "CHAIN_CALLBACKS": "acme",
            "CHAIN_CALLBACKS_ACME__TOKEN": "canary",
            "CHAIN_CALLBACKS_ACME__RETRIES": "many",
        },
        "acme",
        "CHAIN_CALLBACKS_ACME__RETRIES is wrong: input should be a valid integer, unable to parse "
        "string as an integer",
        "Correct the settings, or remove the name from CHAIN_CALLBACKS.",
        module=NEEDY,
    ),
    Case(
        "a policy with a wrong value",
        {"CHAIN_CALLBACKS": "acme", "CHAIN_CALLBACKS_ACME__ONLY": "erors"},
        "CHAIN_CALLBACKS_ACME__ONLY",
        "'erors' is not a value of the policy 'only'",
        "Did you mean 'errors'? Valid: 'all', 'errors', 'roots', 'chain', 'prompt', 'parser', "
        "'llm', 'chat_model', 'tool', 'retriever', 'embeddings'.",
        module=GOOD,
    ),
    Case(
        "a policy plugin that is not installed",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_PLUGINS": "policy"},
        "policy",
        "it is not installed",
        "Fix it, or remove the name: no run starts until then.",
    ),
    Case(
        "a policy plugin that raises",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_PLUGINS": "acme"},
        "acme-handlers:acme_handlers",
        "chain_callbacks_resolved raised ZeroDivisionError: division by zero",
        "Fix it, or remove the name: no run starts until then.",
        module=HOOKS.format(body="1 / 0"),
        value="acme_handlers",
    ),
    Case(
        "a module of hooks named as a handler",
        {"CHAIN_CALLBACKS": "acme"},
        "acme",
        "'acme_handlers' is a module with hooks: list it in CHAIN_CALLBACKS_PLUGINS",
        "Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.",
        module=HOOKS.format(body="pass"),
        value="acme_handlers",
    ),
    Case(
        "a handler that the list takes out again",
        {"CHAIN_CALLBACKS": "console,-console"},
        "console",
        "removed by CHAIN_CALLBACKS",
        "",
        status="note",
    ),
    Case(
        "a handler that a policy plugin takes out",
        {"CHAIN_CALLBACKS": "console", "CHAIN_CALLBACKS_PLUGINS": "acme"},
        "console",
        "removed by the plugin acme-handlers:acme_handlers",
        "",
        module=HOOKS.format(body="resolution.remove('console')"),
        value="acme_handlers",
        status="note",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.says for case in CASES])
def test_doctor_names_the_cause_and_the_remedy(capsys, case, fake_distribution, monkeypatch):
    """The finding has the cause and what to do; the exit code says if it matters."""
    if case.module is not None:
        files = {"acme_handlers.py": case.module}
        fake_distribution(
            "acme-handlers", "2.0", {"acme": case.value}, files, requires=case.requires
        )
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)

    timeout = "0.5" if "does not end" in case.says else "20"
    code = main(["doctor", "--json", "--timeout", timeout])

    findings = json.loads(capsys.readouterr().out)["findings"]
    expected = (case.subject, case.status, case.cause, case.remedy)
    assert expected in [
        (each["subject"], each["status"], each["cause"], each["remedy"]) for each in findings
    ]
    assert code == (1 if case.status == "problem" else 0)
    assert "canary" not in str(findings)


def test_doctor_covers_at_least_twenty_causes():
    """Every cause that was met has a fixture."""
    assert len(CASES) >= 20


def test_doctor_says_that_two_distributions_offer_a_name(capsys, fake_distribution, monkeypatch):
    """Both are named, and what to write."""
    for distribution in ("acme-one", "acme-two"):
        fake_distribution(distribution, "1", {"acme": "nowhere:Handler"})
    monkeypatch.setenv("CHAIN_CALLBACKS", "acme")

    code = main(["doctor", "--json"])

    found = json.loads(capsys.readouterr().out)["findings"][0]
    assert (code, found["cause"], found["remedy"]) == (
        1,
        "offered by acme-one and acme-two",
        "Write 'acme-one/acme', or uninstall one of them.",
    )


def test_doctor_says_that_a_name_belongs_to_another_distribution(
    capsys, fake_distribution, monkeypatch
):
    """A name of this project cannot be taken over, and doctor says by whom it was tried."""
    fake_distribution("evil", "1", {"slack": "evil:Handler"}, {"evil.py": "raise SystemExit"})
    monkeypatch.setenv("CHAIN_CALLBACKS", "slack")

    code = main(["doctor", "--json"])

    found = json.loads(capsys.readouterr().out)["findings"][0]
    assert (code, found["cause"], found["remedy"]) == (
        1,
        "the name belongs to chain-callbacks-slack; others have 'evil/slack'",
        "Install it: pip install chain-callbacks-slack",
    )


def test_doctor_is_a_page_for_people(capsys, fake_distribution, monkeypatch, site):
    """A line for each finding, below it the remedy and where it comes from."""
    fake_distribution("acme-handlers", "2.0", {"acme": "acme_handlers:Handler"})
    monkeypatch.setenv("CHAIN_CALLBACKS", "acme,slack")

    assert main(["doctor"]) == 1

    assert capsys.readouterr().out == (
        "PROBLEM  slack  not installed\n"
        "         -> Install it: pip install chain-callbacks-slack\n"
        "            asked for by CHAIN_CALLBACKS\n"
        "PROBLEM  acme   ModuleNotFoundError: No module named 'acme_handlers'\n"
        "         -> Fix or uninstall the plugin, or remove the name from CHAIN_CALLBACKS.\n"
        f"            asked for by CHAIN_CALLBACKS, from acme-handlers 2.0, in {site}\n"
        "\n"
        "2 things do not work.\n"
    )


@pytest.mark.skipif(os.name != "posix", reason="another system has other permissions")
@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "open_to_others"),
    [
        (0o600, 0o700, None),
        (0o644, 0o755, None),
        (0o664, 0o755, "file"),
        (0o646, 0o755, "file"),
        (0o644, 0o775, "folder"),
        (0o644, 0o757, "folder"),
        (0o644, 0o1777, None),
    ],
)
@pytest.mark.parametrize("variable", ["CHAIN_CALLBACKS_CONFIG", "CHAIN_CALLBACKS_SECRETS_DIR"])
def test_doctor_mentions_files_that_others_may_write(
    capsys, tmp_path, monkeypatch, variable, file_mode, folder_mode, open_to_others
):
    """Who writes the file, or replaces it in its folder, decides where handlers send data."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "given"
    if variable.endswith("CONFIG"):
        path.write_text("", encoding="utf-8")
    else:
        path.mkdir()
    path.chmod(file_mode | (0o111 if path.is_dir() else 0))
    folder.chmod(folder_mode)
    monkeypatch.setenv(variable, str(path))

    code = main(["doctor", "--json"])

    found = [
        (each["status"], each["cause"], each["remedy"])
        for each in json.loads(capsys.readouterr().out)["findings"]
        if each["subject"] == str(path)
    ]
    meant = {"file": path, "folder": folder}.get(open_to_others)
    cause = f"{meant} can be written by other users, who may redirect what handlers send"
    assert (code, found) == (0, [("warning", cause, f"chmod go-w {meant}")] if meant else [])


@pytest.mark.parametrize(
    ("name", "subject"),
    [("a" * 5_000, "a" * 197 + "..."), ("a b " * 5_000, ("a b " * 5_000)[:197] + "...")],
)
def test_a_long_name_is_cut_wherever_it_is_shown(capsys, monkeypatch, caplog, name, subject):
    """By `doctor`, by `explain`, in a warning and in an error, 200 characters of it."""
    monkeypatch.setenv("CHAIN_CALLBACKS", name)
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["subject"] == subject
    for command in (["doctor"], ["explain"], ["explain", "--json"], ["explain", name]):
        main(command)
        shown = capsys.readouterr()
        assert name[:202] not in shown.out + shown.err
        assert name[:190] in shown.out + shown.err
    RunnableLambda(len).invoke("a")
    (warning,) = caplog.messages
    assert (name[:202] in warning, name[:190] in warning) == (False, True)


def test_doctor_exits_0_where_everything_works(capsys, monkeypatch):
    """A healthy configuration says so."""

    class Mine:
        def on_text(self, text, **kwargs):
            pass

    register("mine", Mine)
    monkeypatch.setenv("CHAIN_CALLBACKS", "mine")

    assert main(["doctor"]) == 0

    assert capsys.readouterr().out == (
        "ok  mine  active, hears 1 event\n"
        "            asked for by CHAIN_CALLBACKS\n"
        "\n"
        "Everything that was asked for works.\n"
    )


def test_service_with_a_broken_handler_runs_and_says_it_once(python, fake_distribution):
    """With a broken handler in the environment a program runs, warns once and exits 0."""
    fake_distribution(
        "acme-handlers", "2.0", {"acme": "acme_handlers:Handler"}, {"acme_handlers.py": "1 / 0"}
    )
    program = (
        "from chain_callbacks.runnables import RunnableLambda\n"
        "step = RunnableLambda(lambda value: value + 1)\n"
        "print(step.invoke(1), step.invoke(2))\n"
    )

    done = python("-c", program, CHAIN_CALLBACKS="acme")

    assert (done.returncode, done.stdout) == (0, "2 3\n")
    assert done.stderr.count("ZeroDivisionError: division by zero") == 1
