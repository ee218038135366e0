"""A native chain with a bit of everything, for handlers of others to hear."""

from __future__ import annotations

import contextlib
from typing import Any

from chain_callbacks.runnables import (
    AIMessage,
    BaseRetriever,
    ChatPromptTemplate,
    Document,
    FakeListChatModel,
    RunnableLambda,
    tool,
)

TREE = [
    "RunnableSequence",
    "RunnableSequence > look_up",
    "RunnableSequence > look_up > search",
    "RunnableSequence > look_up > search > Shelf",
    "RunnableSequence > prompt",
    "RunnableSequence > model",
    "failing",
]
"""The runs of a chain and of one that fails, each by the names from its root."""

PROMPT_TOKENS, COMPLETION_TOKENS = 12, 3


class Shelf(BaseRetriever):
    """Finds one document."""

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [Document(f"All about {query}.", {"page": 1})]


@tool
def search(query: str) -> str:
    """Search the shelf."""
    return Shelf().invoke(query)[0].page_content


class Model(FakeListChatModel):
    """Says which model it is, as a real one does."""

    def _identifying_params(self, kwargs: Any) -> dict[str, Any]:
        return {"_type": "hive", "model_name": "bee-1", **kwargs}


def run() -> None:
    """Run the chain, its model streamed, and the one that fails."""
    answer = AIMessage(
        "It makes honey.",
        usage_metadata={
            "input_tokens": PROMPT_TOKENS,
            "output_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
        response_metadata={"model_name": "bee-1"},
    )
    look_up = RunnableLambda(
        lambda animal: {"context": search.invoke(animal), "animal": animal}, name="look_up"
    )
    prompt = ChatPromptTemplate([("system", "{context}"), ("user", "What is a {animal}?")])
    prompt.name = "prompt"
    for _ in (look_up | prompt | Model([answer], name="model")).stream("bee"):
        pass
    with contextlib.suppress(LookupError):
        RunnableLambda(_fail, name="failing").invoke("bee")


def _fail(animal: str) -> None:
    raise LookupError(f"no {animal}")
