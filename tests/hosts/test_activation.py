"""Bridges as plugins: found by their entry points, set up when their host is imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BRIDGE = """
import sys
def bridge():
    print("bridged", sys.modules["aged"].__name__)
def fails():
    raise LookupError("no such thing")
"""

STRANGE = """
print("strange module imported")
def bridge():
    print("strange bridge called")
"""
NAMED = {"CHAIN_CALLBACKS_HOSTS": "aged"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a host, ``aged``, and nothing that bridges it."""
    (tmp_path / "aged.py").write_text("print('host')\n", "utf-8")
    return tmp_path


def install(site: Path, host: str = "aged", function: str = "bridge", **fields: str) -> None:
    """Put a distribution into *site* that bridges *host*."""
    name = fields.get("name", "cc-aged")
    (site / "aged_bridge.py").write_text(BRIDGE, "utf-8")
    (site / "strange.py").write_text(STRANGE, "utf-8")
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2"]
    lines += [f"Requires-Dist: {fields['requires']}"] if "requires" in fields else []
    (info / "METADATA").write_text("\n".join(lines) + "\n", "utf-8")
    module = fields.get("module", "aged_bridge")
    entry = f"[chain_callbacks.hosts]\n{host} = {module}:{function}\n{fields.get('more', '')}"
    (info / "entry_points.txt").write_text(entry, "utf-8")


def run(
    site: Path, *command: str, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith("CHAIN_CALLBACKS")}
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=site,
        env={**outside, "PYTHONPATH": str(site), **variables},
    )
    assert code == done.returncode, done.stderr
    return done


def test_bridge_is_set_up_after_its_host(site: Path) -> None:
    """Not before, and whichever is imported first."""
    install(site)

    before = run(
        site, "-c", "import chain_callbacks.auto; print('first'); import aged, aged", **NAMED
    )
    after = run(
        site, "-c", "import aged; import chain_callbacks.auto, chain_callbacks.auto", **NAMED
    )

    assert "first\nhost\nbridged aged\n" == before.stdout
    assert "host\nbridged aged\n" == after.stdout


def test_absent_host_costs_nothing(site: Path) -> None:
    """The plugin is not imported where its host is not."""
    install(site)
    code = "import sys, chain_callbacks.auto; print('aged_bridge' in sys.modules)"

    assert "False\n" == run(site, "-c", code, **NAMED).stdout


def test_nothing_is_bridged_that_nobody_asked_for(site: Path) -> None:
    """Installed is not enabled: handlers alone set nothing up."""
    install(site)
    code = "import aged, chain_callbacks; chain_callbacks.resolve('structlog')"

    assert "host\n" == run(site, "-c", code, **NAMED).stdout


def test_bridge_that_fails_breaks_nothing_and_is_known(site: Path) -> None:
    """The program goes on; what became of it can be asked for."""
    install(site, function="fails")
    code = (
        "import chain_callbacks.auto, aged\n"
        "from chain_callbacks.hosts import bridges\n"
        "print([(each.status, each.reason) for each in bridges() if each.host == 'aged'])"
    )

    done = run(site, "-c", code, **NAMED)

    assert "host\n[('failed', 'LookupError: no such thing')]\n" == done.stdout
    assert "The program goes on without it." in done.stderr


def test_host_of_ours_cannot_be_taken_over(site: Path) -> None:
    """As with names of handlers: another distribution that claims one is not asked."""
    (site / "langgraph.py").write_text("", "utf-8")
    install(site, host="langgraph", name="evil")
    code = (
        "import chain_callbacks.auto\n"
        "from chain_callbacks.hosts import bridges\n"
        "print([each for each in bridges() if each.distribution == 'evil'])"
    )

    assert "[]\n" == run(site, "-c", code).stdout


