"""Wheels built from the tree, and an environment that has nothing else."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Callable, Mapping
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def make_environment(folder: Path) -> Path:
    """Return the interpreter of a new virtual environment in *folder*, with pip alone."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


def pip(python: Path, *arguments: str | Path) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", *arguments], check=True)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The wheels of the core and of every plugin, built from the tree."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = [ROOT, *(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
    builder = make_environment(tmp_path_factory.mktemp("builder"))
    pip(builder, "install", "hatchling>=1.27")
    # In one environment; each is built in its own wherever it is installed by path.
    pip(builder, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, *sources)
    return tuple(sorted(folder.glob("*.whl")))


@pytest.fixture(scope="session")
def clean_python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with our wheels, and what they depend on, alone."""
    given: Path | None = request.config.getoption("--clean-python")
    if given is not None:
        return given
    python = make_environment(tmp_path_factory.mktemp("clean"))
    pip(python, "install", *request.getfixturevalue("wheels"))
    return python


def needed(wheel: Path, ours: Mapping[str, Path]) -> set[Path]:
    """Return *wheel* and those of *ours* that it depends on, by what its metadata says."""
    with ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    lines = metadata.get_all("Requires-Dist", [])
    names = {Requirement(line).name.replace("-", "_") for line in lines}
    return {wheel}.union(*(needed(ours[each], ours) for each in names & ours.keys()))


@pytest.fixture
def python_with(wheels: tuple[Path, ...], tmp_path: Path) -> Callable[[str], Path]:
    """Makes an environment with the wheels of one plugin and of ours that it needs; its Python."""
    ours = {wheel.name.partition("-")[0]: wheel for wheel in wheels}

    def make(plugin: str) -> Path:
        python = make_environment(tmp_path / "alone")
        pip(python, "install", *needed(ours[f"chain_callbacks_{plugin}"], ours))
        return python

    return make
