"""Graphs that know nothing of us: one streamed, with tools in parallel; one fails; one is cut."""

import asyncio
import json

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

begun = asyncio.Event()


class Model(BaseChatModel):
    model_name: str = "fake-1"
    answers: list

    @property
    def _llm_type(self):
        return "fake"

    def _answer(self, messages):
        return self.answers[sum(message.type == "ai" for message in messages)]

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        answer = self._answer(messages)
        for word in answer.content.split():
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        calls = [
            {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": n}
            for n, call in enumerate(answer.tool_calls)
        ]
        told = {"response_metadata": answer.response_metadata}
        if answer.usage_metadata:
            told["usage_metadata"] = answer.usage_metadata
        yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=calls, **told))


@tool
async def look_up(word: str) -> str:
    """Look a word up."""
    if word == "nothing":
        raise LookupError(word)
    if word == "wait":
        begun.set()
        await asyncio.Event().wait()
    return word.upper()


def graph(*words):
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    said = {"model_name": "fake-1", "finish_reason": "stop"}
    calls = [{"name": "look_up", "args": {"word": each}, "id": each} for each in words]
    answers = [
        AIMessage("", tool_calls=calls),
        AIMessage("a b c", usage_metadata=usage, response_metadata=said),
    ]
    model = Model(answers=answers)

    async def think(state):
        return {"messages": [await model.ainvoke(state["messages"])]}

    built = StateGraph(MessagesState)
    built.add_node("think", think)
    built.add_node("tools", ToolNode([look_up], handle_tool_errors=False))
    built.add_edge(START, "think")
    built.add_conditional_edges("think", tools_condition)
    built.add_edge("tools", "think")
    return built.compile()


async def main():
    question = {"messages": [HumanMessage("find")]}
    chunks = [each async for each in graph("one", "two").astream(question, stream_mode="messages")]
    print("".join(message.content for message, _ in chunks if message.type != "tool"))
    try:
        await graph("nothing").ainvoke(question)
    except LookupError as error:
        print("failed", error)
    task = asyncio.create_task(graph("wait").ainvoke(question))
    await begun.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")


asyncio.run(main())
