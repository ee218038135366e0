"""A server on loopback that answers as a test says: for clients of services, as they really are."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, Self

_LONGEST: Final = 30.0
"""Seconds that an answer waits for its event; a test that forgot to set it ends all the same."""


class Received(NamedTuple):
    """A request: its *path*, its *headers* in lower case, and its *body*, read as JSON."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    r"""One answer.

    Attributes:
        body: Sent as JSON; text as it is.
        status: The HTTP status.
        headers: Sent too; ``content-type`` in the place of the usual one.
        events: Sent one by one as server-sent events, in the place of *body*: a dict as JSON, with
            its ``type`` as the event's name, text as it is. A ``threading.Event`` among them is
            waited for.
        is_cut: Whether the connection is closed before the answer is complete.
        until: Waited for before anything is sent.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Any] | None = None
    is_cut: bool = False
    until: threading.Event | None = None


class ScriptedServer(ThreadingHTTPServer):
    """Answers requests with *replies*, in their order; what is asked after the last one fails.

    It listens on a free port of 127.0.0.1 from ``with`` to its end::

        with ScriptedServer(Reply({"answer": 42})) as server:
            client = Client(base_url=server.url)

    Attributes:
        url: Where it is, ``http://127.0.0.1:PORT``.
        received: What was asked, in order.
        asked: Set with the first request.
        left: Set when a client closed its connection before it had its answer.
    """

    daemon_threads = True

    def __init__(self, *replies: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.received: list[Received] = []
        self.asked, self.left = threading.Event(), threading.Event()
        self._replies = deque(replies)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, name="scripted-server"
        )

    def will(self, *replies: Reply) -> Self:
        """Answer with *replies* after those that are left; return this server."""
        self._replies.extend(replies)
        return self

    def reply_to(self, request: Received) -> Reply:
        """Return what a request is answered with; a subclass may decide by the request."""
        try:
            return self._replies.popleft()
        except IndexError:
            return Reply({"error": "The script has no reply left."}, status=410)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note that a client went away; what is wrong here otherwise fails the test by itself."""
        self.left.set()


class _Answers(BaseHTTPRequestHandler):
    # A server's handlers are made by it, and by no other.
    server: ScriptedServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    # Small pieces are sent as they are made.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode(errors="replace")
        request = Received(self.path, headers, body)
        reply = self.server.reply_to(request)
        self.server.received.append(request)
        self.server.asked.set()
        if reply.until is not None:
            reply.until.wait(_LONGEST)
        self.send_response(reply.status)
        if reply.events is None:
            self._send_whole(reply)
        else:
            self._send_events(reply, reply.events)
        if reply.is_cut:
            self.close_connection = True

    def _send_whole(self, reply: Reply) -> None:
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        body = text.encode()
        more = {"content-type": "application/json", **reply.headers}
        self._send_headers({**more, "content-length": str(len(body) + reply.is_cut)})
        self.wfile.write(body)

    def _send_events(self, reply: Reply, events: Iterable[Any]) -> None:
        more = {"content-type": "text/event-stream", **reply.headers}
        self._send_headers({**more, "transfer-encoding": "chunked"})
        for event in events:
            if isinstance(event, threading.Event):
                event.wait(_LONGEST)
                continue
            data = _event_text(event).encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if not reply.is_cut:
            self.wfile.write(b"0\r\n\r\n")

    def _send_headers(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Print nothing: a test's output is its own."""


def _event_text(event: Any) -> str:
    if isinstance(event, str):
        return event
    kind = event.get("type")
    name = f"event: {kind}\n" if isinstance(kind, str) else ""
    return f"{name}data: {json.dumps(event)}\n\n"
