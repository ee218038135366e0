"""Finding plugins among many installed distributions, against the ways that others do it."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import importlib_metadata  # noqa: F401  The path is replaced below, so it is imported before.
import pluggy
import stevedore._cache

from chain_callbacks import register, resolve
from chain_callbacks.resolution import index
from chain_callbacks.resolution.resolver import enter

from .harness import Case

OFFERING = 5


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
    return len(importlib.metadata.entry_points(group=index.GROUP))


def _pluggy() -> int:
    importlib.invalidate_caches()
    manager = pluggy.PluginManager(index.GROUP)
    # It loads what it finds: five plugins, each asked for by name, as it is meant to be used.
    return sum(
        manager.load_setuptools_entrypoints(index.GROUP, name=f"filler{number}")
        for number in range(OFFERING)
    )


def _stevedore() -> int:
    importlib.invalidate_caches()
    # A cache on disk is what it has and we have not: each scan is a first one.
    stevedore.ExtensionManager.ENTRY_POINT_CACHE.clear()
    stevedore._cache._c._internal.clear()
    stevedore._cache._c._dir = tempfile.mkdtemp()
    manager = stevedore.ExtensionManager(index.GROUP, invoke_on_load=False)
    return len(manager.names())


def cases() -> Iterator[tuple[Case, int]]:
    """Give each case with the number of its repeats, inside the environment that it needs."""
    logging.disable(logging.CRITICAL)
    for count in (50, 200, 1000):
        with installed(count):
            yield (
                Case(
                    name=f"scan of {count} distributions",
                    work="find the five handlers that are offered, with cold caches",
                    contenders={
                        "chain-callbacks": _ours,
                        "entry_points(group=)": _stdlib,
                        "pluggy, five names": _pluggy,
                        "stevedore": _stevedore,
                    },
                    goal={"entry_points(group=)": 1.0, "pluggy, five names": 3.0},
                ),
                7,
            )
    register("benchmark", _Handler)
    resolve(["benchmark"])
    yield (
        Case(
            name="a name resolved before",
            work="from a list of one name to its manager",
            contenders={"chain-callbacks": _cached},
            goal={},
            calls=20_000,
        ),
        7,
    )


class _Handler:
    def on_chain_start(self, serialized: object, inputs: object, **kwargs: object) -> None:
        pass


_CONFIG = {"callbacks": ["benchmark"]}


def _cached() -> bool:
    return enter(None, _CONFIG) is not None
