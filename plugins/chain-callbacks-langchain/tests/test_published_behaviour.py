"""What LangChain documents of its callbacks, tried on LangChain's managers and on ours alike.

The cases are those of LangChain's documentation and public tests, written anew. Each runs against
both, so that it says what LangChain does and that we do it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core import runnables as theirs
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler
from langchain_core.callbacks import CallbackManager as TheirManager
from langchain_core.language_models import FakeListChatModel as TheirModel
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser as TheirParser
from langchain_core.outputs import Generation, LLMResult
from langchain_core.prompts import ChatPromptTemplate as TheirPrompt

from chain_callbacks import CallbackManager as OurManager
from chain_callbacks import runnables as ours

EVENTS = [
    f"on_{kind}_{phase}"
    for kind, phases in (
        ("chain", "start end error"),
        ("llm", "start new_token end error"),
        ("chat_model", "start"),
        ("tool", "start end error"),
        ("retriever", "start end error"),
        ("agent", "action finish"),
    )
    for phase in phases.split()
] + ["on_text", "on_retry", "on_custom_event"]


class Noting(BaseCallbackHandler):
    """Notes what it is told: event, arguments, keywords."""

    def __init__(self, **attributes: Any) -> None:
        self.told: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        for name, value in attributes.items():
            setattr(type(self), name, value)

    def events(self) -> list[str]:
        return [event for event, _, _ in self.told]


def _noting(event: str) -> Any:
    def method(self: Noting, *arguments: Any, **keywords: Any) -> None:
        self.told.append((event, arguments, keywords))

    return method


for _event in EVENTS:
    setattr(Noting, _event, _noting(_event))


def noting(**attributes: Any) -> Noting:
    """Return a handler of a class of its own, with attributes such as `ignore_chain`."""
    return type("Noting", (Noting,), {})(**attributes)


class Side:
    """One of the two: how a manager is made and how its methods are called."""

    def __init__(self, *, is_ours: bool, is_async: bool) -> None:
        self.is_ours, self.is_async = is_ours, is_async

    def __repr__(self) -> str:
        return f"{'ours' if self.is_ours else 'theirs'}-{'async' if self.is_async else 'sync'}"

    def manager(self, *handlers: Any, **options: Any) -> Any:
        if self.is_ours:
            return OurManager(handlers, **options)
        kind = AsyncCallbackManager if self.is_async else TheirManager
        tags, metadata = options.get("tags"), options.get("metadata")
        return kind.configure([*handlers], inheritable_tags=tags, inheritable_metadata=metadata)

    def call(self, of: Any, method: str, *arguments: Any, **keywords: Any) -> Any:
        if self.is_ours and self.is_async:
            method = f"a{method}"
        result = getattr(of, method)(*arguments, **keywords)
        if not inspect.isawaitable(result):
            return result

        async def main() -> Any:
            return await result

        return asyncio.run(main())


SIDES = [Side(is_ours=o, is_async=a) for o in (False, True) for a in (False, True)]
both = pytest.mark.parametrize("side", SIDES, ids=repr)
SERIALIZED = {"name": "thing", "id": ["a", "thing"]}
RESULT = LLMResult(generations=[[Generation(text="yes")]])


@both
def test_chain_is_told_start_and_end_with_their_arguments(side: Side) -> None:
    """Inputs and outputs by place; ids, tags and metadata by name."""
    handler, run_id = noting(), uuid4()
    manager = side.manager(handler, tags=["a"], metadata={"user": "someone"})

    run = side.call(manager, "on_chain_start", SERIALIZED, {"x": 1}, run_id=run_id)
    side.call(run, "on_text", "so far")
    side.call(run, "on_chain_end", {"y": 2})

    assert ["on_chain_start", "on_text", "on_chain_end"] == handler.events()
    (_, start, told), (_, text, _), (_, end, closing) = handler.told
    assert {"x": 1} == start[1]
    assert ("so far",) == text
    assert ({"y": 2},) == end
    assert run_id == told["run_id"] == closing["run_id"]
    assert run_id == (run.id if side.is_ours else run.run_id)
    assert None is told["parent_run_id"]
    assert ["a"] == told["tags"]
    assert {"user": "someone"} == told["metadata"]


@both
def test_each_prompt_is_a_run_of_its_own(side: Side) -> None:
    """A model that is given two prompts has two runs; an id that is given is for the first."""
    handler, run_id = noting(), uuid4()

    runs = side.call(
        side.manager(handler), "on_llm_start", SERIALIZED, ["one", "two"], run_id=run_id
    )
    for run in runs:
        side.call(run, "on_llm_new_token", "y")
        side.call(run, "on_llm_end", RESULT)

    assert [["one"], ["two"]] == [a[1] for event, a, _ in handler.told if event == "on_llm_start"]
    ids = [keywords["run_id"] for _, _, keywords in handler.told]
    assert run_id == ids[0]
    assert 2 == len({*ids})
    assert {"on_llm_start": 2, "on_llm_new_token": 2, "on_llm_end": 2} == {
        event: handler.events().count(event) for event in handler.events()
    }


@both
def test_chat_model_is_told_its_messages(side: Side) -> None:
    """Each list of messages is a run, and comes in a list."""
    handler = noting()
    batches = [[HumanMessage("a")], [HumanMessage("b")]]

    for run in side.call(side.manager(handler), "on_chat_model_start", SERIALIZED, batches):
        side.call(run, "on_llm_end", RESULT)

    assert [[batches[0]], [batches[1]]] == [
        a[1] for event, a, _ in handler.told if event == "on_chat_model_start"
    ]


class TextOnly(BaseCallbackHandler):
    """Knows models of text alone."""

    def __init__(self) -> None:
        self.prompts: list[Any] = []

    def on_llm_start(self, serialized: Any, prompts: Any, **_: Any) -> None:
        self.prompts.append(prompts)


@both
def test_chat_model_is_told_as_text_to_a_handler_that_knows_no_chat(side: Side) -> None:
    """The messages come as one text."""
    handler = TextOnly()

    side.call(side.manager(handler), "on_chat_model_start", SERIALIZED, [[HumanMessage("a")]])

    assert [["Human: a"]] == handler.prompts


@both
@pytest.mark.parametrize(
    ("kind", "payload", "output"),
    [("chain", {"x": 1}, {}), ("tool", "text", "out"), ("retriever", "query", [])],
)
def test_run_that_fails_is_told_its_error(side: Side, kind: str, payload: Any, output: Any) -> None:
    """The exception comes by place, in the place of the end."""
    handler, error = noting(), ValueError("no")

    run = side.call(side.manager(handler), f"on_{kind}_start", SERIALIZED, payload)
    side.call(run, f"on_{kind}_error", error)
    other = side.call(side.manager(handler), f"on_{kind}_start", SERIALIZED, payload)
    side.call(other, f"on_{kind}_end", output)

    assert [f"on_{kind}_{phase}" for phase in ("start", "error", "start", "end")] == (
        handler.events()
    )
    assert (error,) == handler.told[1][1]
    assert (output,) == handler.told[3][1]


@both
def test_child_has_its_parent_and_a_tag_for_itself_alone(side: Side) -> None:
    """`get_child(tag)` tags the runs that the child manager starts, not those nested in them."""
    handler = noting()

    outer = side.call(side.manager(handler, tags=["all"]), "on_chain_start", SERIALIZED, 1)
    middle = side.call(outer.get_child("seq:step:1"), "on_chain_start", SERIALIZED, 2)
    side.call(middle.get_child(), "on_chain_start", SERIALIZED, 3)

    told = [keywords for _, _, keywords in handler.told]
    assert [["all"], ["all", "seq:step:1"], ["all"]] == [sorted(each["tags"]) for each in told]
    assert [told[0]["run_id"], told[1]["run_id"]] == [each["parent_run_id"] for each in told[1:]]
    assert all(isinstance(each["run_id"], UUID) for each in told)


@both
@pytest.mark.parametrize(
    ("flag", "silenced"),
    [
        ("ignore_chain", "chain"),
        ("ignore_llm", "llm"),
        ("ignore_agent", "tool"),
        ("ignore_retriever", "retriever"),
    ],
)
def test_flag_silences_its_kind_and_no_other(side: Side, flag: str, silenced: str) -> None:
    """Of runs of all kinds, those that the flag names are not told."""
    handler = noting(**{flag: True})
    manager = side.manager(handler)

    for kind, payload in (("chain", 1), ("tool", "t"), ("retriever", "q"), ("llm", ["p"])):
        runs = side.call(manager, f"on_{kind}_start", SERIALIZED, payload)
        for run in runs if kind == "llm" else [runs]:
            side.call(run, f"on_{kind}_end", RESULT)

    assert {"chain", "tool", "retriever", "llm"} - {silenced} == {
        event.split("_")[1] for event in handler.events()
    }


class Failing(BaseCallbackHandler):
    """Raises when a chain starts."""

    run_inline = True

    def on_chain_start(self, serialized: Any, inputs: Any, **_: Any) -> None:
        raise ZeroDivisionError


@both
def test_failure_of_a_handler_stays_with_it(side: Side) -> None:
    """Others are told all the same."""
    handler = noting()

    side.call(side.manager(Failing(), handler), "on_chain_start", SERIALIZED, 1)

    assert ["on_chain_start"] == handler.events()


@both
def test_failure_of_a_handler_that_raises_leaves(side: Side) -> None:
    """`raise_error` lets it stop the run."""
    failing = Failing()
    failing.raise_error = True

    with pytest.raises(ZeroDivisionError):
        side.call(side.manager(failing), "on_chain_start", SERIALIZED, 1)


@both
def test_events_of_agents_and_retries_are_told(side: Side) -> None:
    """What a run manager offers besides the end."""
    handler = noting()

    run = side.call(side.manager(handler), "on_chain_start", SERIALIZED, 1)
    side.call(run, "on_agent_action", "action")
    side.call(run, "on_agent_finish", "finish")
    side.call(run, "on_retry", "state")

    assert [("on_agent_action", ("action",)), ("on_agent_finish", ("finish",))] == [
        (event, arguments) for event, arguments, _ in handler.told[1:3]
    ]
    assert "on_retry" == handler.told[3][0]


def _their_chain() -> Any:
    prompt = TheirPrompt.from_messages([("user", "{x}")])
    return prompt | TheirModel(responses=["one two"]) | TheirParser()


def _our_chain() -> Any:
    prompt = ours.ChatPromptTemplate([("user", "{x}")])
    return prompt | ours.FakeListChatModel(["one two"]) | ours.StrOutputParser()


def _their_nest() -> Any:
    leaf = theirs.RunnableLambda(lambda x: x, name="leaf")
    return theirs.RunnableLambda(leaf.invoke, name="nest") | theirs.RunnableParallel(a=leaf, b=leaf)


def _our_nest() -> Any:
    leaf = ours.RunnableLambda(lambda x: x, name="leaf")
    return ours.RunnableLambda(leaf.invoke, name="nest") | ours.RunnableParallel(
        {"a": leaf, "b": leaf}, name="RunnableParallel<a,b>"
    )


def _failing(host: Any) -> Callable[[], Any]:
    def fails(_: Any) -> Any:
        raise LookupError

    def make() -> Any:
        works = host.RunnableLambda(lambda x: x, name="works")
        return works | host.RunnableLambda(fails, name="fails")

    return make


async def _all(stream: Any) -> list[Any]:
    return [each async for each in stream]


CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "invoke": lambda chain, value, config: chain.invoke(value, config),
    "stream": lambda chain, value, config: [*chain.stream(value, config)],
    "batch": lambda chain, value, config: chain.batch([value], config),
    "ainvoke": lambda chain, value, config: asyncio.run(chain.ainvoke(value, config)),
    "astream": lambda chain, value, config: asyncio.run(_all(chain.astream(value, config))),
    "abatch": lambda chain, value, config: asyncio.run(chain.abatch([value], config)),
}


def _told(make: Callable[[], Any], call: str, value: Any) -> list[Any]:
    """Return what a handler of LangChain's is told of one call, with names for ids."""
    handler = noting(run_inline=True)
    with contextlib.suppress(LookupError):
        CALLS[call](make(), value, {"callbacks": [handler], "tags": ["t"]})
    names: dict[Any, str] = {None: "-"}
    for event, arguments, keywords in handler.told:
        if event.endswith("_start"):
            names[keywords["run_id"]] = keywords.get("name") or arguments[0]["name"]
    lines: list[Any] = []
    for event, _, keywords in handler.told:
        ids = keywords["run_id"], keywords["parent_run_id"]
        lines.append((event, *(names[each] for each in ids), *sorted(keywords["tags"])))
    # One streams letters, the other words. Branches run at the same time.
    lines = [line for line, _ in groupby(lines) if line[0] != "on_llm_new_token"]
    return sorted(lines) if any("map:key:a" in line for line in lines) else lines


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("their", "our", "value"),
    [
        (_their_chain, _our_chain, {"x": "?"}),
        (_their_nest, _our_nest, 1),
        (_failing(theirs), _failing(ours), 1),
    ],
    ids=["prompt|model|parser", "nested and parallel", "failing"],
)
def test_composition_is_told_as_langchain_tells_it(
    their: Callable[[], Any], our: Callable[[], Any], value: Any, call: str
) -> None:
    """The same events in the same order, with the same names, parents and tags."""
    expected, actual = _told(their, call, value), _told(our, call, value)

    assert expected
    if "stream" in call:
        # How far one step is ahead of the next in a stream is each host's own.
        expected, actual = sorted(expected), sorted(actual)
    assert expected == actual


@pytest.mark.parametrize("host", [theirs, ours])
def test_function_is_handed_what_it_asks_for(host: Any) -> None:
    """`config` holds the manager for what is nested."""
    handler = noting()
    leaf = host.RunnableLambda(lambda x: x, name="leaf")

    def function(number: int, config: Any) -> int:
        return leaf.invoke(number, {"callbacks": config["callbacks"]})

    host.RunnableLambda(function, name="root").invoke(1, {"callbacks": [handler]})

    starts = [keywords for event, _, keywords in handler.told if event == "on_chain_start"]
    assert [starts[0]["run_id"]] == [each["parent_run_id"] for each in starts[1:]]
