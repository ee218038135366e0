"""The document that this project grew from runs here with only its import lines changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chain_callbacks.testing import ModelServer

REFERENCE = Path(__file__).parent / "reference"
_MESSAGE_ID = re.compile(r"run-[0-9a-f-]{36}-0")


def normalised(text: str) -> str:
    """Return *text* with the ids of messages, which are new each time, taken out."""
    return _MESSAGE_ID.sub("run-ID-0", text)


def run(program: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        cwd=REFERENCE,
        encoding="utf-8",
        env={**os.environ, **variables},
        timeout=60,
    )
    return done.stdout


def test_example_of_the_document_prints_its_lines_in_its_order():
    """What the document shows is what is printed, once the ids of messages are normalised."""
    printed = run((REFERENCE / "example.py").read_text("utf-8"))

    assert normalised((REFERENCE / "output.txt").read_text("utf-8")) == normalised(printed)


def test_example_returns_what_the_document_shows():
    """The result is the document's message."""
    program = (REFERENCE / "example.py").read_text("utf-8")
    last = 'chain.invoke({"number": "2"}, config={"callbacks": callbacks})'

    printed = run(program.replace(last, f"callbacks.clear()\nprint(repr({last}))"))

    assert normalised((REFERENCE / "result.txt").read_text("utf-8")) == normalised(printed)


@pytest.mark.parametrize(
    ("vendor", "name", "path"),
    [("anthropic", "ChatAnthropic", ""), ("openai", "ChatOpenAI", "/v1")],
)
def test_example_prints_its_lines_through_the_client_of_a_vendor(vendor, name, path):
    """One import line is another; what a server answers is told in the same lines."""
    package = f"chain_callbacks_{vendor}"
    pytest.importorskip(package, reason=f"chain-callbacks-{vendor} is not installed here")
    program = (REFERENCE / "example.py").read_text("utf-8")
    embedded = "from embedded import ChatAnthropic"
    assert embedded in program

    with ModelServer() as server:
        printed = run(
            program.replace(embedded, f"from {package} import {name} as ChatAnthropic"),
            **{
                f"{vendor.upper()}_API_KEY": "none",
                f"{vendor.upper()}_BASE_URL": f"{server.url}{path}",
            },
        )

    shown = (REFERENCE / "output.txt").read_text("utf-8")
    # What follows in a line is the vendor's: its own metadata, and ids.
    assert [re.split(",? response_metadata=", line)[0] for line in shown.splitlines()] == [
        re.split(",? response_metadata=", line)[0] for line in printed.splitlines()
    ]


def test_handler_of_the_constructor_runs_in_addition_and_both_hear_everything_once():
    """Attached already and passed in: each line of the document comes once from each handler."""
    program = (REFERENCE / "example.py").read_text("utf-8")
    last = 'chain.invoke({"number": "2"}, config={"callbacks": callbacks})'
    both = (
        "from chain_callbacks.runnables import RunnableSequence\n"
        "chain = RunnableSequence(prompt, llm, callbacks=[LoggingHandler()])\n"
    )

    printed = run(program.replace(last, both + last))

    expected = normalised((REFERENCE / "output.txt").read_text("utf-8")).splitlines()
    assert [line for line in expected for _ in range(2)] == normalised(printed).splitlines()
