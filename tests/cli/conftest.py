"""A path on which nothing is installed but what a test puts there, and a clean slate around it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import pytest

import chain_callbacks
from chain_callbacks.resolution import instances
from chain_callbacks.resolution.plugins import own_version

# Our dependencies cannot be found on the path of a test.
for _module in ("importlib_metadata", "pluggy", "pydantic_settings", "structlog"):
    import_module(_module)

SOURCE = Path(chain_callbacks.__file__).parents[1]

BUILT_IN = {
    "console": "chain_callbacks.handlers.console_handler:ConsoleHandler",
    "structlog": "chain_callbacks.handlers.structlog_handler:StructlogHandler",
}

FakeDistribution = Callable[..., None]
Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder that fake distributions are installed in."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def fake_distribution(site: Path) -> FakeDistribution:
    """Install a distribution: a dist-info folder, and its files by path."""

    def install(
        name: str,
        version: str,
        entry_points: Mapping[str, str],
        files: Mapping[str, str] | None = None,
        requires: Sequence[str] = (),
    ) -> None:
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
        (info / "METADATA").write_text(metadata, "utf-8")
        lines = [f"{entry} = {value}" for entry, value in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[chain_callbacks]", *lines]), "utf-8")
        for path, text in (files or {}).items():
            (site / path).write_text(text, "utf-8")

    return install


@pytest.fixture(autouse=True)
def _nothing_installed_but_ourselves(
    site: Path,
    tmp_path: Path,
    fake_distribution: FakeDistribution,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    library = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    dynamic = [entry for entry in sys.path if entry.endswith("lib-dynload")]
    monkeypatch.setattr(sys, "path", [str(site), *library, *dynamic])
    fake_distribution("chain-callbacks", "0.1.0", BUILT_IN)
    registered, modules = dict(instances._registered), set(sys.modules)
    instances.reset()
    own_version.cache_clear()
    yield
    instances._registered.clear()
    instances._registered.update(registered)
    instances.reset()
    own_version.cache_clear()
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]


@pytest.fixture
def python(site: Path, tmp_path: Path) -> Python:
    """Run Python in a process of its own that sees the fake distributions first."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {
        **outside,
        "PYTHONPATH": os.pathsep.join([str(site), str(SOURCE)]),
        "PYTHONIOENCODING": "utf-8",
    }

    def run(
        *arguments: str, stdout: int = subprocess.PIPE, cwd: Path = tmp_path, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            check=False,
            cwd=cwd,
            encoding="utf-8",
            env={**environment, **more},
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=60,
        )

    return run
