"""What our wheels carry, and that they install together."""

from __future__ import annotations

import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.wheels


def test_wheels_carry_license_and_marker(wheels: tuple[Path, ...]) -> None:
    """Each distribution has one wheel, with its licence, and each of its packages is typed."""
    assert len(wheels) == 1 + len([*ROOT.glob("plugins/*/pyproject.toml")])
    for wheel in wheels:
        package, version = wheel.name.split("-")[:2]
        with ZipFile(wheel) as archive:
            names = archive.namelist()
            license_file = f"{package}-{version}.dist-info/licenses/LICENSE"
            assert license_file in names
            assert archive.read(license_file).startswith(b"MIT License")
        assert f"{package}/py.typed" in names


def test_clean_environment_has_the_command_line(clean_python: Path) -> None:
    """The wheels install together, by path, and what they need is there."""
    subprocess.run([clean_python, "-m", "pip", "check"], check=True)
    subprocess.run([clean_python.with_name("chain-callbacks"), "list"], check=True)
