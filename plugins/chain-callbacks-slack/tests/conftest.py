"""A stand-in for Slack on loopback, which the real slack-sdk talks to."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import pytest


class Received(NamedTuple):
    path: str
    authorization: str | None
    body: dict[str, Any]


class StandInSlack(ThreadingHTTPServer):
    """Answers as *replies* say, (status, headers, body) each, then as Slack does when all is well.

    It keeps what it *received*. While *answers* is clear, it does not answer.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Answers)
        self.received: list[Received] = []
        self.replies: deque[tuple[int, dict[str, str], str]] = deque()
        self.asked, self.answers = threading.Event(), threading.Event()
        self.answers.set()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that waited long enough has gone."""

    @property
    def texts(self) -> list[str]:
        """The notifications' texts of what was received, in order."""
        return [each.body["text"] for each in self.received]


class _Answers(BaseHTTPRequestHandler):
    server: StandInSlack

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "json" in self.headers["Content-Type"]:
            body = json.loads(raw)
        else:
            body = {name: values[0] for name, values in parse_qs(raw).items()}
            body["blocks"] = json.loads(body["blocks"])
        self.server.received.append(Received(self.path, self.headers["Authorization"], body))
        self.server.asked.set()
        if not self.server.answers.wait(30):
            return
        well = (200, {}, '{"ok": true}' if self.path.startswith("/api/") else "ok")
        status, headers, text = self.server.replies.popleft() if self.server.replies else well
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("CHAIN_CALLBACKS")]:
        monkeypatch.delenv(name)


@contextmanager
def serving(server: StandInSlack) -> Iterator[StandInSlack]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def start_slack() -> Iterator[Callable[..., StandInSlack]]:
    """Start a Slack that takes every message, unless told otherwise; on a port, if one is given."""
    with ExitStack() as stack:
        yield lambda port=0: stack.enter_context(serving(StandInSlack(port)))


@pytest.fixture
def slack(start_slack: Callable[..., StandInSlack]) -> StandInSlack:
    """A Slack that takes every message, unless told otherwise."""
    return start_slack()


class Clock:
    """Seconds that pass when a test says so, or when somebody waits for them."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()
