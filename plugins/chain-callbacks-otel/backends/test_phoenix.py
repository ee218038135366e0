"""What the handler `otel` sends is read back from a real Arize Phoenix: `nox -s phoenix`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

PHOENIX = Path(sys.executable).with_name("phoenix")
AGENT = Path(__file__).with_name("agent.py")
SPANS = 8
PATIENCE = 120.0

pytestmark = pytest.mark.skipif(not PHOENIX.exists(), reason="arize-phoenix is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Phoenix of this test's own, with an empty database."""
    folder, port = tmp_path_factory.mktemp("phoenix"), free_port()
    server = subprocess.Popen(
        [PHOENIX, "serve"],
        env={
            **os.environ,
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(line)
            if f":{port}" in line and "Uvicorn running" in line:
                break
        else:
            pytest.fail("".join(said))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate()


def run_agent(address: str, project: str, **variables: str) -> str:
    """Run the agents with the handler `otel`; return the trees that a recorder heard."""
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "OTEL_", "PYTEST"))
    }
    return subprocess.run(
        [sys.executable, AGENT],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **outside,
            "CHAIN_CALLBACKS": "otel",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_RESOURCE_ATTRIBUTES": f"openinference.project.name={project}",
            **variables,
        },
    ).stdout


def read_back(address: str, project: str) -> list[dict[str, Any]]:
    """Return the spans that Phoenix has of a project, in the order of their starts."""
    end = time.monotonic() + PATIENCE
    found: list[dict[str, Any]] = []
    while len(found) < SPANS:
        assert time.monotonic() < end, f"{len(found)} spans came"
        # It says yes to what it was sent before it has written it down, and has no event for that.
        time.sleep(0.2)
        try:
            with urlopen(f"{address}/v1/projects/{project}/spans?limit=100") as response:
                found = json.load(response)["data"]
        except OSError:
            found = []  # There is no project before its first span.
    return sorted(found, key=lambda span: str(span["start_time"]))


def tree(spans: list[dict[str, Any]]) -> str:
    """Return the trees of *spans*, in the recorder's words as far as Phoenix has them."""
    parents = {span["context"]["span_id"]: span["parent_id"] for span in spans}
    below: dict[str | None, list[dict[str, Any]]] = {}
    for span in spans:
        below.setdefault(span["parent_id"], []).append(span)
    lines = []
    waiting = [*reversed(below.get(None, []))]
    while waiting:
        span = waiting.pop()
        depth, parent = 0, span["parent_id"]
        while parent is not None:
            depth, parent = depth + 1, parents[parent]
        failed = " error" if span["status_code"] == "ERROR" else ""
        lines.append(f"{'  ' * depth}{span['span_kind']}{failed}")
        key = "chain_callbacks.run.tags"
        waiting += sorted(
            below.get(span["context"]["span_id"], []),
            key=lambda each: (each["start_time"], each["attributes"].get(key, ())),
            reverse=True,
        )
    return "\n".join(lines)


HEARD = """\
chain agent action=2 finish=1
  chat_model FakeToolCallingChatModel
  tool add [tool:call:1]
  tool add [tool:call:2]
  chat_model FakeToolCallingChatModel
chain agent error ValueError action=1
  chat_model FakeToolCallingChatModel
  tool add [tool:call:1] error ValueError
"""
SHOWN = """\
AGENT
  LLM
  TOOL
  TOOL
  LLM
AGENT error
  LLM
  TOOL error"""


@pytest.mark.parametrize("conventions", ["genai", "genai,openinference"])
def test_trees_kinds_and_counts_are_there(phoenix, conventions):
    """Phoenix shows the recorder's trees, as agents, models and tools, with the tokens used."""
    project = conventions.replace(",", "-")
    heard = run_agent(phoenix, project, CHAIN_CALLBACKS_OTEL__CONVENTIONS=conventions)
    spans = read_back(phoenix, project)
    counts = [
        (
            span["attributes"]["llm.token_count.prompt"],
            span["attributes"]["llm.token_count.completion"],
        )
        for span in spans
        if span["span_kind"] == "LLM"
    ]

    assert HEARD == heard
    assert SHOWN == tree(spans)
    assert [(11, 7)] * 3 == counts


def test_content_is_there_where_it_is_asked_for(phoenix):
    """The question and the answer are where Phoenix shows them."""
    run_agent(
        phoenix,
        "content",
        CHAIN_CALLBACKS_OTEL__CONVENTIONS="genai,openinference",
        CHAIN_CALLBACKS_OTEL__CONTENT="full",
    )
    first = next(each for each in read_back(phoenix, "content") if each["span_kind"] == "AGENT")

    assert "1 + 1, 2 + 1?" == first["attributes"]["input.value"]
    assert "2 and 3" in first["attributes"]["output.value"]


def test_content_is_not_there_where_it_is_not(phoenix):
    """As it comes, no text of a message reaches Phoenix."""
    run_agent(phoenix, "as-it-comes")
    spans = read_back(phoenix, "as-it-comes")

    assert SPANS == len(spans)
    assert "1 + 1" not in json.dumps(spans)
    assert "no such number" not in json.dumps(spans)
