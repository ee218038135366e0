"""LangChain's and LangGraph's runs: their spans are current in the code that they run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="not installed: langgraph")
pytest.importorskip("chain_callbacks_langchain", reason="not installed: chain-callbacks-langchain")

import chain_callbacks.auto  # noqa: F401  As a program does.
from chain_callbacks import register
from chain_callbacks.testing import RecordingHandler

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LangGraph's own.


def graph(tracer: Any) -> Any:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableLambda
    from langchain_core.tools import tool
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode

    step = RunnableLambda(lambda value: value).with_config(run_name="step")

    @tool
    def look_up(word: str) -> str:
        """Look a word up."""
        with tracer.start_as_current_span(f"mine {word}"):
            return str(step.invoke(word))

    async def think(state: Any) -> Any:
        with tracer.start_as_current_span("mine think"):
            await step.ainvoke(1)
        calls: Any = [{"name": "look_up", "args": {"word": word}, "id": word} for word in "ab"]
        return {"messages": [AIMessage("", tool_calls=calls)]}

    built = StateGraph(MessagesState)
    built.add_node("think", think)
    built.add_node("tools", ToolNode([look_up]))
    built.add_edge(START, "think")
    built.add_edge("think", "tools")
    return built.compile()


@pytest.mark.parametrize("number", [1, 20])
def test_spans_in_nodes_and_tools_are_children_of_their_runs(
    exported: Any,
    otel: Any,
    recorder: RecordingHandler,
    same_runs: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    """In tasks and in the threads of parallel tools, of one graph or of many at a time."""
    register("here", lambda: otel)
    register("heard", lambda: recorder)
    monkeypatch.setenv("CHAIN_CALLBACKS", "here,heard")
    compiled = graph(exported.tracer)

    async def main() -> None:
        with exported.tracer.start_as_current_span("request"):
            await asyncio.gather(*(compiled.ainvoke({"messages": []}) for _ in range(number)))

    asyncio.run(main())
    same_runs(exported, recorder)
    by_id = {span.context.span_id: span for span in exported.spans}
    above = {
        name: {by_id[span.parent.span_id].name for span in exported.spans if span.name == name}
        for name in ("mine think", "mine a", "mine b", "step", "invoke_workflow LangGraph")
    }
    assert {
        "mine think": {"think"},
        "mine a": {"execute_tool look_up"},
        "mine b": {"execute_tool look_up"},
        "step": {"mine think", "mine a", "mine b"},
        "invoke_workflow LangGraph": {"request"},
    } == above
    assert [] == [each for each in caplog.messages if "Context" in each]
