"""Every example of the README and the documentation runs, and prints what the page says.

The Python blocks of a page are one program, run in a folder of the page's own. A block that begins
with its file's name, ``# app.py``, is a file in that folder instead, for the commands to use; a
``# pyproject.toml`` with entry points is installed there, as far as discovery can tell. A command
finds the files that stand above it, the program finds all.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BIN = Path(sys.executable).parent
README_COMMANDS = ("pip install . && chain-callbacks demo", "pip install nox && nox -s tests")

_LANGUAGES = ("output", "python", "sh", "text", "toml")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^ *(?:```|~~~)", re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_INSTALL = re.compile(r"^pip install (.+)\n", re.MULTILINE)
_VARYING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d+\.\d+ ?m?s\b"), "TIME"),
    (re.compile(r'("?\bduration_ms"?[:=] ?)\d+\.\d+'), r"\1TIME"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "NOW"),
    (re.compile(r"\b\d+\.\d+\.\d+\b"), "VERSION"),
    (re.compile(r"\S*site-packages\b"), "SITE"),
    # Columns are as wide as what varies in them.
    (re.compile(r"(?<=\S) {2,}"), "  "),
)


class Block(NamedTuple):
    """A fenced block, its place on the page, and the output below it; "" where there is none."""

    place: int
    language: str
    source: str
    output: str

    @property
    def file(self) -> str | None:
        """The name of the file that it is; None for what is run."""
        found = _FILE.match(self.source)
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in their order."""
    blocks = _BLOCK.findall(page.read_text("utf-8"))
    following = [*blocks, ("", "")][1:]
    return [
        Block(place, language, source, after[1] if after[0] == "output" else "")
        for place, ((language, source), after) in enumerate(zip(blocks, following, strict=True))
    ]


def program_of(page: Path) -> list[Block]:
    """Return the blocks that make up the program of a page."""
    return [each for each in blocks_of(page) if each.language == "python" and not each.file]


def commands_of(page: Path) -> list[Block]:
    """Return the blocks of a page that a shell runs here."""
    return [
        each
        for each in blocks_of(page)
        if each.language == "sh"
        and each.source.strip() not in README_COMMANDS
        and _INSTALL.sub("", each.source).strip()
    ]


