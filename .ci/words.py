"""Refuses phrases of the dialect that the first version grew: `python .ci/words.py [PATH ...]`.

CONTRIBUTING.md says how texts are written here. Each line of `words.txt` beside this file has a
pattern and what to write instead. Exit code 1 if a tracked text has one of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
READ = ("*.py", "*.md", "*.toml", ".ci/run")
# The one page that has to quote them, and what others wrote.
LEFT_OUT = ("CONTRIBUTING.md", "tests/reference/", "docs/decisions/")


class Phrase(NamedTuple):
    """A pattern that is refused, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


def phrases() -> list[Phrase]:
    """Return the phrases that `words.txt` lists."""
    lines = (HERE / "words.txt").read_text("utf-8").splitlines()
    pairs = (line.split("  ->  ") for line in lines if line.strip() and not line.startswith("#"))
    return [Phrase(re.compile(rf"\b(?:{left})\b", re.IGNORECASE), right) for left, right in pairs]


def found_in(path: str, refused: list[Phrase]) -> Iterator[str]:
    """Yield a line for each place in a file that has one of the phrases."""
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        for pattern, instead in refused:
            for match in pattern.finditer(line):
                yield f"{path}:{number}:{match.start() + 1}: {match[0]!r}: write {instead}"


def main(paths: list[str]) -> int:
    """Print every place; return 1 if there is one."""
    listed = subprocess.run(  # noqa: S603
        ["git", "ls-files", *(paths or READ)],  # noqa: S607
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    refused = phrases()
    found = [
        place
        for path in listed
        if not path.startswith(LEFT_OUT) and Path(path).is_file()
        for place in found_in(path, refused)
    ]
    print("\n".join(found) or f"{len(listed)} files, none with a refused phrase.")  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
