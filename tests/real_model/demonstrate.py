"""A real model, offline: the document's example through each vendor's client, and plain programs.

Each program is started with the address of a local server in its environment and nothing else
changed; what it prints is shown, and checked against what the document and the programs promise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
PLUGINS: Final = TESTS.parent / "plugins"
EXAMPLE: Final = (TESTS / "reference" / "example.py").read_text("utf-8")
IMPORT: Final = "from embedded import ChatAnthropic\n"
VENDORS: Final = {
    "anthropic": "from chain_callbacks_anthropic import ChatAnthropic\n",
    "openai": "from chain_callbacks_openai import ChatOpenAI as ChatAnthropic\n",
}
LINES: Final = [
    "Chain RunnableSequence started",
    "Chain ChatPromptTemplate started",
    "Chain ended, outputs: messages=[HumanMessage(content='What is 1 + 2?')]",
    "Chat model started",
    "Chat model ended, response: generations=[[ChatGeneration(text='",
    "Chain ended, outputs: content='",
]


@contextmanager
def model() -> Iterator[dict[str, str]]:
    """Give the environment of a program that is to find the model."""
    command = [sys.executable, Path(__file__).with_name("serve.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if server.stdin is None or server.stdout is None:
            raise SystemExit("The server has no pipes.")
        address = server.stdout.readline().strip()
        if not address:
            raise SystemExit("The server did not start.")
        yield {
            **{key: value for key, value in os.environ.items() if "CHAIN_CALLBACKS" not in key},
            "ANTHROPIC_API_KEY": "local",
            "ANTHROPIC_BASE_URL": address,
            "OPENAI_API_KEY": "local",
            "OPENAI_BASE_URL": f"{address}/v1",
        }
        server.stdin.close()


def run(*command: str | Path, env: dict[str, str]) -> tuple[str, str]:
    """Return what a program writes on its two streams; it must succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise SystemExit(f"A program failed:\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def expect(what: str, *, is_met: bool) -> None:
    """Stop where a promise is not kept."""
    if not is_met:
        raise SystemExit(f"This is not so: {what}.")


def show_example(vendor: str, env: dict[str, str]) -> None:
    """Run the document's example with a vendor's model in the place of the embedded one."""
    expect("the example has one line to change", is_met=EXAMPLE.count(IMPORT) == 1)
    printed, _ = run("-c", EXAMPLE.replace(IMPORT, VENDORS[vendor]), env=env)
    print(f"\n--- The document's example, through the client of {vendor}:\n{printed}")
    lines = printed.splitlines()
    begun = [line.startswith(start) for line, start in zip(lines, LINES, strict=True)]
    expect("it prints the document's lines, in their order", is_met=all(begun))
    expect("the model says what 1 + 2 is", is_met="3" in lines[-1])
    counted = all(count in lines[-1] for count in ("'input_tokens': ", "'output_tokens': "))
    expect("its tokens were counted", is_met=counted)


def show_plain(vendor: str, env: dict[str, str]) -> None:
    """Run a program that knows the client alone, without us and with us."""
    path = PLUGINS / f"chain-callbacks-{vendor}" / "tests" / "applications" / "plain.py"
    alone, nothing = run(path, env=env)
    printed, log = run(
        *("-m", "chain_callbacks", "run"), path, env={**env, "CHAIN_CALLBACKS": "structlog"}
    )
    print(f"--- A program that knows the client of {vendor} alone:\n{printed}\n{log}")
    expect("it prints the same with us", is_met=(alone, nothing) == (printed, ""))
    events = [json.loads(line) for line in log.splitlines()]
    # `final` is what a helper has read already.
    calls = sum(not line.startswith("final ") for line in printed.splitlines())
    starts = sum(each["event"] == "chat_model_start" for each in events)
    answers = sum(each["event"] == "llm_end" for each in events)
    errors = sum(each["event"] == "llm_error" for each in events)
    expect(
        "each call is a run with one end, the refused one with an error",
        is_met=(starts, answers, errors) == (calls, calls - 1, 1),
    )


def main() -> None:
    """Show all of it."""
    with model() as env:
        for vendor in VENDORS:
            show_example(vendor, env)
        for vendor in VENDORS:
            show_plain(vendor, env)
    print("All of it is as the document says, with a real model.")


if __name__ == "__main__":
    main()