def steady(text: str) -> str:
    """Return *text* with what differs from run to run, and from machine to machine, taken out."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def told(printed: str, page: Path, block: Block) -> str:
    """Return what a reader of the page sees: without our plugins that it does not name by then.

    Those that the output itself names are part of it.
    """
    before, _, after = page.read_text("utf-8").partition(block.source)
    text = before + block.source + after[: after.find("\n#")]
    others = [each.name for each in ROOT.glob("plugins/*") if each.name not in text]
    # What a diagnosis says of one thing is a line and, indented, what belongs to it.
    entries = re.split(r"\n(?! {9})", printed)
    return "\n".join(each for each in entries if not any(other in each for other in others))


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def install(pyproject: str, folder: Path) -> None:
    """Put into *folder* what installing the project would leave for discovery."""
    project = tomllib.loads(pyproject).get("project", {})
    if "name" not in project:
        return
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}"]
    lines += [f"Requires-Dist: {each}" for each in project.get("dependencies", ())]
    info.joinpath("METADATA").write_text("\n".join(lines) + "\n", "utf-8")
    groups = project.get("entry-points", {})
    entries = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in groups.items()
    ]
    info.joinpath("entry_points.txt").write_text("\n".join(entries), "utf-8")


def prepare(folder: Path, blocks: list[Block]) -> Path:
    """Return a folder in *folder* with those of *blocks* that are files."""
    # Its name is that of where plugins are, so that what is shown of it is steady.
    made = folder / "site-packages"
    made.mkdir()
    for each in blocks:
        if each.file:
            path = made / each.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(each.source, "utf-8")
            if path.name == "pyproject.toml":
                install(each.source, made)
    return made


def run(*command: str, folder: Path) -> str:
    """Return what a command prints in *folder*, on both streams; it must succeed."""
    outside = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CHAIN_CALLBACKS", "PYTEST_", "PYTHON"))
    }
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        encoding="utf-8",
        env={
            **outside,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            # Where this test finds the package, and what the page itself installs.
            "PYTHONPATH": os.pathsep.join(
                [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
            "COLUMNS": "100",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if program_of(page)], ids=name)
def test_python_of_a_page_prints_what_it_says(page, tmp_path):
    """The Python blocks of a page are one program; each prints its output block, or nothing."""
    mark = "-- the next example --"
    blocks = program_of(page)
    folder = prepare(tmp_path, blocks_of(page))
    program = folder / "example.py"
    # On both streams: what one block writes to stderr must not come before what another prints.
    next_one = f"\nimport sys; print({mark!r}, flush=True); sys.stderr.flush()\n"
    program.write_text(next_one.join(each.source for each in blocks), "utf-8")

    printed = run(sys.executable, "-u", "-W", "error", str(program), folder=folder).split(mark)

    assert len(blocks) == len(printed)
    for block, output in zip(blocks, printed, strict=True):
        assert steady(block.output) == steady(output)


@pytest.mark.parametrize(
    ("page", "block"),
    [
        pytest.param(page, each, id=f"{name(page)}: {each.source.splitlines()[0][:60]}")
        for page in PAGES
        for each in commands_of(page)
    ],
)
def test_command_of_a_page_prints_what_it_says(page, block, tmp_path):
    """A command in a page succeeds and prints its output block, or nothing."""
    folder = prepare(tmp_path, blocks_of(page)[: block.place])
    script = "set -e\n" + _INSTALL.sub("", block.source)

    printed = told(run("sh", "-c", script, folder=folder), page, block)

    assert steady(block.output) == steady(printed)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_of_a_page_are_used_in_it(page):
    """A block that is a file is named in another one, which is run or installed."""
    blocks = blocks_of(page)
    for each in blocks:
        if each.file and not each.file.endswith("pyproject.toml"):
            stem = Path(each.file).stem
            users = [other for other in blocks if other is not each and stem in other.source]
            assert users, f"nothing in {name(page)} uses {each.file}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_of_a_page_are_of_known_languages(page):
    """No block escapes the tests by a language that nobody knows, or by being indented."""
    text = page.read_text("utf-8")
    languages = [each.language for each in blocks_of(page)]

    assert set(languages) <= {*_LANGUAGES}
    assert len(_FENCE.findall(text)) == 2 * len(languages)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_a_page_leave_no_variable_behind(page):
    """Each block prints what it says for who follows the page in one shell, too."""
    assert [each.source for each in commands_of(page) if "export " in each.source] == []


def test_pages_install_only_what_there_is():
    """What a page tells to install is a folder of this repository, one of ours, or its own."""
    known = {
        tomllib.loads(path.read_text("utf-8"))["project"]["name"]
        for path in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml"))
    }
    for page in PAGES:
        for told in re.findall(r"pip install ([^`\n|&#]+)", page.read_text("utf-8")):
            for word in told.split():
                is_folder = word.startswith(".") and (ROOT / word / "pyproject.toml").is_file()
                assert is_folder or word in {"-e", "nox", *known}, f"{name(page)}: {word}"


def test_pages_install_a_plugin_with_those_it_depends_on():
    """No command that installs a plugin from the tree has pip look for another one on an index."""
    projects = [
        tomllib.loads(path.read_text("utf-8"))["project"]
        for path in ROOT.glob("plugins/*/pyproject.toml")
    ]
    ours = {each["name"] for each in projects}
    needed = {
        each["name"]: ours & {Requirement(line).name for line in each["dependencies"]}
        for each in projects
    }
    assert {"chain-callbacks-clients"} == needed["chain-callbacks-openai"]
    for page in PAGES:
        for told in re.findall(r"pip install ([^`\n|&#]+)", page.read_text("utf-8")):
            installed = {Path(word).name for word in told.split() if word.startswith("./plugins/")}
            missing = {each for plugin in installed for each in needed[plugin]} - installed
            assert not missing, f"{name(page)}: {told} lacks {missing}"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(b.file == "pyproject.toml" for b in blocks_of(page))],
    ids=name,
)
def test_plugins_of_a_page_pack_the_module_they_point_to(page):
    """A wheel that is built as the page says has the module of its entry point in it."""
    for each in blocks_of(page):
        if each.file == "pyproject.toml":
            data = tomllib.loads(each.source)
            tools = data["tool"]
            packed = {
                *tools.get("setuptools", {}).get("py-modules", ()),
                *(
                    Path(path).stem
                    for path in tools.get("hatch", {})
                    .get("build", {})
                    .get("targets", {})
                    .get("wheel", {})
                    .get("only-include", ())
                ),
            }
            groups = data["project"]["entry-points"]
            values = [value for points in groups.values() for value in points.values()]

            assert {value.partition(":")[0] for value in values} <= packed


def test_readme_has_the_two_commands_that_ci_runs():
    """The commands a newcomer copies are those that are tried in a fresh environment."""
    shown = [each.source.strip() for each in blocks_of(ROOT / "README.md") if each.language == "sh"]
    tried = (ROOT / ".ci" / "run").read_text("utf-8")

    assert list(README_COMMANDS) == [each for each in shown if each in README_COMMANDS]
    assert all(f"'{command}'" in tried for command in README_COMMANDS)


def test_readme_names_no_machine():
    """What is shown to everybody has no path of whoever wrote it."""
    text = (ROOT / "README.md").read_text("utf-8")

    assert re.findall(r"(?<![\w.])/(?:home|work|tmp|root|Users|opt|usr)\b|[A-Z]:\\", text) == []


@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.language == "toml" for b in blocks_of(p))], ids=name
)
def test_toml_of_a_page_can_be_read(page):
    """What is to be copied into a file is TOML."""
    for each in blocks_of(page):
        if each.language == "toml":
            assert tomllib.loads(each.source)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_a_page_lead_somewhere(page):
    """Every link to a file of this repository leads to one."""
    links = [each for each in _LINK.findall(page.read_text("utf-8")) if "//" not in each]

    assert [each for each in links if not (page.parent / each).exists()] == []
