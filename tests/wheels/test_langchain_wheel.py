"""The bridge to LangChain as it is installed: wheels, and nothing but the environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheels

APPLICATION = """
from langchain_core.runnables import RunnableLambda

chain = RunnableLambda(str.strip, name="strip") | RunnableLambda(str.upper, name="upper")
print(chain.invoke(" bee "))
"""


def test_application_on_langchain_is_heard_by_the_environment_alone(
    clean_python: Path, tmp_path: Path
) -> None:
    """The application knows nothing of us; each of its runs has its line, under its parent's."""
    application = tmp_path / "app.py"
    application.write_text(APPLICATION, encoding="utf-8")
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("CHAIN", "PYTHON"))}

    done = subprocess.run(
        [clean_python.with_name("chain-callbacks"), "run", application],
        cwd=tmp_path,
        env={**outside, "CHAIN_CALLBACKS": "structlog"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert "BEE\n" == done.stdout
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    ended = {line["run_name"]: line for line in lines if line["event"] == "chain_end"}
    assert ["RunnableSequence", "strip", "upper"] == sorted(ended)
    root = ended["RunnableSequence"]["run_id"]
    assert [root, root] == [ended[name]["parent_run_id"] for name in ("strip", "upper")]
