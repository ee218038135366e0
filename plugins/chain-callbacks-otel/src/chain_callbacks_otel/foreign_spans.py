"""What a GenAI span of somebody else's says, as what handlers are told of a run.

Names are those of OpenTelemetry's GenAI conventions (semantic-conventions-genai, ``docs/gen-ai``:
spans, agent spans, MCP) and of OpenInference (``spec/semantic_conventions.md``); besides, those
that hosts had before the conventions had any, each with the host.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid5

from chain_callbacks.runnables import (
    AIMessage,
    ChatGeneration,
    Document,
    Generation,
    LLMResult,
    UsageMetadata,
)

from .foreign_attributes import Attributes, attributes_of, first, read, records, text_of
from .foreign_errors import error_of
from .foreign_messages import (
    answer,
    called_with,
    gave_back,
    input_messages,
    messages_in,
    output_records,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

log = logging.getLogger("chain_callbacks")

_BY_OPERATION: Final[Mapping[str, Any]] = {
    "chat": "chat_model",
    "generate_content": "chat_model",
    "text_completion": "llm",
    "embeddings": "embeddings",
    "retrieval": "retriever",
    "execute_tool": "tool",
}
_BY_KIND: Final[Mapping[str, Any]] = {
    "LLM": "chat_model",
    "TOOL": "tool",
    "RETRIEVER": "retriever",
    "EMBEDDING": "embeddings",
    "PROMPT": "prompt",
}
_MODEL: Final = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name")
_PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "chat_model": _MODEL,
    "llm": _MODEL,
    "embeddings": (*_MODEL, "embedding.model_name"),
    "tool": ("gen_ai.tool.name", "tool.name"),
    "retriever": ("gen_ai.data_source.id",),
}
_NAMES_OF_CHAINS: Final[Mapping[str, tuple[str, ...]]] = {
    "invoke_agent": ("gen_ai.agent.name",),
    "create_agent": ("gen_ai.agent.name",),
    "invoke_workflow": ("gen_ai.workflow.name",),
    "AGENT": ("agent.name",),
}
_ARGUMENTS: Final = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",  # pydantic-ai before the conventions had it
    "gcp.vertex.agent.tool_call_args",  # Google's ADK
    "tool.parameters",
    "input.value",
)
_RESULT: Final = (
    "gen_ai.tool.call.result",
    "tool_response",
    "gcp.vertex.agent.tool_response",
    "output.value",
)
_METADATA: Final = (
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.agent.name",
    "gen_ai.agent.id",
    "gen_ai.conversation.id",
    "mcp.method.name",
    "mcp.session.id",
    "session.id",
)
_COUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.token_count.total"),
}
_INPUT_DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",  # Strands
        "llm.token_count.prompt_details.cache_read",
    ),
    "cache_creation": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
}
_OUTPUT_DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
}
_REQUEST: Final = "gen_ai.request."


def run_type_of(span: ReadableSpan) -> Any:
    """Return what *span* is a run of; None where it is no GenAI span."""
    attributes = span.attributes or {}
    operation = attributes.get("gen_ai.operation.name")
    if operation:
        return _BY_OPERATION.get(str(operation), "chain")
    kind = attributes.get("openinference.span.kind")
    if kind:
        return _BY_KIND.get(str(kind).upper(), "chain")
    method = attributes.get("mcp.method.name")
    if method:
        return "tool" if method == "tools/call" else "chain"
    # Google's ADK had no operation on its calls of models.
    if first(attributes, _PROVIDER) and attributes.get("gen_ai.request.model"):
        return "chat_model"
    return None


def run_id_of(trace_id: int, span_id: int) -> UUID:
    """Return the id of a span's run, which is the same wherever it is asked for."""
    return uuid5(UUID(int=trace_id), f"{span_id:016x}")


