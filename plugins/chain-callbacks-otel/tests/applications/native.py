"""Agents: one is streamed, with tools in parallel; one fails; one is cancelled."""

import asyncio

from chain_callbacks.runnables import (
    AIMessage,
    FakeToolCallingChatModel,
    RunnableLambda,
    create_agent,
    tool,
)

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
SAID = {"model_name": "fake-1", "finish_reason": "stop"}


class Model(FakeToolCallingChatModel):
    def _identifying_params(self, kwargs):
        return {"model": "fake-1", **kwargs}


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    if word == "nothing":
        raise LookupError(word)
    return word.upper()


@tool
async def wait(word: str) -> str:
    """Wait for ever."""
    begun.set()
    await asyncio.Event().wait()
    return word


def agent(*words, uses=look_up):
    calls = [{"name": uses.name, "args": {"word": each}, "id": each} for each in words]
    answers = [AIMessage("", tool_calls=calls), AIMessage("a b c", **told)]
    return RunnableLambda(str.strip, name="strip") | create_agent(
        Model(answers), [uses], name="finder"
    )


async def cancel():
    task = asyncio.create_task(agent("x", uses=wait).ainvoke("x"))
    await begun.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")


told = {"usage_metadata": USAGE, "response_metadata": SAID}
begun = asyncio.Event()
print(len(list(agent("one", "two").stream(" find "))), "chunks")
try:
    agent("one", "nothing").invoke("find")
except LookupError as error:
    print("failed", error)
asyncio.run(cancel())
