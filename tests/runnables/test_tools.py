"""Tools: what they take, what they give, and what of the run they can ask for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chain_callbacks.dispatch.run import AsyncRun, Run
from chain_callbacks.runnables import (
    BaseTool,
    RunnableConfig,
    RunnablePassthrough,
    ToolCall,
    ToolMessage,
    tool,
)
from chain_callbacks.runnables.schema import ToolArgumentsError
from chain_callbacks.testing import RecordingHandler


@tool
def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: The first one.
        b: The other one.
    """
    return a + b


@tool
async def load(key: str) -> dict[str, str]:
    """Load a value."""
    await asyncio.sleep(0)
    return {"key": key}


def call(name: str, **args: Any) -> ToolCall:
    return ToolCall(name=name, args=args, id="call-1")


@pytest.mark.parametrize("form", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 1, "b": 2}, 3),
        ({"a": "1"}, 2),
        (call("add", a=1), ToolMessage("2", tool_call_id="call-1", name="add")),
    ],
)
def test_a_tool_takes_its_arguments_or_a_call(form: str, given: Any, expected: Any) -> None:
    """Arguments give what the function returns, a model's call a message for the model."""
    match form:
        case "invoke":
            assert add.invoke(given) == expected
        case "ainvoke":
            assert asyncio.run(add.ainvoke(given)) == expected
        case "stream":
            assert list(add.stream(given)) == [expected]
        case _:

            async def read() -> list[Any]:
                return [chunk async for chunk in add.astream(given)]

            assert asyncio.run(read()) == [expected]


def test_a_value_alone_is_the_only_argument() -> None:
    """A tool of one argument takes its value; one of several takes a dict."""
    assert asyncio.run(load.ainvoke("k")) == {"key": "k"}
    with pytest.raises(ToolArgumentsError, match="Its arguments are 'a', 'b'"):
        add.invoke(1)


def test_a_coroutine_is_awaited_where_that_can_be() -> None:
    """An asynchronous tool gives its value to asynchronous callers, and says so to others."""
    message = asyncio.run(load.ainvoke(call("load", key="k")))
    assert message == ToolMessage('{"key": "k"}', tool_call_id="call-1", name="load")
    with pytest.raises(TypeError, match="The tool load is asynchronous"):
        load.invoke({"key": "k"})


def test_the_function_can_be_called_as_before(recorder: RecordingHandler) -> None:
    """Calling a tool is calling its function: no check, no run."""
    assert add(1, b=2) == 3
    assert asyncio.run(load("k")) == {"key": "k"}


def test_a_model_is_told_of_it_by_its_signature() -> None:
    """Name, description and schema are those of the function."""
    described = add.as_openai()["function"]
    assert (described["name"], described["description"]) == ("add", "Add two numbers.")
    assert described["parameters"]["required"] == ["a"]
    told = {key: add.args["b"][key] for key in ("default", "description", "type")}
    assert told == {"default": 1, "description": "The other one.", "type": "integer"}


def test_a_tool_may_be_named_and_described() -> None:
    """``@tool("name", description=...)`` beats the function's own."""

    @tool("plus", description="Sums.")
    def work(a: int) -> int:
        return a

    described = work.as_openai()["function"]
    assert (work.get_name(), described["name"], described["description"]) == (
        "plus",
        "plus",
        "Sums.",
    )


def test_wrong_arguments_are_an_error_of_the_run(recorder: RecordingHandler) -> None:
    """Arguments that the schema refuses never reach the function; the run ends as an error."""
    with pytest.raises(ToolArgumentsError) as caught:
        add.invoke({"a": "s3cret", "c": 1}, {"callbacks": [recorder]})
    assert "s3cret" not in str(caught.value)
    assert recorder.tree() == "tool add error ToolArgumentsError"


