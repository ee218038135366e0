"""A handler that an application has already: what it is told must be the same with us and without.

It stands for no test, and knows nothing of chain-callbacks.
"""

from __future__ import annotations

from collections import Counter

from langchain_core.callbacks import BaseCallbackHandler

EVENTS = [
    "on_chain_start",
    "on_chain_end",
    "on_chain_error",
    "on_llm_start",
    "on_chat_model_start",
    "on_llm_new_token",
    "on_llm_end",
    "on_llm_error",
    "on_tool_start",
    "on_tool_end",
    "on_tool_error",
    "on_retriever_start",
    "on_retriever_end",
    "on_retriever_error",
    "on_custom_event",
]


class Witness(BaseCallbackHandler):
    """Counts what it is told, with the parents, names and tags that it is told of."""

    def __init__(self):
        self.told = Counter()
        self.names = {}

    def report(self):
        """Print what was told, in an order that no thread decides on."""
        for line, count in sorted(self.told.items()):
            print(f"witness: {line} x{count}")


def _method(event):
    def method(self, *arguments, run_id, parent_run_id=None, tags=None, **keywords):
        if event.endswith("_start"):
            serialized = arguments[0] or {}
            self.names[run_id] = keywords.get("name") or serialized.get("name")
        parent = self.names.get(parent_run_id, "-")
        labels = ",".join(sorted(tags or ()))
        self.told[f"{event} {self.names.get(run_id)} in {parent} [{labels}]"] += 1

    return method


for _event in EVENTS:
    setattr(Witness, _event, _method(_event))
