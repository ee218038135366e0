"""What the bridge costs, counted in calls: a count is the same on any machine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

COUNT = """
import sys
from langchain_core.runnables import RunnableLambda
{setup}
runnable = RunnableLambda(lambda number: number)
for _ in range(3):
    runnable.invoke(1)
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "call"
sys.setprofile(count)
runnable.invoke(1)
sys.setprofile(None)
print(calls)
"""


def calls(setup: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT.format(setup=setup)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


def test_activated_bridge_that_nobody_listens_to_adds_under_three_percent() -> None:
    """Of the calls of Python functions that LangChain makes for one run of a lambda."""
    alone = calls("")

    assert 1.03 * alone > calls("import chain_callbacks.auto")


def test_bridge_is_in_no_list_where_nobody_listens() -> None:
    """LangChain's managers stay empty: each event is over before it begins."""
    from langchain_core.callbacks import CallbackManager

    assert [] == CallbackManager.configure().handlers


def test_bridge_is_one_where_somebody_listens(heard: Any) -> None:
    """LangChain asks for it in every run, and is given the same each time."""
    from langchain_core.callbacks import CallbackManager

    managers = [CallbackManager.configure() for _ in range(3)]

    assert 1 == len({id(handler) for manager in managers for handler in manager.handlers})


@pytest.mark.parametrize("module", ["chain_callbacks_langchain", "chain_callbacks.auto"])
def test_importing_it_imports_nothing_of_langchain(module: str) -> None:
    """An absent host costs nothing, and one that is there costs nothing before it is used."""
    code = f"import sys, {module}; print([n for n in sys.modules if n.startswith('lang')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "[]\n" == done.stdout


def test_messages_of_langchain_load_no_bridge() -> None:
    """A program that uses LangChain's messages alone loads nothing on our account."""
    code = (
        "import sys, chain_callbacks.auto, langchain_core.messages\n"
        "print('langchain_core.tracers.context' in sys.modules,\n"
        "      'chain_callbacks_langchain.handlers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "False False\n" == done.stdout
