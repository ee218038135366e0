"""The checks of this repository: `nox` runs the tests, `nox --list` shows the rest."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")
PLUGINS = sorted(path.parent.name for path in Path("plugins").glob("*/pyproject.toml"))


def install(session: nox.Session, *plugins: str, group: str = "tests") -> None:
    """Install the core and *plugins* from the tree, with the tools of a dependency group.

    Both are named by path, in one command, so that pip never looks for ours on an index.
    """
    paths = [f"./plugins/{plugin}" for plugin in plugins]
    session.install(".[test]", *paths, *nox.project.dependency_groups(PROJECT, group))


def run_tests(session: nox.Session) -> None:
    """Run all tests but those that build wheels, on the interpreter of *session*."""
    install(session, *PLUGINS)
    paths = ["tests", *(f"plugins/{plugin}/tests" for plugin in PLUGINS)]
    session.run("pytest", "-m", "not wheels and not soak", *(session.posargs or paths))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests of the core and of every plugin on the interpreter at hand."""
    run_tests(session)


@nox.session(python=["3.11", "3.12", "3.13"])
def tests_all(session: nox.Session) -> None:
    """Run the same tests on every supported version that is installed."""
    run_tests(session)


@nox.session
@nox.parametrize(
    "name", [nox.param(name, id=name.removeprefix("chain-callbacks-")) for name in PLUGINS]
)
def plugin(session: nox.Session, name: str) -> None:
    """Run the tests of one plugin, alone with the core."""
    install(session, name)
    session.run("pytest", f"plugins/{name}/tests", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every wheel from the tree and try them in a clean environment."""
    install(session)
    session.run("pytest", "tests/wheels", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run by the hundred thousand, to see that nothing grows."""
    install(session)
    session.run("pytest", "-m", "soak", "tests", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the layers of imports."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: mypy --strict on everything, pyright on the core and its public API."""
    install(session, *PLUGINS, group="typing")
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples of the README and of the docs."""
    install(session, *PLUGINS)
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the peers, in one run; arguments go to `python -m benchmarks`."""
    install(session, group="bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demonstration, with the handlers named after `--`."""
    session.install(".")
    session.run("chain-callbacks", "demo", *session.posargs)
