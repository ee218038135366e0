"""What arrives at a collector over OTLP, of applications that only the environment switches on.

The collector is oteltap, a real receiver of OTLP over HTTP. What is expected is what a recorder
heard in the same process.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "applications"
TIMEOUT = 60.0

# What an operator's file names: it writes the runs that it heard to a file, when all is over.
WRITING = """
import atexit, json, os
from chain_callbacks.testing import RecordingHandler

class Writing(RecordingHandler):
    def __init__(self):
        super().__init__()
        atexit.register(self.write)

    def write(self):
        runs = [
            {
                "id": str(run.id), "parent": str(run.parent_id) if run.parent_id else None,
                "root": str(run.root_id), "name": run.name, "type": run.run_type,
                "status": run.status, "error": run.error,
            }
            for run in self.runs
        ]
        with open(os.environ["WRITING"], "w", encoding="utf-8") as file:
            json.dump({"runs": runs, "problems": self.problems()}, file)
"""


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


pytestmark = needs("oteltap")


def free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def run(application: str, folder: Path, port: int, variables: dict[str, str]) -> dict[str, Any]:
    """Run the application with nothing but variables; return what the recorder in it heard."""
    (folder / "writing.py").write_text(WRITING, "utf-8")
    config = folder / "handlers.toml"
    config.write_text('[handlers.writing]\nclass = "writing:Writing"\n', "utf-8")
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAIN_CALLBACKS", "LANG", "OTEL", "PYTEST", "PYTHON"))
    }
    given = {
        "CHAIN_CALLBACKS": "otel,writing",
        "CHAIN_CALLBACKS_CONFIG": str(config),
        "CHAIN_CALLBACKS_EXIT_TIMEOUT": str(TIMEOUT),
        "WRITING": str(folder / "written.json"),
        "PYTHONPATH": str(folder),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_SERVICE_NAME": "tried",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-m", "chain_callbacks", "run", str(FOLDER / f"{application}.py")],
        capture_output=True,
        text=True,
        check=False,
        env={**outside, **given},
    )
    assert 0 == done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    assert "different Context" not in done.stderr
    written: dict[str, Any] = json.loads((folder / "written.json").read_text("utf-8"))
    return written


async def pour(messages: AsyncIterator[Any], into: asyncio.Queue[Any]) -> None:
    async for each in messages:
        into.put_nowait(each)


def exchange(
    application: str, folder: Path, **variables: str
) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """Run an application against a receiver; return what was heard, its spans and its metrics."""
    from oteltap.oteltap_http_protobuf_receiver import OtelTapHttpProtobufReceiver
    from oteltap.oteltap_http_protobuf_receiver_settings import OtelTapHttpProtobufReceiverSettings

    async def main() -> tuple[dict[str, Any], list[Any], list[Any]]:
        port = free_port()
        settings = OtelTapHttpProtobufReceiverSettings(http_port=port)
        async with OtelTapHttpProtobufReceiver(settings) as receiver:
            # A stream has what comes after its first `anext`: each is asked from the beginning.
            spans: asyncio.Queue[Any] = asyncio.Queue()
            metrics: asyncio.Queue[Any] = asyncio.Queue()
            tasks = [
                asyncio.create_task(pour(receiver.stream_traces(), spans)),
                asyncio.create_task(pour(receiver.stream_metrics(), metrics)),
            ]
            heard = await asyncio.to_thread(run, application, folder, port, variables)
            async with asyncio.timeout(TIMEOUT):
                found = [await spans.get() for _ in heard["runs"]]
                names = [await metrics.get()]
                while names[-1].name != "gen_ai.client.token.usage":
                    names.append(await metrics.get())
            for task in tasks:
                task.cancel()
            return heard, found, names

    return asyncio.run(main())


def attributes(span: Any) -> dict[str, Any]:
    def value(held: Any) -> Any:
        kind = held.WhichOneof("value")
        if kind == "array_value":
            return [value(each) for each in held.array_value.values]
        return getattr(held, kind)

    return {each.key: value(each.value) for each in span.attributes}


def check_tree(heard: dict[str, Any], spans: list[Any]) -> None:
    """Each run is one span, under the span of the run around it, in the trace of its root."""
    assert [] == heard["problems"]
    by_run = {attributes(span)["chain_callbacks.run.id"]: span for span in spans}
    assert {run["id"] for run in heard["runs"]} == set(by_run)
    for run in heard["runs"]:
        span = by_run[run["id"]]
        above = by_run[run["parent"]].span_id if run["parent"] else b""
        assert above == span.parent_span_id
        assert by_run[run["root"]].trace_id == span.trace_id
        assert run["status"] == attributes(span)["chain_callbacks.run.status"]
        assert (run["status"] == "error") is (span.status.code == 2)
        error = attributes(span).get("error.type", "").rpartition(".")[2] or None
        assert (run["error"] if run["status"] in ("error", "cancelled") else None) == error
    assert len({run["root"] for run in heard["runs"]}) == len({span.trace_id for span in spans})


def named(spans: list[Any], start: str) -> list[dict[str, Any]]:
    ordered = sorted(spans, key=lambda span: span.start_time_unix_nano)
    return [attributes(span) for span in ordered if span.name.startswith(start)]


def usage(told: list[dict[str, Any]]) -> list[Any]:
    return [
        (each.get("gen_ai.usage.input_tokens"), each.get("gen_ai.usage.output_tokens"))
        for each in told
    ]


def test_native_agent_is_exported_as_its_runs_were(tmp_path: Path) -> None:
    """Streamed, with tools in parallel, failing and cancelled: the trees are the recorder's."""
    heard, spans, metrics = exchange("native", tmp_path)
    check_tree(heard, spans)
    chats = named(spans, "chat fake-1")
    nothing = (None, None)
    assert [nothing, (7, 3), nothing, nothing] == usage(chats)
    assert {"chat"} == {each["gen_ai.operation.name"] for each in chats}
    assert ["stop"] == chats[1]["gen_ai.response.finish_reasons"]
    assert [3, 5] == [len(named(spans, name)) for name in ("invoke_agent finder", "execute_tool")]
    statuses = [each["chain_callbacks.run.status"] for each in named(spans, "invoke_workflow")]
    assert ["ok", "error", "cancelled"] == statuses
    assert {"gen_ai.client.token.usage"} <= {each.name for each in metrics}
    # Nothing of what was said: the handler's own level.
    assert not [span for span in spans if "gen_ai.input.messages" in attributes(span)]


