"""Writes docs/explanation/architecture.svg from the imports: `python docs/architecture_picture.py`.

A room is a package or a module at the top of `chain_callbacks`; its place is the one that the
import contract in pyproject.toml gives it. An arrow says that a room imports another.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "chain_callbacks"
PICTURE = ROOT / "docs" / "explanation" / "architecture.svg"

WIDTH = 1000
MARGIN = 20
GAP = 24
LINE = 14
HEAD = 24
# How many characters of a module's name fit in a pixel of a box, at the size of the text.
CHARACTER = 6.2
COLOURS = ("#1b5e8c", "#8c4a1b", "#2e7d32", "#6a1b9a", "#ad1457", "#00695c", "#5d4037")


class Box(NamedTuple):
    """A room as it is drawn: where, how large, and the lines of text in it."""

    name: str
    left: float
    top: float
    width: float
    height: float
    lines: tuple[str, ...]


def layers() -> list[list[str]]:
    """Return the rooms from the top floor to the ground, those of one floor together."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (house,) = (each for each in contracts if each.get("containers") == ["chain_callbacks"])
    return [[room.strip() for room in re.split("[|:]", floor)] for floor in house["layers"]]


def modules(room: str) -> tuple[str, ...]:
    """Return the names of the modules of a room, sorted; none for a room of one module."""
    folder = SOURCE / room
    found = {path.relative_to(folder).parts[0].removesuffix(".py") for path in folder.rglob("*.py")}
    return tuple(sorted(found - {"__init__", "__pycache__"}))


def imports(room: str) -> set[str]:
    """Return the rooms that a room imports, imports for the type checker included."""
    folder = SOURCE / room
    paths = folder.rglob("*.py") if folder.is_dir() else [SOURCE / f"{room}.py"]
    return {target for path in paths for target in _imported(path)} - {room}


def _imported(path: Path) -> Iterator[str]:
    package = path.relative_to(SOURCE).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            inside = package[: len(package) + 1 - node.level]
            names = [*inside, *(node.module or "").split(".")]
            first = next((name for name in names if name), None)
            yield from [first] if first else [alias.name for alias in node.names]


def _wrapped(names: tuple[str, ...], width: float) -> tuple[str, ...]:
    lines: list[str] = []
    for name in names:
        if lines and (len(lines[-1]) + len(name) + 2) * CHARACTER < width - 16:
            lines[-1] += f", {name}"
        else:
            lines.append(name)
    return tuple(lines)


def boxes() -> list[Box]:
    """Return the rooms as they are drawn, floor by floor."""
    drawn: list[Box] = []
    top = float(MARGIN)
    for floor in layers():
        width = (WIDTH - 2 * MARGIN - GAP * (len(floor) - 1)) / len(floor)
        width = min(width, WIDTH / 2)
        left = (WIDTH - width * len(floor) - GAP * (len(floor) - 1)) / 2
        texts = [_wrapped(modules(room), width) for room in floor]
        height = HEAD + LINE * max(map(len, texts)) + (8 if any(texts) else 0)
        for room, text in zip(floor, texts, strict=True):
            drawn.append(Box(room, left, top, width, height, text))
            left += width + GAP
        top += height + GAP
    return drawn


def _drawn(box: Box) -> Iterator[str]:
    middle = box.left + box.width / 2
    yield (
        f'<rect x="{box.left:.0f}" y="{box.top:.0f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="5" class="room"/>'
    )
    yield f'<text x="{middle:.0f}" y="{box.top + 17:.0f}" class="name">{escape(box.name)}</text>'
    for number, line in enumerate(box.lines, 1):
        at = box.top + HEAD + number * LINE - 2
        yield f'<text x="{middle:.0f}" y="{at:.0f}">{escape(line)}</text>'


def _arrows(rooms: list[Box]) -> Iterator[str]:
    by_name = {box.name: box for box in rooms}
    for number, box in enumerate(rooms):
        for target in sorted(imports(box.name) & by_name.keys()):
            other = by_name[target]
            shift = (number % 9 - 4) * 9
            x, y = box.left + box.width / 2 + shift, box.top + box.height
            to_x, to_y = other.left + other.width / 2 + shift, other.top
            bend = max(20.0, (to_y - y) / 2)
            yield (
                f'<path d="M{x:.0f} {y:.0f} C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} '
                f'{to_x:.0f} {to_y:.0f}" stroke="{COLOURS[number % len(COLOURS)]}" '
                'marker-end="url(#tip)"/>'
            )


def picture() -> str:
    """Return the whole picture."""
    rooms = boxes()
    height = rooms[-1].top + rooms[-1].height + MARGIN
    body = "\n".join([*_arrows(rooms), *(part for box in rooms for part in _drawn(box))])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n'
        "<title>The rooms of chain_callbacks, from the command line down, and their imports"
        "</title>\n"
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" '
        'markerHeight="6" orient="auto"><path d="M0 0 6 3 0 6z" fill="#555"/></marker></defs>\n'
        "<style>path{fill:none;stroke-width:1;stroke-opacity:.45}marker path{fill-opacity:.7}"
        ".room{fill:#f7f5f0;stroke:#444}text{font:11px sans-serif;text-anchor:middle;fill:#333}"
        ".name{font:bold 13px sans-serif;fill:#111}</style>\n"
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
