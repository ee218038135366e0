"""An agent on a graph: a model that asks for two tools at once, and answers with what they say."""

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from witness import Witness

double = RunnableLambda(lambda number: number * 2).with_config(run_name="double")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return double.invoke(a) + b


def call(a, number):
    return {"name": "add", "args": {"a": a, "b": 1}, "id": f"call-{number}", "type": "tool_call"}


answers = [AIMessage("", tool_calls=[call(1, 1), call(2, 2)]), AIMessage("3 and 5")]
model = GenericFakeChatModel(messages=iter(answers * 2))


def think(state):
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("think", think)
graph.add_node("tools", ToolNode([add]))
graph.add_edge(START, "think")
graph.add_conditional_edges("think", tools_condition)
graph.add_edge("tools", "think")
agent = graph.compile()

witness = Witness()
question = {"messages": [HumanMessage("1 + 1, 2 + 1?")]}
for config in (None, {"callbacks": [witness]}):
    messages = agent.invoke(question, config)["messages"]
    print([message.content for message in messages])
witness.report()
