"""Writes docs/explanation/performance.md and its pictures: `python -m benchmarks.page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from . import numbers, pictures

FOLDER: Final = Path(__file__).parents[1] / "docs" / "explanation"


def page() -> str:
    return "\n"


def write() -> None:
    """Write them all."""
    for name, text in made().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def made() -> dict[str, str]:
    """Return the page and its pictures, by the name of the file."""
    data = numbers.kept()
    return {
        "performance-bars.svg": pictures.bars(data["cases"]),
        "performance-growth.svg": pictures.lines(data["growth"]),
    }


if __name__ == "__main__":
    write()
