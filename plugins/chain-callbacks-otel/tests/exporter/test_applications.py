"""`OTEL_TRACES_EXPORTER=chain_callbacks opentelemetry-instrument`, in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "applications"
INSTRUMENT = shutil.which("opentelemetry-instrument", path=Path(sys.executable).parent)

pytestmark = pytest.mark.skipif(INSTRUMENT is None, reason="opentelemetry-distro is not installed")
needs_pydantic_ai = pytest.mark.skipif(
    importlib.util.find_spec("pydantic_ai") is None, reason="pydantic-ai is not installed"
)

# What an operator's file names. It writes what it heard when it is closed, at the very end.
WITNESS = """
import os
from chain_callbacks.testing import RecordingHandler

class Witness(RecordingHandler):
    delivery = "queued"

    def close(self):
        lines = [*self.trees(), *self.problems()]
        with open(os.environ["WITNESS"], "a", encoding="utf-8") as file:
            file.write("".join(line + "\\n" for line in lines))
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    assert INSTRUMENT is not None
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "OTEL_", "PYTEST", "PYTHON"))
    }
    ways = {
        "OTEL_TRACES_EXPORTER": "chain_callbacks",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    done = subprocess.run(
        [INSTRUMENT, sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**outside, **ways, **variables},
    )
    assert 0 == done.returncode, done.stderr
    return done


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stderr.splitlines()]


@needs_pydantic_ai
def test_application_without_code_of_ours_is_heard():
    """Its agent, its model's calls and its tool's are runs of one tree, with the tokens used."""
    done = run(str(FOLDER / "forecast.py"), CHAIN_CALLBACKS="structlog")
    told = lines(done)
    agent = told[0]["run_id"]

    assert '{"weather":"rain in a"}\n' == done.stdout
    assert [
        ("chain_start", "forecaster", None),
        ("chat_model_start", "test", agent),
        ("llm_end", "test", agent),
        ("tool_start", "weather", agent),
        ("tool_end", "weather", agent),
        ("chat_model_start", "test", agent),
        ("llm_end", "test", agent),
        ("chain_end", "forecaster", None),
    ] == [(each["event"], each["run_name"], each.get("parent_run_id")) for each in told]
    used = [
        (each["input_tokens"], each["output_tokens"]) for each in told if "input_tokens" in each
    ]
    assert [(53, 5), (56, 11)] == used


@needs_pydantic_ai
def test_streams_and_failures_of_an_application():
    """A stream is one run of its model; what a tool raised is told where it began."""
    done = run(str(FOLDER / "trouble.py"), CHAIN_CALLBACKS="structlog")
    told = lines(done)
    (origin,) = [each for each in told if each["event"] == "tool_error"]
    above = [each for each in told if each["event"] == "chain_error"]

    assert "no sight of a" in done.stdout
    assert ["chain_start", "chat_model_start", "llm_end", "chain_end"] == [
        each["event"] for each in told[:4]
    ]
    assert ("TimeoutError", "look") == (origin["error"], origin["run_name"])
    assert [origin["error_id"]] == [each["error_id"] for each in above]
    assert ["broken > look"] == [each["origin"] for each in above]


@needs_pydantic_ai
def test_handlers_are_closed_after_the_last_batch(tmp_path):
    """Spans wait for seconds in OpenTelemetry, and a short program ends before: nothing is lost."""
    (tmp_path / "witness.py").write_text(WITNESS, "utf-8")
    (tmp_path / "handlers.toml").write_text(
        '[handlers.witness]\nclass = "witness:Witness"\n', "utf-8"
    )
    run(
        str(FOLDER / "forecast.py"),
        CHAIN_CALLBACKS="witness",
        CHAIN_CALLBACKS_CONFIG=str(tmp_path / "handlers.toml"),
        PYTHONPATH=str(tmp_path),
        WITNESS=str(tmp_path / "heard"),
    )

    assert "chain forecaster\n  chat_model test\n  tool weather\n  chat_model test\n" == (
        tmp_path / "heard"
    ).read_text("utf-8")


def test_program_without_a_handler_goes_on():
    """The exporter alone says nothing and changes nothing."""
    done = run("-c", "print('here')")

    assert ("here\n", "") == (done.stdout, done.stderr)
