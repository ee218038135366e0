"""The truth table: who hears a run, and who hears a run nested in it."""

from __future__ import annotations

import contextlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import chain_callbacks
from chain_callbacks import Local, attached, errors, policy
from chain_callbacks.runnables import RunnableLambda

ROWS = tomllib.loads((Path(__file__).parent / "truth_table.toml").read_text())["row"]


def read(entry: Any, objects: dict[str, Any]) -> Any:
    """Turn what a row says into what a caller passes."""
    if isinstance(entry, list):
        return [read(each, objects) for each in entry]
    if entry in objects:
        return objects[entry]
    if match := re.fullmatch(r"Local\((.*)\)", entry):
        return Local(read(match[1], objects))
    if match := re.fullmatch(r"(\w+)\?(\w+)=([\w+*]+)", entry):
        return policy(read(match[1], objects), **{match[2]: match[3]})
    return entry


def test_the_table_has_at_least_forty_rows():
    """The table covers the sources, the tokens and the nesting."""
    assert len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=[row["says"] for row in ROWS])
@pytest.mark.usefixtures("names")
def test_row(row, heard, listening, monkeypatch):
    """What the row says is what happens, each handler told once."""
    objects = {"H": listening("H"), "J": listening("J")}
    if "environment" in row:
        monkeypatch.setenv("CHAIN_CALLBACKS", row["environment"])
    # An instance is told apart by being made second, so the plain one is made first.
    chain_callbacks.resolve(["a", "a:x"])

    def given(key: str) -> Any:
        return read(row[key], objects) if key in row else None

    inner = RunnableLambda(lambda value: value, name="inner", callbacks=given("inner_constructor"))

    def outer(value: int) -> int:
        scope = attached(*given("inner_attached") or ()) if "inner_attached" in row else None
        with scope or contextlib.nullcontext():
            return inner.invoke(value, {"callbacks": given("inner_runtime")})

    chain: Any = RunnableLambda(outer, name="outer", callbacks=given("constructor"))
    if "bound" in row:
        chain = chain.with_config(callbacks=given("bound"))
    config = {"callbacks": given("runtime"), "tags": row.get("run_tags")}

    with attached(*given("attached") or ()):
        if "error" in row:
            with pytest.raises(getattr(errors, row["error"])):
                chain.invoke(1, config)
            assert heard == []
            return
        # The first call resolves, and the second finds what was resolved.
        for _ in range(2):
            heard.clear()
            chain.invoke(1, config)
            assert {
                "hears": [name for run, name in heard if run == "outer"],
                "nested": [name for run, name in heard if run == "inner"],
            } == {"hears": row["hears"], "nested": row["nested"]}
