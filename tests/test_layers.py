"""Two guards beside the import contract: plugins keep to public names, importing costs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = "chain_callbacks"
PRIVATE_PATH = re.compile(rf"{CORE}(?:[.:]\w+)*[.:]_(?!_)")


def private_names(source: str) -> list[str]:
    """Return the private names of the core that *source* mentions, in dotted form."""
    tree = ast.parse(source)
    paths = {CORE: CORE, **dict(core_imports(tree))}
    mentioned = [*paths.values()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            mentioned.append(f"{paths[root]}.{rest}" if root in paths else "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            mentioned.append(node.value)
    return sorted({path for path in mentioned if PRIVATE_PATH.match(path)})


def core_imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the name that each import from the core binds, and the path that it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [(alias.asname or alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [(a.asname or a.name, f"{node.module}.{a.name}") for a in node.names]
        else:
            continue
        yield from ((name, path) for name, path in found if path.split(".")[0] == CORE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import chain_callbacks._x", ["chain_callbacks._x"]),
        ("from chain_callbacks import _x", ["chain_callbacks._x"]),
        ("from chain_callbacks.a._b import c", ["chain_callbacks.a._b.c"]),
        ("import chain_callbacks\nchain_callbacks.a._b", ["chain_callbacks.a._b"]),
        ("import chain_callbacks.a\nchain_callbacks.a._b", ["chain_callbacks.a._b"]),
        ("import chain_callbacks as core\ncore._x()", ["chain_callbacks._x"]),
        ("from chain_callbacks import Local\nLocal._x", ["chain_callbacks.Local._x"]),
        ("import_module('chain_callbacks._x')", ["chain_callbacks._x"]),
        ("from chain_callbacks import policy\npolicy.x", []),
        ("import chain_callbacks\nchain_callbacks.__name__", []),
        ("from chain_callbacks_slack import _x", []),
        ("import_module('chain_callbacks_slack._x')", []),
        ("from . import _x", []),
    ],
)
def test_private_names_sees_each_way_to_mention_one(source: str, expected: list[str]) -> None:
    """An import, an attribute and a string are found; public names and a plugin's own are not."""
    assert private_names(source) == expected


def test_plugins_mention_no_private_name_of_the_core() -> None:
    """A plugin of ours is written with what every author has."""
    sources = ROOT.glob("plugins/*/src/**/*.py")
    found = {
        str(path.relative_to(ROOT)): private_names(path.read_text("utf-8")) for path in sources
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_importing_the_package_loads_only_the_standard_library() -> None:
    """`import chain_callbacks` loads no third-party package and no plugin."""
    code = f"import sys; old = set(sys.modules); import {CORE}; print(*set(sys.modules) - old)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {module.partition(".")[0] for module in run.stdout.split()}
    assert loaded - sys.stdlib_module_names == {CORE}
