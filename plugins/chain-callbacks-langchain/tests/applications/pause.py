"""A graph in a graph, which asks a person and goes on with the answer."""

import asyncio
from typing import TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from witness import Witness


class State(TypedDict):
    number: int


def ask(state):
    return {"number": state["number"] + interrupt("How many more?")}


def count(state):
    return {"number": state["number"] + 1}


inner = StateGraph(State)
inner.add_node("ask", ask)
inner.add_edge(START, "ask")
outer = StateGraph(State)
outer.add_node("count", count)
outer.add_node("decide", inner.compile())
outer.add_edge(START, "count")
outer.add_edge("count", "decide")
application = outer.compile(checkpointer=InMemorySaver())

witness = Witness()


def config(thread):
    return {"configurable": {"thread_id": thread}, "callbacks": [witness]}


async def in_the_other_world():
    paused = await application.ainvoke({"number": 1}, config("2"))
    print(paused["number"], paused["__interrupt__"][0].value)
    print(await application.ainvoke(Command(resume=5), config("2")))


paused = application.invoke({"number": 1}, config("1"))
print(paused["number"], paused["__interrupt__"][0].value)
print(list(application.stream(Command(resume=5), config("1"))))
asyncio.run(in_the_other_world())
witness.report()
