"""Every example of the README and the documentation runs, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BIN = Path(sys.executable).parent

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_VARYING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d+\.\d+ m?s\b"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "NOW"),
)
README_COMMANDS = ("pip install . && chain-callbacks demo", "pip install nox && nox -s tests")


class Example(NamedTuple):
    """A block that can be run, and what the page says it prints; None where it says nothing."""

    language: str
    source: str
    output: str | None


def examples(page: Path) -> list[Example]:
    """Return the examples of a page, in their order."""
    blocks = _BLOCK.findall(page.read_text("utf-8"))
    following = [*blocks, ("", "")][1:]
    return [
        Example(language, source, after[1] if after[0] == "output" else None)
        for (language, source), after in zip(blocks, following, strict=True)
        if language in ("python", "sh", "toml")
    ]


def steady(text: str) -> str:
    """Return *text* with what differs from run to run taken out."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def run(*command: str) -> str:
    """Return what a command prints, on both streams; it must succeed."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("CHAIN_CALLBACKS")}
    done = subprocess.run(
        command,
        check=False,
        encoding="utf-8",
        env={
            **outside,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONIOENCODING": "utf-8",
            "NO_COLOR": "1",
            "COLUMNS": "100",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(each.language == language for each in examples(page))]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", pages_with("python"), ids=name)
def test_python_of_a_page_prints_what_it_says(page, tmp_path):
    """The Python blocks of a page are one program; each prints its output block."""
    mark = "-- the next example --"
    blocks = [each for each in examples(page) if each.language == "python"]
    program = tmp_path / "example.py"
    program.write_text(f"\nprint({mark!r}, flush=True)\n".join(b.source for b in blocks), "utf-8")

    printed = run(sys.executable, "-W", "error", str(program)).split(mark)

    assert len(blocks) == len(printed)
    for block, output in zip(blocks, printed, strict=True):
        if block.output is not None:
            assert steady(block.output) == steady(output)


@pytest.mark.parametrize(
    ("page", "example"),
    [
        pytest.param(page, each, id=f"{name(page)}: {each.source.splitlines()[0][:60]}")
        for page in PAGES
        for each in examples(page)
        if each.language == "sh" and each.source.strip() not in README_COMMANDS
    ],
)
def test_command_of_a_page_prints_what_it_says(page, example):
    """A command in a page succeeds and prints its output block."""
    printed = run("sh", "-c", example.source)

    if example.output is not None:
        assert steady(example.output) == steady(printed)


def test_readme_has_the_two_commands_that_ci_runs():
    """The commands a newcomer copies are those that are tried in a fresh environment."""
    shown = [each.source.strip() for each in examples(ROOT / "README.md") if each.language == "sh"]
    tried = (ROOT / ".ci" / "run").read_text("utf-8")

    assert list(README_COMMANDS) == shown
    assert all(f"'{command}'" in tried for command in README_COMMANDS)


@pytest.mark.parametrize("page", pages_with("toml"), ids=name)
def test_toml_of_a_page_can_be_read(page):
    """What is to be copied into a file is TOML."""
    for each in examples(page):
        if each.language == "toml":
            assert tomllib.loads(each.source)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_a_page_lead_somewhere(page):
    """Every link to a file of this repository leads to one."""
    links = [each for each in _LINK.findall(page.read_text("utf-8")) if "//" not in each]

    assert [each for each in links if not (page.parent / each).exists()] == []