@pytest.mark.parametrize(
    ("requires", "is_present", "status", "cause"),
    [
        (None, True, "ok", "aged is bridged where a program asks for it"),
        (None, False, "note", "not installed: there is nothing to bridge"),
        (
            "chain-callbacks>=7",
            True,
            "problem",
            "aged is not bridged: it needs chain-callbacks>=7, and this is",
        ),
    ],
)
def test_doctor_says_what_bridges_a_host(
    site: Path,
    requires: str | None,
    is_present: bool,  # noqa: FBT001
    status: str,
    cause: str,
) -> None:
    """Whether it is there, bridged, and by which version; nothing is imported for that."""
    install(site, **({"requires": requires} if requires else {}))
    if not is_present:
        (site / "aged.py").unlink()

    done = run(
        site,
        *("-m", "chain_callbacks", "doctor", "--json"),
        code=1 if status == "problem" else 0,
        **NAMED,
    )

    (finding,) = [each for each in json.loads(done.stdout)["findings"] if each["subject"] == "aged"]
    assert (status, "cc-aged", "1.2") == tuple(
        finding[key] for key in ("status", "distribution", "version")
    )
    assert finding["cause"].startswith(cause)


STRANGE_CLAIMS = (
    "langgraph = strange:bridge\n"
    "[chain_callbacks.conversions]\n"
    "langchain_core = strange:bridge\nstructlog = strange:bridge\n"
    "[chain_callbacks]\n"
    "otel = strange:bridge\n"
)


@pytest.mark.parametrize(
    "command",
    [
        ("-c", "import chain_callbacks.auto, aged, json, langgraph"),
        ("-m", "chain_callbacks", "run", "program.py"),
        ("-m", "chain_callbacks", "run", "--children", "-m", "program"),
        ("-c", "from chain_callbacks.hosts import activate; activate(); import program"),
    ],
    ids=["auto", "run", "children", "activate"],
)
def test_strangers_bridges_are_not_imported(site: Path, command: tuple[str, ...]) -> None:
    """What another distribution offers runs no code where the operator does not name it."""
    (site / "langgraph.py").write_text("", "utf-8")
    (site / "program.py").write_text("import aged, json, langgraph", "utf-8")
    install(site, module="strange", more=f"json = strange:bridge\n{STRANGE_CLAIMS}")

    done = run(site, *command)

    assert ("host\n", "") == (done.stdout, done.stderr)


def test_conversions_are_our_own(site: Path) -> None:
    """A handler of another framework's is never told through a stranger's code."""
    install(site, module="strange", more=STRANGE_CLAIMS)
    code = (
        "from chain_callbacks.resolution.converting import find_conversion\n"
        "print([find_conversion(each) is None for each in ('structlog', 'aged')])\n"
        "find_conversion('langchain_core')\n"
    )

    assert "[True, True]\n" == run(site, "-c", code).stdout


def test_a_stranger_is_set_up_by_its_distribution(site: Path) -> None:
    """`distribution/host` means it, also where the name of the host is ours."""
    (site / "langgraph.py").write_text("", "utf-8")
    install(site, host="langgraph", name="evil", module="strange")
    code = "import chain_callbacks.auto, langgraph"

    done = run(site, "-c", code, CHAIN_CALLBACKS_HOSTS="-langgraph,evil/langgraph")

    assert "strange module imported\nstrange bridge called\n" == done.stdout


SELECTED = """
import json, os
from chain_callbacks.hosts.selection import selection
for hosts in json.loads(os.environ["TABLE"]):
    os.environ["CHAIN_CALLBACKS_HOSTS"] = hosts
    chosen, problems = selection()
    ours = [each.name for each in chosen if each.is_first_party]
    others = [f"{each.distribution} {each.name}" for each in chosen if not each.is_first_party]
    print(json.dumps([ours, others, problems]))
"""
ALL = ["anthropic", "langchain_core", "langgraph", "openai"]
THEIRS, ACME = "vendor-openai openai", "vendor-acme acme.core"
ONE, TWO = "vendor-one shared", "vendor-two shared"
NO_NAME = ["no name of a host", "write its import name, such as openai"]
NOTHING = "no bridge to it is installed"

