"""MLflow's tracer, driven by a native chain; its traces are read back from its own store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import native
from mlflow.langchain.langchain_tracer import MlflowLangchainTracer

from chain_callbacks import attached


def test_mlflow_keeps_a_whole_tree_with_names_and_counts(tmp_path: Path) -> None:
    """Each run is a span under its parent's; the model's has its tokens."""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = mlflow.set_experiment("native")

    with attached(MlflowLangchainTracer()):
        native.run()
    mlflow.flush_trace_async_logging()

    traces = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    spans = {span.span_id: span for trace in traces for span in trace.data.spans}

    def path(span: mlflow.entities.Span) -> str:
        above = f"{path(spans[span.parent_id])} > " if span.parent_id else ""
        return above + span.name

    by_path = {path(span): span for span in spans.values()}
    assert sorted(native.TREE) == sorted(by_path)
    model = by_path["RunnableSequence > model"]
    assert "CHAT_MODEL" == model.span_type
    usage = model.attributes["mlflow.chat.tokenUsage"]
    assert native.PROMPT_TOKENS == usage["input_tokens"]
    assert native.COMPLETION_TOKENS == usage["output_tokens"]
    assert "It makes honey." in str(model.outputs)
    assert "TOOL" == by_path["RunnableSequence > look_up > search"].span_type
    shelf = by_path["RunnableSequence > look_up > search > Shelf"]
    assert "RETRIEVER" == shelf.span_type
    assert "All about bee." in str(shelf.outputs)
    assert "ERROR" == by_path["failing"].status.status_code.value
