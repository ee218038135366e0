"""Runnables of another framework as steps: one that has the methods, and knows nothing of us."""

from __future__ import annotations

import asyncio

import pytest

from chain_callbacks import traced
from chain_callbacks.runnables import RunnableLambda
from chain_callbacks.testing import RecordingHandler


class Theirs:
    """Has the methods of a runnable, in which code of ours is called."""

    def get_name(self):
        return "theirs"

    def invoke(self, input, **kwargs):
        return inner(input)

    async def ainvoke(self, input, **kwargs):
        return inner(input)

    def transform(self, chunks, **kwargs):
        return map(inner, chunks)

    async def atransform(self, chunks, **kwargs):
        async for chunk in chunks:
            yield inner(chunk)


@traced
def inner(text):
    return text * 2


async def gathered(chunks):
    return [chunk async for chunk in chunks]


WAYS = {
    "invoke": lambda chain, config: [chain.invoke("a", config)],
    "ainvoke": lambda chain, config: [asyncio.run(chain.ainvoke("a", config))],
    "stream": lambda chain, config: [*chain.stream("a", config)],
    "astream": lambda chain, config: asyncio.run(gathered(chain.astream("a", config))),
    "batch": lambda chain, config: chain.batch(["a"], config),
    "abatch": lambda chain, config: asyncio.run(chain.abatch(["a"], config)),
}


@pytest.mark.parametrize("way", WAYS)
def test_foreign_runnable_is_a_step_without_a_run(way):
    """What it calls of ours stands in the chain; a host that is bridged makes its runs itself."""
    recorder = RecordingHandler()
    chain = RunnableLambda(str.upper, name="ours") | Theirs()

    assert ["AA"] == WAYS[way](chain, {"callbacks": [recorder], "tags": ["t"]})
    assert recorder.tree() == (
        "chain RunnableSequence [t]\n  chain ours [t,seq:step:1]\n  chain inner [t,seq:step:2]"
    )
    assert recorder.problems() == []


@pytest.mark.parametrize("way", WAYS)
def test_foreign_runnable_works_where_nobody_listens(way):
    """It gives what it gives."""
    assert ["AA"] == WAYS[way](RunnableLambda(str.upper) | Theirs(), None)


@pytest.mark.parametrize("way", WAYS)
def test_handlers_bound_to_a_foreign_runnable_hear_what_is_nested(way):
    """A config that is bound, or given to the step itself, holds in it."""
    recorder = RecordingHandler()
    (step,) = (RunnableLambda(str.upper) | Theirs()).steps[1:]

    WAYS[way](step.with_config(callbacks=[recorder]), {"tags": ["t"]})

    assert step.get_name() == "theirs"
    assert [(run.name, run.tags) for run in recorder.runs] == [("inner", ("t",))]


def test_what_has_no_asynchronous_form_is_no_runnable():
    """An object with `invoke` alone is refused, when the chain is made."""

    class Half:
        def invoke(self, input): ...

    with pytest.raises(TypeError, match=r"A Half cannot be a step of a chain\. Pass a runnable"):
        RunnableLambda(str.upper) | Half()