def test_a_tool_tells_its_arguments_and_its_output(recorder: RecordingHandler) -> None:
    """The start of a tool's run has the arguments as text and as a dict, its end the output."""
    add.invoke({"a": 1}, {"callbacks": [recorder]})
    add.invoke(call("add", a=1), {"callbacks": [recorder]})
    start, end, call_start, call_end = (dict(r.payload) for r in recorder.records)
    assert (start["input_str"], start["inputs"]) == ("{'a': 1}", {"a": 1})
    assert "tool_call_id" not in start
    assert end == {"output": 2}
    assert (call_start["inputs"], call_start["tool_call_id"]) == ({"a": 1}, "call-1")
    assert call_end["output"].tool_call_id == "call-1"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_tool_may_ask_for_its_run(*, is_async: bool, recorder: RecordingHandler) -> None:
    """``config``, ``run`` and ``run_manager`` are filled in, and hidden from the model."""
    seen: dict[str, Any] = {}

    def use(x: int, config: RunnableConfig, run: Any, run_manager: Any) -> int:
        seen.update(run=run, run_manager=run_manager)
        return RunnablePassthrough(name="inner").invoke(x, config)

    async def ause(x: int, config: RunnableConfig, run: Any, run_manager: Any) -> int:
        seen.update(run=run, run_manager=run_manager)
        return await RunnablePassthrough(name="inner").ainvoke(x, config)

    made = tool("use")(ause if is_async else use)
    assert list(made.args) == ["x"]
    if is_async:
        assert asyncio.run(made.ainvoke({"x": 1}, {"callbacks": [recorder]})) == 1
    else:
        assert made.invoke({"x": 1}, {"callbacks": [recorder]}) == 1
    assert recorder.tree() == "tool use\n  chain inner"
    assert isinstance(seen["run"], Run)
    assert isinstance(seen["run_manager"], AsyncRun if is_async else Run)


@pytest.mark.parametrize("form", ["invoke", "ainvoke"])
def test_a_tool_may_ask_for_callbacks(form: str, recorder: RecordingHandler) -> None:
    """``callbacks`` is filled in with the run's child manager, and hidden from the model."""
    seen: list[Any] = []

    @tool
    def use(x: int, callbacks: Any) -> int:
        """Use a step."""
        seen.append(callbacks)
        return RunnablePassthrough(name="inner").invoke(x, {"callbacks": callbacks})

    def act(config: RunnableConfig) -> int:
        if form == "invoke":
            return use.invoke({"x": 1}, config)
        return asyncio.run(use.ainvoke({"x": 1}, config))

    assert list(use.args) == ["x"]
    assert act({"callbacks": [recorder]}) == act({}) == 1
    assert recorder.tree() == "tool use\n  chain inner"
    assert [getattr(each, "parent", None) and each.parent.name for each in seen] == ["use", None]


def test_a_synchronous_tool_under_an_asynchronous_caller(recorder: RecordingHandler) -> None:
    """It runs in a thread, inside its run; its run manager is the one for synchronous code."""

    def use(x: int, run_manager: Any) -> int:
        run_manager.on_text("working")
        return RunnablePassthrough(name="inner").invoke(x)

    asyncio.run(tool(use).ainvoke({"x": 1}, {"callbacks": [recorder]}))
    assert recorder.tree() == "tool use text=1\n  chain inner"


def test_a_tool_may_be_a_class(recorder: RecordingHandler) -> None:
    """A subclass writes ``_run``, and where it has one ``_arun``; the schema is that method's."""

    class Search(BaseTool):
        description = "Searches."

        def _run(self, query: str, limit: int = 2) -> list[str]:
            return [query] * limit

    class Fetch(BaseTool):
        async def _arun(self, url: str) -> str:
            return url

    search, fetch = Search(callbacks=[recorder]), Fetch(name="fetch", callbacks=[recorder])
    assert search.invoke({"query": "q"}) == ["q", "q"]
    assert asyncio.run(search.ainvoke(call("Search", query="q", limit=1))).text == '["q"]'
    assert asyncio.run(fetch.ainvoke("u")) == "u"
    assert (list(search.args), list(fetch.args)) == (["query", "limit"], ["url"])
    with pytest.raises(TypeError, match="The tool fetch is asynchronous"):
        fetch.invoke("u")
    assert recorder.trees() == [
        "tool Search",
        "tool Search",
        "tool fetch",
        "tool fetch error TypeError",
    ]


def test_a_message_that_a_tool_returns_is_kept() -> None:
    """A tool may answer a call with a message of its own."""

    @tool
    def answer(x: int) -> ToolMessage:
        return ToolMessage("mine", tool_call_id="other")

    assert answer.invoke(call("answer", x=1)).tool_call_id == "other"


def test_what_is_no_json_is_told_as_text() -> None:
    """An output that has no JSON form reaches the model as its text."""

    @tool
    def now(x: int) -> Any:
        return {1, x}

    assert now.invoke(call("now", x=1)).text == "{1}"
