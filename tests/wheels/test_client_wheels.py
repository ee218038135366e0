"""The plugins for vendors' clients as they are installed: each with the wheels that it needs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from chain_callbacks.testing import ModelServer

pytestmark = pytest.mark.wheels


class Case(NamedTuple):
    """A program on a vendor's client and on the native model, and what its runs are called."""

    program: str
    path: str
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

    with ModelServer() as server:
        done = subprocess.run(
            [python.with_name("chain-callbacks"), "run", program],
            cwd=tmp_path,
            env={
                **outside,
                "CHAIN_CALLBACKS": "structlog",
                f"{vendor.upper()}_API_KEY": "none",
                f"{vendor.upper()}_BASE_URL": f"{server.url}{case.path}",
            },
            check=True,
            capture_output=True,
            text=True,
        )

    assert "1 + 2 = 3\n1 + 2 = 3\n" == done.stdout
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    ended = [line for line in lines if line["event"] == "llm_end"]
    assert [*case.runs] == [line["run_name"] for line in ended]
    assert [29, 29] == [line["total_tokens"] for line in ended]