TABLE = [
    ("", ALL, [], []),
    ("openai", ALL, [], []),
    ("-openai", ["anthropic", "langchain_core", "langgraph"], [], []),
    ("-chain-callbacks-openai/openai", ["anthropic", "langchain_core", "langgraph"], [], []),
    ("-langchain-core,-openai", ["anthropic", "langgraph"], [], []),
    ("none", [], [], []),
    ("none,openai", ["openai"], [], []),
    ("-openai,vendor-openai/openai", ["anthropic", "langchain_core", "langgraph"], [THEIRS], []),
    ("vendor-openai/openai", ALL, [THEIRS], []),
    ("acme.core", ALL, [ACME], []),
    ("ACME_core, acme-core", ALL, [ACME], []),
    ("vendor-acme/acme.core", ALL, [ACME], []),
    ("vendor-one/shared,acme.core", ALL, [ONE, ACME], []),
    ("acme.core,-acme.core", ALL, [], []),
    ("vendor-one/shared,vendor-two/shared,-shared", ALL, [], []),
    ("vendor-one/shared,vendor-two/shared,-vendor-one/shared", ALL, [TWO], []),
    ("acme.core,none", [], [], []),
    ("none,acme.core", [], [ACME], []),
    ("shared", ALL, [],
     [["shared", "offered by vendor-one and vendor-two", "write vendor-one/shared"]]),
    ("acm.core", ALL, [], [["acm.core", NOTHING, "Did you mean 'acme.core'?"]]),
    ("-opnai", ALL, [], [["-opnai", NOTHING, "Did you mean 'openai'?"]]),
    ("one/acme.core", ALL, [], [["one/acme.core", NOTHING, "Did you mean 'acme.core'?"]]),
    ("zzz,acme.core", ALL, [ACME], [["zzz", NOTHING, "install one, or remove the name"]]),
    ("acme.core:eu", ALL, [], [["acme.core:eu", *NO_NAME]]),
    ("my host,acme.core", ALL, [ACME], [["my host", *NO_NAME]]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("hosts", "ours", "others", "problems"), TABLE, ids=[row[0] or "nothing" for row in TABLE]
)
def test_what_the_operator_selects(
    selected: dict[str, list[object]],
    hosts: str,
    ours: list[str],
    others: list[str],
    problems: list[list[str]],
) -> None:
    """The entries are folded onto our own bridges, in their order; what is wrong is said."""
    assert [ours, others, problems] == selected[hosts]


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """What each row of the table selects, found by one interpreter for all of them."""
    site = tmp_path_factory.mktemp("site")
    install_our_own(site)
    for name, host in (
        ("vendor-openai", "openai"),
        ("vendor-acme", "acme.core"),
        ("vendor-one", "shared"),
        ("vendor-two", "shared"),
    ):
        install(site, host=host, name=name)
    rows = [row[0] for row in TABLE]
    printed = run(site, "-c", SELECTED, TABLE=json.dumps(rows)).stdout.splitlines()
    return {row: json.loads(line) for row, line in zip(rows, printed, strict=True)}


def install_our_own(site: Path) -> None:
    for name, host in (("openai", "openai"), ("anthropic", "anthropic")):
        install(site, host=host, name=f"chain-callbacks-{name}")
    install(
        site,
        host="langchain_core",
        name="chain-callbacks-langchain",
        more="langgraph = aged_bridge:bridge\n",
    )


CHOSEN = """
import chain_callbacks.auto
from chain_callbacks.hosts import bridges
print([each.host for each in bridges() if each.status != "idle"])
"""


@pytest.fixture
def our_own(site: Path) -> Path:
    """What our distributions offer, and no others of ours."""
    install_our_own(site)
    return site


def test_the_file_names_hosts_too(our_own: Path) -> None:
    """`hosts` of the operator's file is read, and the variable beats it."""
    (our_own / "own.toml").write_text('hosts = ["none", "openai"]\n', "utf-8")
    file = {"CHAIN_CALLBACKS_CONFIG": str(our_own / "own.toml")}

    assert "['openai']\n" == run(our_own, "-c", CHOSEN, **file).stdout
    done = run(our_own, "-c", CHOSEN, **file, CHAIN_CALLBACKS_HOSTS="none,anthropic")
    assert "['anthropic']\n" == done.stdout


def test_what_is_wrong_in_the_list_is_warned_of(our_own: Path) -> None:
    """The program goes on, and the other entries hold."""
    done = run(our_own, "-c", CHOSEN, CHAIN_CALLBACKS_HOSTS="none,opnai,openai")

    assert "['openai']\n" == done.stdout
    assert (
        "CHAIN_CALLBACKS_HOSTS names 'opnai': no bridge to it is installed.\n"
        "Did you mean 'openai'?\n"
    ) == done.stderr


def test_another_setting_that_is_wrong_lets_no_stranger_in(site: Path) -> None:
    """Asking for bridges raises nothing: the first run says what is wrong."""
    install(site, module="strange")
    code = "import chain_callbacks.auto, aged"

    done = run(site, "-c", code, **NAMED, CHAIN_CALLBACKS_DENY="a b")

    assert ("host\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("host", "hosts", "status", "cause", "remedy"),
    [
        ("aged", "", "note",
         "cc-aged offers a bridge, set up only if CHAIN_CALLBACKS_HOSTS names it",
         "to use it, name aged in CHAIN_CALLBACKS_HOSTS"),
        ("langgraph", "", "note",
         ("cc-aged offers a bridge, set up only if CHAIN_CALLBACKS_HOSTS names it; "
          "chain-callbacks-langchain owns the name"),
         "to use it, name cc-aged/langgraph in CHAIN_CALLBACKS_HOSTS"),
        ("aged", "agd", "problem", "no bridge to it is installed", "Did you mean 'aged'?"),
    ],
)  # fmt: skip
def test_doctor_says_whose_bridges_are_not_set_up(
    site: Path, host: str, hosts: str, status: str, cause: str, remedy: str
) -> None:
    """A stranger's bridge is a note, and what the operator names in vain a problem."""
    install(site, host=host)
    (site / "langgraph.py").write_text("", "utf-8")

    done = run(
        site,
        *("-m", "chain_callbacks", "doctor", "--json"),
        code=1 if status == "problem" else 0,
        CHAIN_CALLBACKS_HOSTS=hosts,
    )

    findings = json.loads(done.stdout)["findings"]
    assert (status, cause, remedy) in [
        (each["status"], each["cause"], each["remedy"]) for each in findings
    ]


def test_doctor_says_which_of_ours_are_taken_out(our_own: Path) -> None:
    """It is no problem: somebody asked for it."""
    done = run(
        our_own,
        *("-m", "chain_callbacks", "doctor", "--json"),
        CHAIN_CALLBACKS_HOSTS="-langgraph",
    )

    causes = [each["cause"] for each in json.loads(done.stdout)["findings"]]
    assert "CHAIN_CALLBACKS_HOSTS takes the bridge of chain-callbacks-langchain out" in causes


def test_list_shows_the_bridges_and_what_to_write_for_them(our_own: Path) -> None:
    """Ours are enabled, a stranger's is where it is named; nothing is imported."""
    install(our_own, host="openai", name="evil", module="strange")
    install(our_own, host="aged", module="strange")
    command = ("-m", "chain_callbacks", "list")

    shown = json.loads(run(our_own, *command, "--json", **NAMED).stdout)["bridges"]
    text = run(our_own, *command, CHAIN_CALLBACKS_HOSTS="-openai").stdout

    assert [
        ("aged", True),
        ("anthropic", True),
        ("langchain_core", True),
        ("langgraph", True),
        ("openai", True),
        ("evil/openai", False),
    ] == [(each["entry"], each["enabled"]) for each in shown]
    assert {"bridge"} == {each["kind"] for each in shown}
    assert re.search(r"^openai +- \(bridge\) +chain-callbacks-openai ", text, re.MULTILINE)
    assert re.search(r"^anthropic +yes \(bridge\) +chain-callbacks-anthropic ", text, re.MULTILINE)
    assert "strange" not in text
