"""The program of the comparison of traces: a LangGraph agent, in whose process one contender is.

It prints what one run of the agent gave in spans, and what the spans cost, as JSON. Its model is
``ChatOpenAI``, with its answers made up where the request would leave the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

WARM: Final = 20
SAMPLES: Final = 60

CALLS: Final = [
    {
        "id": f"call-{number}",
        "type": "function",
        "function": {"name": "add", "arguments": json.dumps({"a": number, "b": 1})},
    }
    for number in (1, 2)
]


class Kept(SpanProcessor):
    """Keeps what has ended, and does nothing else: the cost is that of making the spans."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def instrument(contender: str) -> None:
    """Set the contender up as its documentation says."""
    if contender == "ours":
        import chain_callbacks.auto  # noqa: F401
    elif contender == "genai":
        from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument()
    elif contender == "openinference":
        from openinference.instrumentation.langchain import LangChainInstrumentor as Theirs

        Theirs().instrument()


def agent_of(tracer: trace.Tracer) -> Callable[[str], Any]:
    """Return an agent that calls its model, two tools at once, and its model again."""
    import httpx
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    def answer(request: httpx.Request) -> httpx.Response:
        has_results = any(
            each["role"] == "tool" for each in json.loads(request.content)["messages"]
        )
        message: dict[str, Any] = {"role": "assistant", "content": "2 and 3"}
        if not has_results:
            message = {"role": "assistant", "content": None, "tool_calls": CALLS}
        return httpx.Response(
            200,
            json={
                "id": "answer",
                "object": "chat.completion",
                "created": 0,
                "model": "gpt-4o-mini-2024-07-18",
                "choices": [
                    {
                        "index": 0,
                        "message": message,
                        "finish_reason": "stop" if has_results else "tool_calls",
                    }
                ],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
            },
        )

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        with tracer.start_as_current_span("a span of the program"):
            if a < 0:
                raise ValueError("no such number")
            return a + b

    model = ChatOpenAI(
        model="gpt-4o-mini",
        api_key="none",  # type: ignore[arg-type]
        temperature=0,
        http_client=httpx.Client(transport=httpx.MockTransport(answer)),
    ).bind_tools([add])

    def think(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    def fail(_state: MessagesState) -> Any:
        raise ValueError("no such number")

    def graph(first: Any) -> Any:
        made = StateGraph(MessagesState)
        made.add_node("think", first)
        made.add_node("tools", ToolNode([add]))
        made.add_edge(START, "think")
        made.add_conditional_edges("think", tools_condition)
        made.add_edge("tools", "think")
        return made.compile(name="adder")

    sound, broken = graph(think), graph(fail)
    question = {"messages": [HumanMessage("1 + 1, 2 + 1?")]}

    def run(which: str) -> Any:
        return (sound if which == "sound" else broken).invoke(question)

    return run


def shown(spans: list[ReadableSpan]) -> list[dict[str, Any]]:
    """Return *spans* as data, in the order of their starts."""
    return [
        {
            "id": span.context.span_id,
            "parent": None if span.parent is None else span.parent.span_id,
            "trace": span.context.trace_id,
            "name": span.name,
            "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
            "status": span.status.status_code.name,
            "attributes": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in (span.attributes or {}).items()
            },
            "events": [event.name for event in span.events],
        }
        for span in sorted(spans, key=lambda each: each.start_time or 0)
    ]


def samples(work: Callable[[], Any]) -> Iterator[float]:
    """Yield seconds of the processor that one piece of *work* took, after some to warm up."""
    for _ in range(WARM):
        work()
    for _ in range(SAMPLES):
        began = time.process_time()
        work()
        yield time.process_time() - began


def calls_of(work: Callable[[], Any]) -> int:
    """Return how many functions of Python's one piece of *work* calls, in all threads."""
    count = [0]

    def note(_frame: Any, event: str, _argument: Any) -> None:
        if event == "call":
            count[0] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return count[0]


def main() -> None:
    """Run the agent with the contender that the command line names."""
    contender = sys.argv[1]
    kept = Kept()
    provider = TracerProvider()
    provider.add_span_processor(kept)
    trace.set_tracer_provider(provider)
    instrument(contender)
    run = agent_of(trace.get_tracer("the.program"))
    run("sound")
    kept.spans.clear()

    run("sound")
    sound = shown(kept.spans)
    kept.spans.clear()
    with contextlib.suppress(ValueError):
        run("broken")
    broken = shown(kept.spans)

    def work() -> None:
        kept.spans.clear()
        run("sound")

    found = {
        "sound": sound,
        "broken": broken,
        "calls": calls_of(work),
        "seconds": statistics.median(samples(work)),
    }
    os.write(1, json.dumps(found).encode())


if __name__ == "__main__":
    main()
