"""Every name that a distribution of this repository offers is owned by it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from chain_callbacks import resolve
from chain_callbacks.errors import HandlerDeniedError, UnknownHandlerError
from chain_callbacks.resolution.names import handler_name
from chain_callbacks.resolution.ownership import FIRST_PARTY, GROUP
from chain_callbacks.runnables import RunnableLambda

from .conftest import HANDLER

ROOT = Path(__file__).parents[2]
HANDLERS = sorted(FIRST_PARTY[GROUP].items())
STRANGE = {"strange_x": HANDLER.format(name="Handler")}


def offered() -> dict[str, dict[str, str]]:
    """Return what the projects of the tree offer in our groups: each name, and its distribution."""
    found: dict[str, dict[str, str]] = {}
    for path in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(path.read_text("utf-8"))["project"]
        for group, names in project.get("entry-points", {}).items():
            if group.partition(".")[0] == GROUP:
                owners = found.setdefault(group, {})
                for name in names:
                    key = handler_name(name) if group == GROUP else name
                    assert key not in owners, f"{name} is offered twice"
                    owners[key] = project["name"]
    return found


def test_every_name_of_the_tree_is_owned_by_its_distribution():
    """Handlers, hosts and conversions: adding one means adding it to the one table."""
    assert offered() == FIRST_PARTY


@pytest.mark.parametrize(("name", "owner"), HANDLERS)
def test_a_stranger_is_not_reached_by_a_name_of_ours(fake_distribution, site, name, owner):
    """It is refused with how to get ours, also where it is the only one; nothing is imported."""
    for stranger in ("evil", "worse"):
        fake_distribution(stranger, entry_points={name: "strange_x:Handler"}, modules=STRANGE)
    with pytest.raises(UnknownHandlerError) as caught:
        resolve([name])
    assert (owner, f"pip install {owner}") == (
        caught.value.distribution,
        str(caught.value).splitlines()[-1],
    )
    assert "strange_x" not in sys.modules


@pytest.mark.parametrize(("name", "owner"), HANDLERS)
def test_ours_is_meant_where_strangers_claim_its_name(fake_distribution, site, name, owner):
    """The name is not ambiguous: it means ours, and `distribution/name` means another's."""
    own, step = {"ours_x": HANDLER.format(name="Handler")}, RunnableLambda(len, name="step")
    fake_distribution("evil", entry_points={name: "strange_x:Handler"}, modules=STRANGE)
    fake_distribution(owner, entry_points={name: "ours_x:Handler"}, modules=own)
    step.invoke("", {"callbacks": [name]})
    assert (["step"], False) == (sys.modules["ours_x"].heard, "strange_x" in sys.modules)
    step.invoke("", {"callbacks": [f"evil/{name}"]})
    assert (["step"], ["step"]) == (
        sys.modules["ours_x"].heard,
        sys.modules["strange_x"].heard,
    )


def test_a_name_of_ours_in_the_environment_reaches_no_stranger(
    fake_distribution, site, said, monkeypatch
):
    """One warning, with how to get ours, and the run goes on without it."""
    fake_distribution("evil", entry_points={"otel": "strange_x:Handler"}, modules=STRANGE)
    monkeypatch.setenv("CHAIN_CALLBACKS", "otel")
    for _ in range(2):
        assert 0 == RunnableLambda(len).invoke("")
    (warning,) = said()
    assert "pip install chain-callbacks-otel" in warning.splitlines()
    assert "strange_x" not in sys.modules


@pytest.mark.parametrize(("name", "owner"), HANDLERS)
def test_who_allows_a_name_of_ours_allows_no_stranger(
    fake_distribution, site, monkeypatch, name, owner
):
    """`ALLOW=otel` allows our distribution's, and no other's."""
    fake_distribution("evil", entry_points={name: "strange_x:Handler"}, modules=STRANGE)
    monkeypatch.setenv("CHAIN_CALLBACKS_ALLOW", name)
    with pytest.raises(HandlerDeniedError):
        resolve([f"evil/{name}"])
