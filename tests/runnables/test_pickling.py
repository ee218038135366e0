"""Chains and traced functions go to other processes, by pickle and by cloudpickle."""

from __future__ import annotations

import pickle
import subprocess
import sys

import cloudpickle
import pytest

from chain_callbacks import attached
from chain_callbacks.events import EVENTS, KINDS
from chain_callbacks.runnables import (
    ChatPromptTemplate,
    FakeListChatModel,
    FakeToolCallingChatModel,
)
from chain_callbacks.testing import RecordingHandler

PICKLERS = [pickle, cloudpickle]

PROGRAM = """
import {pickler} as pickler, sys
from chain_callbacks import traced

@traced("tool", name="search")
def find(query):
    return query.upper()

{more}
sys.stdout.buffer.write(pickler.dumps(find))
"""

READER = """
import pickle, sys
from chain_callbacks import attached
from chain_callbacks.testing import RecordingHandler
{before}
find = pickle.loads(sys.stdin.buffer.read())
recorder = RecordingHandler()
with attached(recorder):
    print(find("a"))
print(recorder.tree(), end="")
"""


@pytest.mark.parametrize("pickler", PICKLERS)
@pytest.mark.parametrize("model", [FakeListChatModel, FakeToolCallingChatModel])
def test_a_chain_with_a_fake_model_is_pickled(pickler, model):
    """What comes back answers as the first does, and tells its handlers the same."""
    chain = ChatPromptTemplate.from_template("{x}") | model(["a", "b"])
    copied = pickler.loads(pickler.dumps(chain))
    trees = []
    for each in (chain, copied):
        recorder = RecordingHandler()
        with attached(recorder):
            assert "a" == each.invoke({"x": 1}).text
        trees.append(recorder.tree())
    assert trees[0] == trees[1]


def test_a_traced_function_of_main_goes_to_another_process_by_cloudpickle():
    """It is sent whole, and makes its runs there."""
    sent = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(pickler="cloudpickle", more="")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    read = subprocess.run(
        [sys.executable, "-c", READER.format(before="")],
        check=True, input=sent.stdout, capture_output=True, timeout=60,
    )  # fmt: skip
    assert ["A", "tool search"] == read.stdout.decode().splitlines()


@pytest.mark.parametrize("pickler", PICKLERS)
def test_events_and_kinds_are_those_of_the_process(pickler):
    """They are compared by identity, so that a copy would be another event."""
    for each in (*EVENTS.values(), *KINDS.values()):
        assert each is pickler.loads(pickler.dumps(each))


def test_a_row_of_one_kind_is_not_pickled_alone():
    """It says what to pickle instead."""
    with pytest.raises(TypeError, match="pickle the kind"):
        pickle.dumps(KINDS["chat_model"].start)