class Telling(NamedTuple):
    """What is told of the run of a span.

    Attributes:
        run_type, name, id_path, metadata: What the run is made with.
        arguments, keywords: Of its start event.
        output: Of its end event.
        error: The exception that left it; None where none did.
    """

    run_type: Any
    name: str
    id_path: tuple[str, ...]
    metadata: dict[str, Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    output: Any
    error: BaseException | None


def telling_of(span: ReadableSpan) -> Telling:
    """Return what handlers are told of a GenAI span."""
    attributes = attributes_of(span)
    run_type = run_type_of(span)
    arguments, keywords, output = _given(span, attributes, run_type)
    scope = scope_of(span)
    return Telling(
        run_type,
        _name(span, attributes, run_type),
        (*scope.split("."), span.name) if scope else (span.name,),
        _metadata(span, attributes, run_type, scope),
        arguments,
        keywords,
        output,
        error_of(span, attributes),
    )


def scope_of(span: ReadableSpan) -> str:
    """Return the name of the instrumentation that made *span*."""
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def _name(span: ReadableSpan, attributes: Attributes, run_type: str) -> str:
    names = _NAMES.get(run_type)
    if names is None:
        kind = first(attributes, ("gen_ai.operation.name", "openinference.span.kind"))
        names = _NAMES_OF_CHAINS.get(str(kind), ())
    return str(first(attributes, names) or span.name)


def _metadata(
    span: ReadableSpan, attributes: Attributes, run_type: str, scope: str
) -> dict[str, Any]:
    metadata = {name: attributes[name] for name in _METADATA if name in attributes}
    if run_type in ("chat_model", "llm", "embeddings"):
        # What LangChain says of each model, and what handlers are shown of one without content.
        known = {"ls_provider": first(attributes, _PROVIDER), "ls_model_name": _model(attributes)}
        metadata.update({name: fact for name, fact in known.items() if fact is not None})
    if span.context is not None:
        metadata["otel.trace_id"] = f"{span.context.trace_id:032x}"
        metadata["otel.span_id"] = f"{span.context.span_id:016x}"
    metadata["otel.scope"] = scope
    return metadata


def _given(span: ReadableSpan, attributes: Attributes, run_type: str) -> Given:
    give = _BY_TYPE[run_type]
    try:
        return give(span, attributes)
    except Exception as error:
        # What it states has a form that nobody thought of: the run is told without it.
        log.warning(
            "What the span %r states could not be read (%s); its run is told without it.",
            span.name,
            type(error).__qualname__,
        )
        return give(_bare(span), {})


def _bare(span: ReadableSpan) -> ReadableSpan:
    """Return a span of which nothing is known but its name."""
    from opentelemetry.sdk.trace import ReadableSpan as Made

    return Made(span.name)


Given = tuple[tuple[Any, ...], dict[str, Any], Any]


def _chat(span: ReadableSpan, attributes: Attributes) -> Given:
    messages = input_messages(span, attributes)
    generations = [
        ChatGeneration(message, {"finish_reason": finish} if finish else None)
        for message, finish in _answers(span, attributes)
    ]
    result = LLMResult([list(generations)], _llm_output(attributes))
    return ([messages],), {"invocation_params": _params(attributes)}, result


def _llm(span: ReadableSpan, attributes: Attributes) -> Given:
    prompts = [each.text for each in input_messages(span, attributes)] or [""]
    generations = [
        Generation(message.text, {"finish_reason": finish} if finish else None)
        for message, finish in _answers(span, attributes)
    ]
    output = _llm_output(attributes)
    usage = _usage(attributes)
    if usage is not None:
        output["token_usage"] = dict(usage)
    return (
        (prompts,),
        {"invocation_params": _params(attributes)},
        LLMResult([list(generations)], output),
    )


def _answers(span: ReadableSpan, attributes: Attributes) -> list[tuple[AIMessage, Any]]:
    """Return each choice's message, with the counts on the first, and how it was finished."""
    given = output_records(span, attributes)
    reasons = attributes.get("gen_ai.response.finish_reasons") or ()
    # What it used is told also where the content is not.
    answers = [answer(each) for each in given] or [AIMessage("")]
    model = _model(attributes)
    found = []
    for place, message in enumerate(answers):
        finish = given[place].get("finish_reason") if given else None
        if finish is None and not isinstance(reasons, str) and place < len(reasons):
            finish = reasons[place]
        facts = {
            "model_name": model,
            "finish_reason": finish,
            "id": attributes.get("gen_ai.response.id"),
        }
        message.response_metadata = {name: fact for name, fact in facts.items() if fact is not None}
        found.append((message, finish))
    answers[0].usage_metadata = _usage(attributes)
    return found


def _llm_output(attributes: Attributes) -> dict[str, Any]:
    model = _model(attributes)
    return {} if model is None else {"model_name": model}


def _model(attributes: Attributes) -> Any:
    return first(attributes, ("gen_ai.response.model", *_MODEL, "embedding.model_name"))


def _params(attributes: Attributes) -> dict[str, Any]:
    """Return how the model was asked, under the names that LangChain's handlers look for."""
    params = {
        name.removeprefix(_REQUEST): value
        for name, value in attributes.items()
        if name.startswith(_REQUEST)
    }
    if "stop_sequences" in params:
        params["stop"] = list(params.pop("stop_sequences"))
    model = first(attributes, _MODEL)
    provider = first(attributes, _PROVIDER)
    known = {"model": model, "_type": provider}
    tools = read(attributes.get("gen_ai.tool.definitions"))
    if isinstance(tools, list):
        known["tools"] = tools
    return {**params, **{name: value for name, value in known.items() if value is not None}}


def _usage(attributes: Attributes) -> UsageMetadata | None:
    counts = {name: _count(attributes, names) for name, names in _COUNTS.items()}
    given, gave, total = counts["input_tokens"], counts["output_tokens"], counts["total_tokens"]
    if given is None and gave is None and total is None:
        return None
    usage = UsageMetadata(
        input_tokens=given or 0,
        output_tokens=gave or 0,
        total_tokens=(given or 0) + (gave or 0) if total is None else total,
    )
    if inputs := _details(attributes, _INPUT_DETAILS):
        usage["input_token_details"] = inputs
    if outputs := _details(attributes, _OUTPUT_DETAILS):
        usage["output_token_details"] = outputs
    return usage


def _details(attributes: Attributes, table: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    found = {name: _count(attributes, names) for name, names in table.items()}
    return {name: count for name, count in found.items() if count}


def _count(attributes: Attributes, names: tuple[str, ...]) -> int | None:
    value = first(attributes, names)
    return int(value) if isinstance(value, int | float) and isfinite(value) else None


def _tool(span: ReadableSpan, attributes: Attributes) -> Given:
    given, gave = first(attributes, _ARGUMENTS), first(attributes, _RESULT)
    if given is None:  # Strands tells them as a message.
        given = called_with(span, attributes)
    if gave is None:
        gave = gave_back(span, attributes)
    arguments = read(given)
    keywords: dict[str, Any] = {}
    if isinstance(arguments, dict):
        keywords["inputs"] = arguments
    called = attributes.get("gen_ai.tool.call.id")
    if called is not None:
        keywords["tool_call_id"] = str(called)
    return (text_of(given),), keywords, read(gave)


def _chain(span: ReadableSpan, attributes: Attributes) -> Given:
    value = first(attributes, ("input.value",))
    inputs: Any = read(value)
    if inputs is None:
        messages = input_messages(span, attributes) or _asked(attributes)
        inputs = {"messages": messages} if messages else {}
    output = read(first(attributes, ("output.value", "final_result")))  # the latter pydantic-ai's
    if output is None:
        answers = [answer(each) for each in output_records(span, attributes)]
        output = {"messages": answers} if answers else None
    return (inputs,), {}, output


def _asked(attributes: Attributes) -> list[Any]:
    """Return what a run of pydantic-ai's began with: it states all messages when it ends."""
    messages = messages_in(attributes.get("pydantic_ai.all_messages"))
    answers = (place for place, each in enumerate(messages) if isinstance(each, AIMessage))
    return messages[: next(answers, len(messages))]


def _retriever(_span: ReadableSpan, attributes: Attributes) -> Given:
    query = first(attributes, ("gen_ai.retrieval.query.text", "input.value"))
    given = read(attributes.get("gen_ai.retrieval.documents"))
    if not isinstance(given, list):
        given = [each.get("document") for each in records(attributes, "retrieval.documents")]
    documents = [_document(each) for each in given if isinstance(each, Mapping)]
    return (text_of(query),), {}, documents


def _document(record: Mapping[str, Any]) -> Document:
    metadata = read(record.get("metadata"))
    known = dict(metadata) if isinstance(metadata, Mapping) else {}
    if "score" in record:
        known["score"] = record["score"]
    found = record.get("id")
    content = text_of(first(record, ("content", "text", "page_content")))
    return Document(content, known, None if found is None else str(found))


def _embeddings(_span: ReadableSpan, attributes: Attributes) -> Given:
    stated = [each.get("embedding") for each in records(attributes, "embedding.embeddings")]
    found = [each for each in stated if isinstance(each, Mapping)]
    texts = [text_of(each.get("text")) for each in found]
    vectors = [list(each["vector"]) for each in found if each.get("vector") is not None]
    return (texts,), {}, vectors


_BY_TYPE: Final[Mapping[str, Callable[[ReadableSpan, Attributes], Given]]] = {
    "chat_model": _chat,
    "llm": _llm,
    "tool": _tool,
    "retriever": _retriever,
    "embeddings": _embeddings,
    "prompt": _chain,
    "chain": _chain,
}
