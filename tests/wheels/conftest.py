"""Wheels built from the tree, and an environment that has nothing else."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

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
    pip(builder, "wheel", "--no-deps", "--wheel-dir", folder, *sources)
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


@pytest.fixture
def python_with(wheels: tuple[Path, ...], tmp_path: Path) -> Callable[[str], Path]:
    """Makes an environment with the wheels of the core and of one plugin; its Python."""

    def make(plugin: str) -> Path:
        ours = ("chain_callbacks-", f"chain_callbacks_{plugin}-")
        python = make_environment(tmp_path / "alone")
        pip(python, "install", *(each for each in wheels if each.name.startswith(ours)))
        return python

    return make
