"""The index of what is installed, under hostile conditions; the distributions are fakes."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chain_callbacks import BaseCallbackHandler, explain, register, reload, resolve
from chain_callbacks.errors import AmbiguousHandlerError, UnknownHandlerError
from chain_callbacks.resolution import index, instances
from chain_callbacks.runnables import RunnableLambda

from .conftest import HANDLER

STEP = RunnableLambda(lambda value: value, name="step")


def module(name: str = "Handler") -> str:
    return HANDLER.format(name=name)


@pytest.fixture
def alerts(fake_distribution):
    """An ordinary plugin, `alerts`."""
    return fake_distribution(
        "acme-alerts", entry_points={"alerts": "alerts:Handler"}, modules={"alerts": module()}
    )


def test_a_plugin_among_a_thousand_distributions(alerts, site):
    """One plugin is found among a thousand distributions that offer other things."""
    for number in range(1_000):
        info = site / f"filler{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: filler{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[console_scripts]\nfiller{number} = filler:main\n")
    assert ("alerts",) == index.index().names
    assert "alerts" == explain(config={"callbacks": ["alerts"]}).as_data()[0]["name"]


@pytest.mark.parametrize(
    "entry_points",
    [
        "[chain_callbacks]\nthis is no entry point\n",
        "no section = here\n[chain_callbacks]\n",
        "[chain_callbacks\nbroken = x:y\n",
        b"[chain_callbacks]\nbroken = \xff\xfe:x\n",
        b"\x00\x00chain_callbacks\x00",
        "[chain_callbacks]\n= nothing:here\n",
        "[chain_callbacks]\nodd = \n",
    ],
)
def test_bad_lines_and_bytes_of_others_hurt_nobody(alerts, fake_distribution, entry_points):
    """A distribution whose entry points cannot be read leaves all others as they are."""
    fake_distribution("a-first", entry_points=entry_points)
    fake_distribution("z-last", entry_points=entry_points)
    assert "alerts" in index.index().names
    resolve(["alerts"])


def test_a_distribution_without_metadata_hurts_nobody(alerts, fake_distribution, site):
    """Folders that look like a dist-info, with nothing or with rubbish in them, are passed over."""
    fake_distribution("bare", entry_points={"bare": "bare:x"}, metadata=False)
    empty = fake_distribution("empty", metadata=False)
    rubbish = fake_distribution("rubbish", entry_points={"rubbish": "rubbish:x"}, metadata=False)
    (rubbish / "METADATA").write_bytes(b"\xff\xfe\x00Name\x00")
    (site / "file-1.0.dist-info").write_text("no folder")
    empty.rmdir()
    assert ("alerts",) == index.index().names


def test_what_is_no_path_hurts_nobody(alerts, monkeypatch, tmp_path):
    """Entries of the path that lead nowhere, or are no text, are passed over."""
    odd = [str(tmp_path / "gone"), "\0", b"bytes", "", str(alerts / "METADATA")]
    monkeypatch.setattr(sys, "path", [*odd, *sys.path])
    resolve(["alerts"])
    with pytest.raises(UnknownHandlerError):
        resolve(["nobody"])


def test_a_finder_that_raises_hurts_nobody(alerts, monkeypatch):
    """A finder of somebody else's on `sys.meta_path` may raise; ours are found."""

    class Finder:
        def find_spec(self, *_):
            return None

        def find_distributions(self, context):
            raise RuntimeError("no")

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert ("alerts",) == index.index().names


def test_an_egg_info_is_a_distribution(site):
    """What was installed the old way is found."""
    info = site / "old.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[chain_callbacks]\nold = old:Handler\n")
    assert ("old",) == index.index().names


def test_an_editable_installation_is_seen_once(alerts, fake_distribution, tmp_path, monkeypatch):
    """A dist-info and the egg-info of the source tree are one distribution."""
    tree = tmp_path / "tree"
    info = tree / "acme_alerts.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: Acme_Alerts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chain_callbacks]\nalerts = alerts:Handler\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tree)])
    assert ["acme-alerts"] == [each.distribution for each in index.index().candidates["alerts"]]


def test_a_symlinked_folder_is_seen_once(alerts, site, tmp_path, monkeypatch):
    """`lib64`, a link to `lib`, makes nothing ambiguous."""
    (tmp_path / "lib64").symlink_to(site, target_is_directory=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "lib64"), *sys.path])
    assert 1 == len(index.index().candidates["alerts"])
    resolve(["alerts"])


