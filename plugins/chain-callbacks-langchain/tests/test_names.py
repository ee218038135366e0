"""Names in LangChain's own code: where they are good, and how they merge with what is there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler as LangChainHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

from chain_callbacks import Local, UnknownHandlerError, policy
from chain_callbacks.errors import InvalidNameError, NotAHandlerError
from chain_callbacks.testing import RecordingHandler
from chain_callbacks_langchain import named

inner = RunnableLambda(lambda number: number + 1, name="inner")
outer = RunnableLambda(inner.invoke, name="outer")
TREE = "chain outer\n  chain inner"


async def all_of(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


WAYS = {
    "invoke": lambda it, config: it.invoke(1, config),
    "stream": lambda it, config: list(it.stream(1, config)),
    "batch": lambda it, config: it.batch([1], config),
    "batch_as_completed": lambda it, config: list(it.batch_as_completed([1], config)),
    "ainvoke": lambda it, config: asyncio.run(it.ainvoke(1, config)),
    "astream": lambda it, config: asyncio.run(all_of(it.astream(1, config))),
    "abatch": lambda it, config: asyncio.run(it.abatch([1], config)),
    "astream_events": lambda it, config: asyncio.run(
        all_of(it.astream_events(1, config, version="v2"))
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", [["other"], ("other",), "other", [named("other")]], ids=repr)
def test_name_is_good_in_a_config_of_any_call(way: str, form: Any, other: RecordingHandler) -> None:
    """Lists, tuples and bare names, in every way that a runnable is called."""
    WAYS[way](outer, {"callbacks": form})

    assert TREE == other.tree()
    assert [] == other.problems()


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_name_is_good_in_a_config_of_a_graph(way: str, other: RecordingHandler) -> None:
    """LangGraph merges configs by itself."""
    graph = StateGraph(dict)
    graph.add_node("step", lambda state: {"number": inner.invoke(state["number"])})
    graph.add_edge(START, "step")
    application = graph.compile()
    call = WAYS[way]
    with_input = RunnableLambda(lambda _: {"number": 1}) | application

    call(with_input, {"callbacks": ("other",)})

    assert (
        "chain RunnableSequence\n"
        "  chain RunnableLambda [seq:step:1]\n"
        "  chain LangGraph [seq:step:2]\n"
        "    chain step [graph:step:1]\n"
        "      chain inner [seq:step:1]"
    ) == other.tree()


def test_named_is_good_in_with_config(other: RecordingHandler) -> None:
    """What is bound joins what the call names."""
    outer.with_config(callbacks=[named("other")]).invoke(1, {"callbacks": ["other"]})

    assert TREE == other.tree()


def test_named_is_good_in_constructors(other: RecordingHandler) -> None:
    """A model and a tool take it; what is nested in the tool is heard too, as elsewhere in ours."""

    @tool
    def add(number: int) -> int:
        """Add one."""
        return inner.invoke(number)

    add.callbacks = [named("other")]
    model = FakeListChatModel(responses=["yes"], callbacks=[named("other")])
    RunnableLambda(lambda _: (model.invoke("?"), add.invoke({"number": 1}))).invoke(None)

    assert "chat_model FakeListChatModel\ntool add\n  chain inner" == other.tree()


def test_removal_reaches_the_subtree_and_no_sibling(heard: RecordingHandler) -> None:
    """`-name` in a nested config silences what is nested there."""
    chain = RunnableLambda(
        lambda number: [outer.invoke(number, {"callbacks": ["-heard"]}), inner.invoke(number)]
    ).with_config(run_name="root")

    chain.invoke(1)

    assert "chain root\n  chain inner" == heard.tree()


def test_none_in_a_nested_config_leaves_what_follows_it(
    heard: RecordingHandler, other: RecordingHandler
) -> None:
    """`none` takes out what the environment names; what joins below hears its subtree."""
    chain = RunnableLambda(lambda number: outer.invoke(number, {"callbacks": ["none", "other"]}))

    chain.invoke(1)

    assert "chain RunnableLambda" == heard.tree()
    assert ["chain outer", "  chain inner"] == [
        line.removesuffix(" orphan") for line in other.tree().splitlines()
    ]


def test_removal_with_nothing_left_silences_the_runs_below(heard: RecordingHandler) -> None:
    """A run that nobody hears hands its silence down, in threads too."""
    chain = RunnableLambda(lambda number: outer.batch([number, number]))

    chain.invoke(1, {"callbacks": [named("-heard")]})

    assert "" == heard.tree()


def test_policy_and_local_are_good_in_a_config(other: RecordingHandler) -> None:
    """What our own configs take, theirs take."""
    outer.invoke(1, {"callbacks": [Local("other")]})
    assert "chain outer" == other.tree()
    other.clear()

    outer.invoke(1, {"callbacks": [policy("other", only="tool")]})
    assert "" == other.tree()


def test_handler_of_ours_is_good_in_a_config(other: RecordingHandler) -> None:
    """An object of ours hears what it would hear in our own runs."""
    outer.invoke(1, {"callbacks": [other]})

    assert TREE == other.tree()


class Told(LangChainHandler):
    """A handler of LangChain's that notes the names of the runs that it hears."""

    def __init__(self) -> None:
        self.names: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **keywords: Any) -> None:
        self.names.append(keywords.get("name"))


def test_names_beside_objects_keep_the_rules_of_objects(other: RecordingHandler) -> None:
    """A handler of LangChain's is detached by a nested list, as ever; a name is not."""
    told = Told()
    chain = RunnableLambda(lambda number: outer.invoke(number, {"callbacks": []}))

    chain.invoke(1, {"callbacks": [told, "other"], "run_name": "root"})

    assert ["root"] == told.names
    assert "chain root\n  chain outer\n    chain inner" == other.tree()


def test_list_of_the_caller_stays_as_it_was(other: RecordingHandler) -> None:
    """A config is read, never written to."""
    callbacks: list[Any] = ["other"]
    config: Any = {"callbacks": callbacks}

    outer.invoke(1, config)

    assert {"callbacks": ["other"]} == config
    assert callbacks is config["callbacks"]


def test_unknown_name_is_raised_before_anything_runs() -> None:
    """The function is not called."""
    ran: list[int] = []

    with pytest.raises(UnknownHandlerError, match="'slak'"):
        RunnableLambda(ran.append).invoke(1, {"callbacks": ["slak"]})

    assert [] == ran


@pytest.mark.parametrize(
    ("entry", "error"), [("not a name", InvalidNameError), (1, NotAHandlerError)]
)
def test_named_refuses_what_can_never_be_used(entry: Any, error: type[Exception]) -> None:
    """What is no name and no handler is refused where it is written."""
    with pytest.raises(error):
        named(entry)


def test_copies_of_named_stand_for_the_same() -> None:
    """A config may be copied deeply, and hold a handler that cannot be."""
    import copy

    handler = named("structlog", "-slack")

    assert handler is copy.deepcopy([handler])[0]
    assert "named('structlog', '-slack')" == repr(handler)
