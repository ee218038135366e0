"""Finding plugins among many installed distributions, against the ways that others do it."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import importlib_metadata  # noqa: F401  The path is replaced below, so it is imported before.
import pluggy
import stevedore._cache

from chain_callbacks import register, resolve
from chain_callbacks.resolution import index
from chain_callbacks.resolution.ownership import GROUP
from chain_callbacks.resolution.resolver import enter

from .ears import Silent
from .harness import OURS, Case, Goal, Side
from .samples import repeated

OFFERING: Final = 5
SIZES: Final = (50, 200, 1000)


@contextmanager
def installed(count: int) -> Iterator[None]:
    """Have *count* distributions on the path, some of which offer a handler of ours."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            info = Path(folder, f"filler_{number}-1.0.dist-info")
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: filler-{number}\nVersion: 1.0\n"
            )
            group = "chain_callbacks" if number < OFFERING else "console_scripts"
            (info / "entry_points.txt").write_text(
                f"[{group}]\nfiller{number} = filler_{number}:Handler\n"
            )
            if number < OFFERING:
                Path(folder, f"filler_{number}.py").write_text("class Handler:\n    pass\n")
        before = sys.path[:]
        sys.path[:] = [folder]
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path[:] = before
            importlib.invalidate_caches()


def _ours() -> int:
    importlib.invalidate_caches()
    return len(index.scan().names)


def _stdlib() -> int:
    importlib.invalidate_caches()
    return len(importlib.metadata.entry_points(group=GROUP))


def _pluggy() -> int:
    importlib.invalidate_caches()
    manager = pluggy.PluginManager(GROUP)
    # It loads what it finds: five plugins, each asked for by name, as it is meant to be used.
    return sum(
        manager.load_setuptools_entrypoints(GROUP, name=f"filler{number}")
        for number in range(OFFERING)
    )


def _stevedore() -> int:
    importlib.invalidate_caches()
    # A cache on disk is what it has and we have not: each scan is a first one.
    stevedore.ExtensionManager.ENTRY_POINT_CACHE.clear()
    stevedore._cache._c._internal.clear()
    stevedore._cache._c._dir = tempfile.mkdtemp()
    manager = stevedore.ExtensionManager(GROUP, invoke_on_load=False)
    return len(manager.names())


def cases() -> Iterator[Case]:
    """Give each case, inside the environment that it needs."""
    for count in SIZES:
        with installed(count):
            yield scan(count)
    register("benchmark-resolved", Silent)
    resolve(["benchmark-resolved"])
    config = {"callbacks": ["benchmark-resolved"]}
    yield Case(
        "a name resolved before",
        "from a list of one name to its manager",
        {OURS: Side(lambda _ears: repeated(lambda: enter(None, config) is not None))},
    )


def scan(count: int) -> Case:
    """Return the case of a scan, for a path with *count* distributions on it."""
    contenders = {
        OURS: _ours,
        "entry_points(group=)": _stdlib,
        "pluggy, five names": _pluggy,
        "stevedore": _stevedore,
    }
    return Case(
        f"a scan of {count:,} distributions",
        "the five handlers that are offered are found, with cold caches",
        {name: Side(lambda _ears, find=find: repeated(find)) for name, find in contenders.items()},
        (Goal("ahead", 1, "entry_points(group=)"), Goal("ahead", 3, "pluggy, five names")),
        repeats=7,
    )
