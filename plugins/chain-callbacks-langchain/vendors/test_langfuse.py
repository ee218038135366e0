"""Langfuse's handler, named in the operator's file and driven by a native chain.

Its own exporter sends to a loopback server, and what arrives there is decoded.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import native
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    """Takes whatever is sent, and keeps the spans of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.spans: list[Any] = []


class _Answers(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path.endswith("/v1/traces"):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.server.spans.extend(scope.spans)
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

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


def test_langfuse_exports_a_whole_tree_with_names_and_counts(
    collector: Collector, tmp_path: Path
) -> None:
    """A name in the environment; each run is an observation under its parent's."""
    config = tmp_path / "handlers.toml"
    config.write_text(
        '[handlers.langfuse]\nclass = "langfuse.langchain:CallbackHandler"\n', "utf-8"
    )
    url = f"http://127.0.0.1:{collector.server_port}"
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("CHAIN", "LANG"))}

    done = subprocess.run(
        [sys.executable, "-c", "import native; native.run()"],
        cwd=Path(__file__).parent,
        env={
            **outside,
            "CHAIN_CALLBACKS": "langfuse",
            "CHAIN_CALLBACKS_CONFIG": str(config),
            "LANGFUSE_PUBLIC_KEY": "pk-lf-test",
            "LANGFUSE_SECRET_KEY": "sk-lf-test",
            "LANGFUSE_BASE_URL": url,
            "LANGFUSE_HOST": url,
        },
        check=False,
        capture_output=True,
        text=True,
    )

    assert (0, "") == (done.returncode, done.stderr)
    spans = {span.span_id: span for span in collector.spans}
    attributes = {
        span.span_id: {each.key: each.value.string_value for each in span.attributes}
        for span in collector.spans
    }

    def path(span: Any) -> str:
        above = spans.get(span.parent_span_id)
        return f"{path(above)} > {span.name}" if above is not None else span.name

    by_path = {path(span): attributes[span.span_id] for span in collector.spans}
    assert sorted(native.TREE) == sorted(by_path)
    model = by_path["RunnableSequence > model"]
    assert "generation" == model["langfuse.observation.type"]
    assert "bee-1" == model["langfuse.observation.model.name"]
    usage = json.loads(model["langfuse.observation.usage_details"])
    assert native.PROMPT_TOKENS == usage["input"]
    assert native.COMPLETION_TOKENS == usage["output"]
    assert "It makes honey." in model["langfuse.observation.output"]
    assert "All about bee." in model["langfuse.observation.input"]
    assert "ERROR" == by_path["failing"]["langfuse.observation.level"]