def test_a_shadowed_older_version_offers_nothing(fake_distribution, tmp_path, monkeypatch):
    """What only an older version offers, further down the path, is not there."""
    older = {"kept": "old_module:Handler", "dropped": "old_module:Handler"}
    fake_distribution("acme", "1.0", entry_points=older, into=tmp_path / "below")
    fake_distribution("acme", "2.0", entry_points={"kept": "new_module:Handler"})
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "below")])
    assert ("kept",) == index.index().names
    (kept,) = index.index().candidates["kept"]
    assert ("2.0", "new_module:Handler") == (kept.version, kept.value)


def test_a_newer_version_that_offers_nothing_hides_the_older(
    fake_distribution, tmp_path, monkeypatch
):
    """A version without entry points, first on the path, hides one that has some."""
    fake_distribution("acme", "1.0", entry_points={"old": "old:x"}, into=tmp_path / "below")
    fake_distribution("acme", "2.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "below")])
    assert () == index.index().names


def test_two_distributions_with_one_name(fake_distribution):
    """Neither is taken: the error names both and shows what settles it, which does settle it."""
    for name in ("acme-alerts", "Other_Alerts"):
        fake_distribution(
            name,
            entry_points={"alerts": f"{name[:5].lower()}_x:Handler"},
            modules={f"{name[:5].lower()}_x": module()},
        )
    with pytest.raises(AmbiguousHandlerError) as caught:
        resolve(["alerts"])
    assert (
        "'alerts' is ambiguous: offered by acme-alerts and Other_Alerts; "
        "config[\"callbacks\"][0] asks for it. Write 'acme-alerts/alerts', or uninstall one of "
        "them."
    ) == str(caught.value)
    rows = resolve(["other-alerts/alerts", "acme-alerts/alerts"]).as_data()
    assert ["Other_Alerts", "acme-alerts"] == [row["distribution"] for row in rows]


def test_a_first_party_name_cannot_be_taken_over(fake_distribution):
    """Another distribution that claims `slack` is reached by its own name only."""
    fake_distribution(
        "evil", entry_points={"slack": "evil_x:Handler"}, modules={"evil_x": module()}
    )
    with pytest.raises(UnknownHandlerError) as caught:
        resolve(["slack"])
    assert (
        "No handler is called 'slack': the name belongs to chain-callbacks-slack; others have "
        "'evil/slack'; config[\"callbacks\"][0] asks for it. Install it:\n"
        "pip install chain-callbacks-slack"
    ) == str(caught.value)
    assert "evil_x" not in sys.modules
    assert ["evil"] == [row["distribution"] for row in resolve(["evil/slack"]).as_data()]


def test_a_first_party_name_is_its_owners_beside_another(fake_distribution):
    """Where the owner is installed too, the bare name is the owner's: nothing is ambiguous."""
    for name, made in (("chain-callbacks-slack", "right_x"), ("evil", "evil_x")):
        fake_distribution(name, entry_points={"slack": f"{made}:Handler"}, modules={made: module()})
    (row,) = resolve(["slack"]).as_data()
    assert "chain-callbacks-slack" == row["distribution"]
    assert "evil_x" not in sys.modules


def test_names_that_differ_by_case_or_dash_are_one(fake_distribution):
    """`My_Alerts` and `my-alerts` are one name: two distributions that offer it are ambiguous."""
    fake_distribution("one", entry_points={"My_Alerts": "one_x:Handler"})
    fake_distribution("two", entry_points={"my-alerts": "two_x:Handler"})
    with pytest.raises(AmbiguousHandlerError):
        resolve(["MY-ALERTS"])


def test_only_projects_of_ours_are_suggested(alerts):
    """A name that nobody published gets a close match and no command to install anything."""
    with pytest.raises(UnknownHandlerError) as caught:
        resolve(["alertz"])
    assert (
        "No handler is called 'alertz'; config[\"callbacks\"][0] asks for it. "
        "Did you mean 'alerts'?\nInstalled: 'alerts'."
    ) == str(caught.value)


def test_a_frozen_application(site, heard, listening):
    """Where no metadata is, names that were registered work."""
    register("frozen", lambda: listening("frozen"))
    STEP.invoke(1, {"callbacks": ["frozen"]})
    assert [("step", "frozen")] == heard
    with pytest.raises(UnknownHandlerError, match=r"Installed: 'frozen'\."):
        resolve(["slak"])


def test_a_plugin_installed_meanwhile_is_found(fake_distribution, scans):
    """A name that was unknown works once its distribution is installed."""
    with pytest.raises(UnknownHandlerError):
        resolve(["alerts"])
    fake_distribution(
        "acme-alerts", entry_points={"alerts": "alerts:Handler"}, modules={"alerts": module()}
    )
    resolve(["alerts"])
    assert 2 == len(scans)


def test_an_unknown_name_is_looked_for_twice_at_most(alerts, fake_distribution, scans, site):
    """However often it is asked for, and though folders of the path change, there are two scans."""
    for number in range(20):
        with pytest.raises(UnknownHandlerError):
            resolve(["nobody"])
        os.utime(site, ns=(number, number))
    assert 2 == len(scans)


def test_an_unchanged_path_is_scanned_once(alerts, scans):
    """Where nothing was installed since, an unknown name costs no second scan."""
    for _ in range(20):
        with pytest.raises(UnknownHandlerError):
            resolve(["nobody"])
    assert 1 == len(scans)


def test_many_threads_share_one_handler(fake_distribution, heard):
    """64 threads that ask at once for the same name are all heard by one handler."""
    fake_distribution(
        "acme-alerts", entry_points={"alerts": "alerts:Handler"}, modules={"alerts": module()}
    )
    ready = threading.Barrier(64)

    def work(number: int) -> object:
        ready.wait(10)
        run = RunnableLambda(lambda value: value, name=f"step {number}")
        run.invoke(1, {"callbacks": ["alerts"]})
        return resolve(["alerts"]).manager.handlers[0]

    with ThreadPoolExecutor(64) as pool:
        handlers = set(map(id, pool.map(work, range(64))))
    assert {id(instances.live_handlers()["alerts"])} == handlers
    assert sorted(f"step {n}" for n in range(64)) == sorted(sys.modules["alerts"].heard)


def test_a_plugin_that_resolves_at_its_import(fake_distribution, monkeypatch, said):
    """A plugin that imports us and runs something at its import works, and hangs nobody."""
    text = module() + (
        "from chain_callbacks import resolve\n"
        "from chain_callbacks.runnables import RunnableLambda\n"
        "RunnableLambda(lambda value: value, name='at import').invoke(1)\n"
    )
    fake_distribution("eager", entry_points={"eager": "eager:Handler"}, modules={"eager": text})
    monkeypatch.setenv("CHAIN_CALLBACKS", "eager")
    STEP.invoke(1)
    STEP.invoke(1)
    assert ["at import", "step", "step"] == sys.modules["eager"].heard
    assert [] == said()


def test_no_lock_of_ours_is_held_during_an_import(fake_distribution, site):
    """Two plugins that wait at their import for each other, in two threads, both get on."""
    (site / "meeting.py").write_text("import threading\npoint = threading.Barrier(2)\n")
    text = (
        "import meeting\nmeeting.point.wait(10)\n"
        "from chain_callbacks import register\nregister('met-{0}', object)\n" + module()
    )
    for name in ("left", "right"):
        fake_distribution(
            name,
            entry_points={name: f"{name}_x:Handler"},
            modules={f"{name}_x": text.replace("{0}", name)},
        )
    with ThreadPoolExecutor(2) as pool:
        found = [
            [row["status"] for row in each.as_data()]
            for each in pool.map(lambda name: resolve([name]), ["left", "right"])
        ]
    assert [["active"], ["active"]] == found


def test_plugins_that_import_each_other_from_two_threads(fake_distribution, site):
    """The import system breaks the circle of two modules; nothing of ours closes it again."""
    (site / "meeting.py").write_text("import threading\npoint = threading.Barrier(2)\n")
    for name, other in (("left", "right"), ("right", "left")):
        text = (
            f"import meeting\nfrom chain_callbacks import resolve\nmeeting.point.wait(10)\n"
            f"import {other}_x\n" + module()
        )
        fake_distribution(
            name, entry_points={name: f"{name}_x:Handler"}, modules={f"{name}_x": text}
        )
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda name: resolve([name]), ["left", "right"], timeout=20))
    assert [1, 1] == [len(each.manager.handlers) for each in found]


def test_the_order_of_installation_changes_nothing(fake_distribution, heard):
    """Delivery is in the order of the list, whatever the folders' order is."""
    for name in ("b", "c", "a"):
        fake_distribution(
            f"dist-{name}", entry_points={name: f"{name}_x:{name.upper()}"},
            modules={f"{name}_x": module(name.upper())},
        )  # fmt: skip
    kinds = [type(each).__name__ for each in resolve(["c", "a", "b"]).manager.handlers]
    assert ["C", "A", "B"] == kinds


def test_a_reload_sees_what_was_uninstalled(alerts):
    """After `reload()` what is no longer installed is not found."""
    resolve(["alerts"])
    (alerts / "entry_points.txt").unlink()
    reload()
    with pytest.raises(UnknownHandlerError):
        resolve(["alerts"])


def test_a_registered_name_takes_the_place_of_an_installed_one(alerts, listening):
    """`register()` replaces a handler for runs that start afterwards."""
    resolve(["alerts"])
    register("alerts", lambda: listening("mine"))
    (handler,) = resolve(["alerts"]).manager.handlers
    assert isinstance(handler, BaseCallbackHandler)
    assert "alerts" not in type(handler).__module__
