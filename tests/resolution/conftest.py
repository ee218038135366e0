"""Handlers offered by name, and a clean slate around each test of resolution."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import chain_callbacks
from chain_callbacks import BaseCallbackHandler, register
from chain_callbacks.resolution import hooks, index, instances
from chain_callbacks.resolution.plugins import own_version

# Our dependencies cannot be found on the path of a test.
for _module in (
    "importlib_metadata",
    "packaging.requirements",
    "pluggy",
    "pydantic_settings",
    "structlog",
):
    importlib.import_module(_module)

SOURCE = Path(chain_callbacks.__file__).parents[1]

HANDLER = """
from chain_callbacks import BaseCallbackHandler

class {name}(BaseCallbackHandler):
    def on_chain_start(self, serialized, inputs, **kwargs):
        heard.append(serialized["name"])

heard = []
"""
"""The text of a module with one handler, which notes the names of the runs it hears."""


class Listening(BaseCallbackHandler):
    """Writes its name and what it hears into a list."""

    def __init__(self, name: str, heard: list[tuple[str, str]]) -> None:
        self.name = name
        self.heard = heard

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.heard.append((serialized["name"], self.name))


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """Forget what a test registered, made and scanned."""
    before = dict(instances._registered)
    yield
    instances._registered.clear()
    instances._registered.update(before)
    instances.reset()


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    """What was heard: pairs of a run's name and a handler's."""
    return []


@pytest.fixture
def listening(heard: list[tuple[str, str]]) -> Callable[[str], Listening]:
    """Make a handler object that writes into `heard`."""
    return lambda name: Listening(name, heard)


@pytest.fixture
def names(heard: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Register a, b, c and d, and configure the instance a:x."""
    made: dict[str, int] = {}

    def provider(name: str) -> Callable[..., Listening]:
        def make() -> Listening:
            made[name] = made.get(name, 0) + 1
            return Listening(name if made[name] == 1 else f"{name}:x", heard)

        return make

    for name in ("a", "b", "c", "d"):
        register(name, provider(name))
    monkeypatch.setenv("CHAIN_CALLBACKS_A__X__ONLY", "all")
    return ("a", "b", "c", "d")


FakeDistribution = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The first folder of a path on which nothing is installed; what is imported is purged."""
    folder = tmp_path / "site"
    folder.mkdir()
    library = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    dynamic = [entry for entry in sys.path if entry.endswith("lib-dynload")]
    monkeypatch.setattr(sys, "path", [str(folder), *library, *dynamic])
    importlib.invalidate_caches()
    before = set(sys.modules)
    instances.reset()
    own_version.cache_clear()
    yield folder
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            hooks.unregister(module)
            del sys.modules[name]
    own_version.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture
def fake_distribution(site: Path) -> FakeDistribution:
    """Install a distribution: a dist-info folder and modules; return the dist-info folder."""
    stamps = iter(range(1, 1_000_000))

    def install(
        name: str,
        version: str = "1.0",
        *,
        entry_points: Mapping[str, str] | str | bytes | None = None,
        modules: Mapping[str, str] | None = None,
        requires: Sequence[str] = (),
        metadata: bool = True,
        into: Path = site,
    ) -> Path:
        into.mkdir(exist_ok=True)
        info = into / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        if metadata:
            lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
            lines += [f"Requires-Dist: {each}" for each in requires]
            (info / "METADATA").write_text("\n".join(lines) + "\n", "utf-8")
        if isinstance(entry_points, Mapping):
            offered = [f"{entry} = {value}" for entry, value in entry_points.items()]
            entry_points = "\n".join(["[chain_callbacks]", *offered])
        if isinstance(entry_points, str):
            entry_points = entry_points.encode()
        if entry_points is not None:
            (info / "entry_points.txt").write_bytes(entry_points)
        for module, text in (modules or {}).items():
            (into / f"{module}.py").write_text(text, "utf-8")
        # Two changes within one tick of the file system's clock look like one.
        stamp = into.stat().st_mtime_ns + next(stamps) * 1_000_000_000
        os.utime(into, ns=(stamp, stamp))
        importlib.invalidate_caches()
        return info

    return install


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grow by one at each scan of what is installed."""
    made: list[int] = []
    scan = index.scan

    def counted() -> index.Index:
        made.append(1)
        return scan()

    monkeypatch.setattr(index, "scan", counted)
    return made


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return the warnings that the framework logged, in their order."""
    caplog.set_level(logging.WARNING, "chain_callbacks")
    return lambda: [each.getMessage() for each in caplog.records if each.name == "chain_callbacks"]


Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def program(site: Path, tmp_path: Path) -> Program:
    """Run the text of a program in an interpreter that sees the fake distributions."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = os.pathsep.join([str(site), str(SOURCE)])

    def run(text: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", text],
            check=False,
            cwd=tmp_path,
            encoding="utf-8",
            env={**environment, **more},
            capture_output=True,
            timeout=60,
        )

    return run
