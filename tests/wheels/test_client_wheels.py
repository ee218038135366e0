"""The plugins for vendors' clients as they are installed: each wheel alone with the core's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chain_callbacks.testing import Reply, ScriptedServer

pytestmark = pytest.mark.wheels


class Case(NamedTuple):
    """A program on a vendor's client and on the native model, and what the vendor answers."""

    program: str
    answer: dict[str, Any]
    base: str
    runs: tuple[str, str]


CASES = {
    "anthropic": Case(
        """
import anthropic
from chain_callbacks_anthropic import ChatAnthropic

asked = {"model": "model-1", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
print(anthropic.Anthropic().messages.create(**asked).content[0].text)
print(ChatAnthropic("model-1").invoke("?").text)
""",
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "model-1",
            "content": [{"type": "text", "text": "3"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 16, "output_tokens": 13},
        },
        "",
        ("anthropic.messages", "ChatAnthropic"),
    ),
    "openai": Case(
        """
import openai
from chain_callbacks_openai import ChatOpenAI

asked = {"model": "model-1", "messages": [{"role": "user", "content": "?"}]}
print(openai.OpenAI().chat.completions.create(**asked).choices[0].message.content)
print(ChatOpenAI("model-1").invoke("?").text)
""",
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "model-1",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "3"},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 16, "completion_tokens": 13, "total_tokens": 29},
        },
        "/v1",
        ("openai.chat.completions", "ChatOpenAI"),
    ),
}


@pytest.mark.parametrize("vendor", CASES)
def test_plugin_alone_is_heard_by_the_environment_alone(
    vendor: str, python_with: Callable[[str], Path], tmp_path: Path
) -> None:
    """With its client, the newest, and nothing else: each call is one line with its tokens."""
    case = CASES[vendor]
    python = python_with(vendor)
    program = tmp_path / "app.py"
    program.write_text(case.program, encoding="utf-8")
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("CHAIN", "PYTHON"))}

    with ScriptedServer(Reply(case.answer), Reply(case.answer)) as server:
        done = subprocess.run(
            [python.with_name("chain-callbacks"), "run", program],
            cwd=tmp_path,
            env={
                **outside,
                "CHAIN_CALLBACKS": "structlog",
                f"{vendor.upper()}_API_KEY": "none",
                f"{vendor.upper()}_BASE_URL": f"{server.url}{case.base}",
            },
            check=True,
            capture_output=True,
            text=True,
        )

    assert "3\n3\n" == done.stdout
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    ended = [line for line in lines if line["event"] == "llm_end"]
    assert [*case.runs] == [line["run_name"] for line in ended]
    assert [29, 29] == [line["total_tokens"] for line in ended]
