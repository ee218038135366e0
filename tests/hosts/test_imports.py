"""Functions that follow an import: when they are called, and what they leave as it was."""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chain_callbacks.hosts import after_import
from chain_callbacks.hosts.imports import finder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that can be imported, ``tried``, with a module ``part``."""
    folder = tmp_path / "tried"
    folder.mkdir()
    (folder / "__init__.py").write_text("value = 1\n", "utf-8")
    (folder / "part.py").write_text("import tried\nvalue = tried.value + 1\n", "utf-8")
    (folder / "data.txt").write_text("data", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "tried"]:
        del sys.modules[name]
    finder._waiting.clear()


@pytest.fixture
def called() -> list[str]:
    return []


def noting(called: list[str], name: str) -> Callable[[], None]:
    return lambda: called.append(name)


def test_function_is_called_once_after_the_module_has_run(package: Path, called: list[str]) -> None:
    """Not when it is registered, not before the module's own code is done, not twice."""
    after_import("tried", lambda: called.append(str(sys.modules["tried"].value)))
    assert [] == called

    importlib.import_module("tried")
    importlib.reload(sys.modules["tried"])

    assert ["1"] == called


def test_function_is_called_at_once_where_the_module_is_there(
    package: Path, called: list[str]
) -> None:
    """It does not matter which of the two comes first."""
    importlib.import_module("tried")

    after_import("tried", noting(called, "now"))

    assert ["now"] == called


def test_functions_for_a_part_are_called_after_that_part(package: Path, called: list[str]) -> None:
    """A function may wait for another module in its turn."""
    after_import("tried", lambda: after_import("tried.part", noting(called, "part")))

    importlib.import_module("tried")
    assert [] == called

    importlib.import_module("tried.part")
    assert ["part"] == called


def test_function_waits_for_a_module_that_is_being_imported(
    package: Path, called: list[str]
) -> None:
    """What is half imported is not there yet."""
    (package / "__init__.py").write_text("import tried.part\nvalue = 1\n", "utf-8")
    (package / "part.py").write_text("", "utf-8")
    after_import("tried", noting(called, "first"))
    after_import(
        "tried.part",
        lambda: after_import("tried", lambda: called.append(str(sys.modules["tried"].value))),
    )

    importlib.import_module("tried")

    assert ["first", "1"] == called


def test_namespace_package_is_waited_for(package: Path, called: list[str]) -> None:
    """A package without code of its own is imported too."""
    (package / "__init__.py").unlink()
    after_import("tried", noting(called, "namespace"))

    module = importlib.import_module("tried")

    assert ["namespace"] == called
    assert [str(package)] == [*module.__path__]
    assert module.__file__ is None


def test_module_is_left_as_it_would_be_without_us(package: Path, called: list[str]) -> None:
    """Its loader, its source and its resources are those of the loader that found it."""
    after_import("tried", noting(called, "there"))

    module = importlib.import_module("tried")

    expected = importlib.util.find_spec("tried.part").loader
    assert type(expected) is type(module.__loader__) is type(module.__spec__.loader)
    assert "value = 1\n" == inspect.getsource(module)
    assert "data" == importlib.resources.files("tried").joinpath("data.txt").read_text("utf-8")


def test_module_that_warns_names_who_imports_it(package: Path, called: list[str]) -> None:
    """A program that makes errors of warnings may except a module of its own: by name, not ours."""
    warning = "import warnings\nwarnings.warn('tried is old', DeprecationWarning, stacklevel=2)\n"
    (package / "__init__.py").write_text(warning, "utf-8")
    after_import("tried", noting(called, "there"))

    with pytest.warns(DeprecationWarning, match="tried is old") as warned:
        import tried  # noqa: F401  # pyright: ignore[reportMissingImports]

    assert [__file__] == [each.filename for each in warned]
    assert ["there"] == called


def test_traceback_of_a_module_that_fails_is_as_it_would_be_without_us(
    package: Path, called: list[str]
) -> None:
    """It shows who imports, and the module, and nothing between."""
    (package / "__init__.py").write_text("import tried_and_absent\n", "utf-8")
    after_import("tried", noting(called, "there"))

    with pytest.raises(ModuleNotFoundError) as failed:
        import tried  # noqa: F401  # pyright: ignore[reportMissingImports]

    shown = [each.filename for each in traceback.extract_tb(failed.value.__traceback__)]
    assert [__file__, str(package / "__init__.py")] == shown


def test_module_that_fails_is_waited_for_again(package: Path, called: list[str]) -> None:
    """An import that raises raises what it would, and is no import."""
    (package / "__init__.py").write_text("raise LookupError\n", "utf-8")
    after_import("tried", noting(called, "at last"))

    with pytest.raises(LookupError):
        importlib.import_module("tried")
    assert [] == called

    (package / "__init__.py").write_text("value = 10\n", "utf-8")
    importlib.invalidate_caches()
    importlib.import_module("tried")
    assert ["at last"] == called


def test_function_that_fails_breaks_no_import(
    package: Path, called: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; the next one is called."""

    def fails() -> None:
        raise ZeroDivisionError

    after_import("tried", fails)
    after_import("tried", noting(called, "next"))

    assert 1 == importlib.import_module("tried").value
    assert ["next"] == called
    sentence = "What was to follow the import of tried failed with ZeroDivisionError."
    assert [f"{sentence} The program goes on without it."] == caplog.messages


def test_module_that_is_not_there_is_not_there(package: Path, called: list[str]) -> None:
    """Waiting for a module does not make it up."""
    after_import("tried.absent", noting(called, "absent"))

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tried.absent")
    assert importlib.util.find_spec("tried.absent") is None
    assert [] == called
