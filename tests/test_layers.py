"""Guards beside the import contract: plugins keep to public names, importing costs nothing."""

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


def listed_names(page: str) -> dict[str, set[str]]:
    """Return the modules that have a section on *page*, each with the names listed there."""
    _, *sections = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    listed = {}
    for heading, text in zip(sections[::2], sections[1::2], strict=True):
        names = {re.split(r"\W", code)[0] for code in re.findall(r"`([^`\n]+)`", text)}
        listed |= dict.fromkeys(re.findall(r"`([\w.]+)`", heading), names)
    return listed


def unlisted_imports(source: str, listed: dict[str, set[str]]) -> list[str]:
    """Return what *source* imports from packages of ours, other than *listed* names and modules."""
    imported = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported += [("", each.name) for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported += [(node.module or "", each.name) for each in node.names]
    ours = [each for each in imported if ".".join(each).strip(".").startswith(CORE)]
    return [
        path
        for module, name in ours
        if (path := f"{module}.{name}".strip(".")) not in listed
        and name not in listed.get(module, ())
    ]


PAGE = """
## `chain_callbacks`

| `Run` | one unit of work |

## `chain_callbacks.hosts`

| `run_at(manager, name)`, `Gate` | what the bridge needs |
"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from chain_callbacks import Run, hosts", []),
        ("from chain_callbacks.hosts import Gate, run_at", []),
        ("import chain_callbacks.hosts", []),
        ("from . import tree\nfrom .tree import Place\nimport json", []),
        ("from chain_callbacks.hosts import manager", ["chain_callbacks.hosts.manager"]),
        ("from chain_callbacks import dispatch", ["chain_callbacks.dispatch"]),
        ("from chain_callbacks.dispatch.runs import Run", ["chain_callbacks.dispatch.runs.Run"]),
        ("import chain_callbacks.dispatch.runs", ["chain_callbacks.dispatch.runs"]),
        ("def f():\n    from chain_callbacks import Gate", ["chain_callbacks.Gate"]),
        ("from chain_callbacks_clients import Call", ["chain_callbacks_clients.Call"]),
    ],
)
def test_unlisted_imports_are_found(source: str, expected: list[str]) -> None:
    """A module, or a name, that the page does not list is found, wherever it is imported."""
    assert expected == unlisted_imports(source, listed_names(PAGE))


def test_plugins_import_only_names_of_the_public_page() -> None:
    """A change of the core's own modules breaks no plugin, ours or anybody else's."""
    listed = listed_names((ROOT / "docs" / "reference" / "public-api.md").read_text("utf-8"))
    found = {
        str(path.relative_to(ROOT)): unlisted_imports(path.read_text("utf-8"), listed)
        for path in ROOT.glob("plugins/*/src/**/*.py")
    }
    assert len(found) > 30
    assert {path: names for path, names in found.items() if names} == {}


def test_importing_the_package_loads_only_the_standard_library() -> None:
    """`import chain_callbacks` loads no third-party package and no plugin."""
    code = f"import sys; old = set(sys.modules); import {CORE}; print(*set(sys.modules) - old)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {module.partition(".")[0] for module in run.stdout.split()}
    assert loaded - sys.stdlib_module_names == {CORE}
