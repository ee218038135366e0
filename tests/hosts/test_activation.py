"""Bridges as plugins: found by their entry points, set up when their host is imported."""

from __future__ import annotations

import json
import os
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


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a host, ``aged``, and nothing that bridges it."""
    (tmp_path / "aged.py").write_text("print('host')\n", "utf-8")
    return tmp_path


def install(site: Path, host: str = "aged", function: str = "bridge", **fields: str) -> None:
    """Put a distribution into *site* that bridges *host*."""
    name = fields.get("name", "cc-aged")
    (site / "aged_bridge.py").write_text(BRIDGE, "utf-8")
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2"]
    lines += [f"Requires-Dist: {fields['requires']}"] if "requires" in fields else []
    (info / "METADATA").write_text("\n".join(lines) + "\n", "utf-8")
    entry = f"[chain_callbacks.hosts]\n{host} = aged_bridge:{function}\n"
    (info / "entry_points.txt").write_text(entry, "utf-8")


def run(site: Path, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith("CHAIN_CALLBACKS")}
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=site,
        env={**outside, "PYTHONPATH": str(site)},
    )
    assert code == done.returncode, done.stderr
    return done


def test_bridge_is_set_up_after_its_host(site: Path) -> None:
    """Not before, and whichever is imported first."""
    install(site)

    before = run(site, "-c", "import chain_callbacks.auto; print('first'); import aged, aged")
    after = run(site, "-c", "import aged; import chain_callbacks.auto, chain_callbacks.auto")

    assert "first\nhost\nbridged aged\n" == before.stdout
    assert "host\nbridged aged\n" == after.stdout


def test_absent_host_costs_nothing(site: Path) -> None:
    """The plugin is not imported where its host is not."""
    install(site)
    code = "import sys, chain_callbacks.auto; print('aged_bridge' in sys.modules)"

    assert "False\n" == run(site, "-c", code).stdout


def test_nothing_is_bridged_that_nobody_asked_for(site: Path) -> None:
    """Installed is not enabled: handlers alone set nothing up."""
    install(site)
    code = "import aged, chain_callbacks; chain_callbacks.resolve('structlog')"

    assert "host\n" == run(site, "-c", code).stdout


def test_bridge_that_fails_breaks_nothing_and_is_known(site: Path) -> None:
    """The program goes on; what became of it can be asked for."""
    install(site, function="fails")
    code = (
        "import chain_callbacks.auto, aged\n"
        "from chain_callbacks.hosts import bridges\n"
        "print([(each.status, each.reason) for each in bridges() if each.host == 'aged'])"
    )

    done = run(site, "-c", code)

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
            "aged is not bridged: it is made for chain-callbacks>=7, and this is",
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
        site, "-m", "chain_callbacks", "doctor", "--json", code=1 if status == "problem" else 0
    )

    (finding,) = [each for each in json.loads(done.stdout)["findings"] if each["subject"] == "aged"]
    assert (status, "cc-aged", "1.2") == tuple(
        finding[key] for key in ("status", "distribution", "version")
    )
    assert finding["cause"].startswith(cause)
