"""A native agent that calls two tools at once, and one whose tool fails; it prints its run trees.

Its spans go where ``OTEL_*`` says; what it prints is what a recorder heard.
"""

import contextlib

from chain_callbacks import attached
from chain_callbacks.runnables import AIMessage, FakeToolCallingChatModel, create_agent, tool
from chain_callbacks.testing import RecordingHandler


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    if a < 0:
        raise ValueError("no such number")
    return a + b


def call(number, a):
    return {"name": "add", "args": {"a": a, "b": 1}, "id": f"call-{number}"}


used = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
asking = AIMessage("", tool_calls=[call(1, 1), call(2, 2)], usage_metadata=used)
answer = AIMessage("2 and 3", usage_metadata=used)
failing = AIMessage("", tool_calls=[call(3, -1)], usage_metadata=used)

heard = RecordingHandler()
with attached(heard):
    create_agent(FakeToolCallingChatModel(responses=[asking, answer]), [add]).invoke(
        "1 + 1, 2 + 1?"
    )
    with contextlib.suppress(ValueError):
        create_agent(FakeToolCallingChatModel(responses=[failing]), [add]).invoke("-1 + 1?")
print(heard.tree())
