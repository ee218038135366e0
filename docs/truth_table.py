"""Writes the truth table into docs/reference/resolution.md: `python docs/truth_table.py`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "resolution.md"
MARK = "<!-- table -->\n"

GIVEN = ("environment", "attached", "constructor", "bound", "runtime", "run_tags")
INNER = ("inner_attached", "inner_constructor", "inner_runtime")


def _cell(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return f"`{text}`" if text else "nobody"


def _given(row: dict[str, Any], keys: tuple[str, ...]) -> str:
    return "; ".join(
        f"{key.removeprefix('inner_').replace('_', ' ')} {_cell(row[key]) if row[key] else '`[]`'}"
        for key in keys
        if key in row
    )


def page() -> str:
    """Return the page with the table as the data has it."""
    text = PAGE.read_text(encoding="utf-8")
    rows = tomllib.loads((ROOT / "tests/resolution/truth_table.toml").read_text("utf-8"))["row"]
    lines = ["| rule | given | inner | hears | nested hears |", "|---|---|---|---|---|"]
    for row in rows:
        heard = (
            [f"`{row['error']}`", ""]
            if "error" in row
            else [
                _cell(row["hears"]),
                _cell(row["nested"]),
            ]
        )
        cells = [row["says"], _given(row, GIVEN), _given(row, INNER), *heard]
        lines.append(f"| {' | '.join(cells)} |")
    return text[: text.index(MARK) + len(MARK)] + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
