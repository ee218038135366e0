"""The slack plugin as it is installed: wheels, environment variables and the real slack-sdk."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.wheels

APPLICATION = """
from contextlib import suppress
from chain_callbacks.runnables import RunnableLambda

def fails(number):
    raise LookupError(f"c4n4ry {number}")

chain = RunnableLambda(fails)
for number in range(3):
    with suppress(LookupError):
        chain.invoke(number)
chain.invoke(3)
"""


class StandInSlack(HTTPServer):
    """Takes every message, and keeps its path and body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.received: list[tuple[str, dict[str, Any]]] = []


class _Answers(BaseHTTPRequestHandler):
    server: StandInSlack

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture
def slack() -> Iterator[StandInSlack]:
    with StandInSlack() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_failing_chain_delivers_one_message_and_one_digest(
    clean_python: Path, slack: StandInSlack, tmp_path: Path
) -> None:
    """Two variables bring equal errors to Slack: the first, and at the end how many more.

    The program ends as it would without us.
    """
    application = tmp_path / "app.py"
    application.write_text(APPLICATION, encoding="utf-8")
    webhook = f"http://127.0.0.1:{slack.server_port}/services/T000/B000/XXXX"
    settings = {"CHAIN_CALLBACKS": "slack", "CHAIN_CALLBACKS_SLACK__WEBHOOK_URL": webhook}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [clean_python, application],
        env={**inherited, "NO_PROXY": "127.0.0.1", **settings},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stderr.startswith("Traceback (most recent call last):\n"), ended.stderr
    assert ended.stderr.endswith("LookupError: c4n4ry 3\n"), ended.stderr
    assert (ended.stdout, ended.returncode) == ("", 1)
    assert [path for path, _ in slack.received] == ["/services/T000/B000/XXXX"] * 2
    first, digest = (body["text"] for _, body in slack.received)
    assert "failed with `LookupError`" in first
    assert digest.startswith("3 more runs failed like ")
    assert "c4n4ry" not in json.dumps(slack.received)
