"""The otel plugin as it is installed: wheels, variables and a collector on loopback."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheels

APPLICATION = """
from chain_callbacks.runnables import FakeListChatModel
FakeListChatModel(["c4n4ry"]).with_config(run_name="asks").invoke("c4n4ry")
print("done")
"""


class Collector(HTTPServer):
    """Takes whatever is sent, and keeps its path and body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.received: dict[str, bytes] = {}


class _Answers(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received[self.path] = self.server.received.get(self.path, b"") + body
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_two_variables_send_spans_and_metrics_to_a_collector(
    clean_python: Path, collector: Collector, tmp_path: Path
) -> None:
    """The standard variable says where, ours says that; the prompt and the answer stay here."""
    application = tmp_path / "app.py"
    application.write_text(APPLICATION, encoding="utf-8")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not name.startswith("OTEL")
    }
    settings = {
        "CHAIN_CALLBACKS": "otel",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    ended = subprocess.run(
        [clean_python, application],
        env={**inherited, "NO_PROXY": "127.0.0.1", **settings},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ("done\n", "", 0) == (ended.stdout, ended.stderr, ended.returncode)
    assert {"/v1/traces", "/v1/metrics"} == set(collector.received)
    assert b"gen_ai.operation.name" in collector.received["/v1/traces"]
    assert b"gen_ai.client.operation.duration" in collector.received["/v1/metrics"]
    assert b"c4n4ry" not in b"".join(collector.received.values())
