"""OpenInference's tracer, driven by a native chain."""

from __future__ import annotations

from typing import Any

import native
from openinference.instrumentation import OITracer, TraceConfig
from openinference.instrumentation.langchain._tracer import OpenInferenceTracer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chain_callbacks import attached


def test_openinference_hears_a_whole_tree_with_names_and_counts() -> None:
    """Each run is a span under its parent's; the model's has its messages and its tokens."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OITracer(provider.get_tracer("test"), config=TraceConfig())

    with attached(OpenInferenceTracer(tracer, separate_trace_from_runtime_context=False)):
        native.run()

    spans: dict[Any, Any] = {span.context.span_id: span for span in exporter.get_finished_spans()}

    def path(span: Any) -> str:
        above = f"{path(spans[span.parent.span_id])} > " if span.parent else ""
        return above + span.name

    by_path = {path(span): span for span in spans.values()}
    assert sorted(native.TREE) == sorted(by_path)
    model = by_path["RunnableSequence > model"].attributes
    assert "LLM" == model["openinference.span.kind"]
    assert "bee-1" == model["llm.model_name"]
    assert native.PROMPT_TOKENS == model["llm.token_count.prompt"]
    assert native.COMPLETION_TOKENS == model["llm.token_count.completion"]
    assert "All about bee." == model["llm.input_messages.0.message.content"]
    assert "It makes honey." == model["llm.output_messages.0.message.content"]
    shelf = by_path["RunnableSequence > look_up > search > Shelf"].attributes
    assert "RETRIEVER" == shelf["openinference.span.kind"]
    assert "All about bee." == shelf["retrieval.documents.0.document.content"]
    assert (
        "TOOL"
        == by_path["RunnableSequence > look_up > search"].attributes["openinference.span.kind"]
    )
    assert "ERROR" == by_path["failing"].status.status_code.name