@needs("langgraph", "chain_callbacks_langchain")
def test_graph_of_langgraph_is_exported_as_its_runs_were(tmp_path: Path) -> None:
    """An application that knows nothing of us gives the same spans."""
    heard, spans, _ = exchange("graph", tmp_path)
    check_tree(heard, spans)
    chats = named(spans, "chat fake-1")
    nothing = (None, None)
    assert [nothing, (7, 3), nothing, nothing] == usage(chats)
    assert ["stop"] == chats[1]["gen_ai.response.finish_reasons"]
    assert 4 == len(named(spans, "execute_tool look_up"))
    statuses = [each["chain_callbacks.run.status"] for each in named(spans, "invoke_workflow")]
    assert ["ok", "error", "cancelled"] == statuses


@needs("openai", "chain_callbacks_openai")
def test_plain_program_is_exported_as_its_runs_were(tmp_path: Path) -> None:
    """A script that knows a vendor's client alone gives a span for each call."""
    from chain_callbacks.testing import Reply, ScriptedServer

    counted = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    message = {"role": "assistant", "content": "3"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    named_ = {"id": "c-1", "created": 1, "model": "model-1-2026"}
    answer = {**named_, "object": "chat.completion", "choices": [choice], "usage": counted}
    chunk = {**named_, "object": "chat.completion.chunk", "usage": None}

    def piece(delta: Any, reason: str | None = None) -> dict[str, Any]:
        return {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    pieces = [piece({"role": "assistant", "content": "3"}), piece({}, "stop")]
    events = [*pieces, {**chunk, "choices": [], "usage": counted}]
    whole, parts = Reply(answer), Reply(events=[*events, "data: [DONE]\n\n"])
    with ScriptedServer(whole, parts, whole, whole, Reply({}, status=400), parts) as server:
        keys = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "none"}
        heard, spans, _ = exchange("plain", tmp_path, **keys)
    check_tree(heard, spans)
    chats = named(spans, "chat model-1")
    assert [(7, 3)] * 4 == usage(chats)[:4]
    assert {"openai"} == {each["gen_ai.provider.name"] for each in chats}
    statuses = [each["chain_callbacks.run.status"] for each in chats]
    assert ["ok", "ok", "ok", "ok", "error", "closed"] == statuses
