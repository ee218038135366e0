"""From the start of a run to its span, and from its end to what the span says of it.

``opentelemetry-util-genai`` makes spans and metrics of what the conventions know as operations. A
step of a chain that is none of them has a plain span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.genai.invocation import (
    AgentInvocation,
    EmbeddingInvocation,
    GenAIInvocation,
    InferenceInvocation,
    RetrievalInvocation,
    ToolInvocation,
    WorkflowInvocation,
)
from opentelemetry.util.genai.types import FunctionToolDefinition, RetrievalDocument, ToolDefinition
from opentelemetry.util.genai.utils import fq_exception_type

from chain_callbacks import RunEnd, RunStart

from . import models
from .messages import input_messages, output_messages, plain
from .names import (
    AGENT,
    ERROR_TYPE,
    PROVIDER,
    REQUEST_MODEL,
    TEXT_COMPLETION,
    TOOL,
    WORKFLOW,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util.genai.handler import TelemetryHandler

_AGENT_CLASSES: Final = frozenset({"Agent", "AgentExecutor"})
_AGENT_INTEGRATION: Final = "langchain_create_agent"
_AGENT: Final = "agent"


class Step:
    """A run that is no operation of the conventions, in the form of the library's invocations."""

    def __init__(self, tracer: Tracer, name: str, context: Context) -> None:
        self.span = tracer.start_span(name, context)
        self.context = set_span_in_context(self.span, context)
        self.attributes: dict[str, Any] = {}
        self.metric_attributes: dict[str, Any] = {}

    def stop(self) -> None:
        """End the span."""
        self.span.set_attributes(self.attributes)
        self.span.end()

    def fail(self, error: BaseException) -> None:
        """End the span with an error."""
        self.attributes[ERROR_TYPE] = fq_exception_type(error)
        self.span.set_status(Status(StatusCode.ERROR, str(error)))
        self.stop()


Call = GenAIInvocation | Step


def kind_of(run: RunStart, around: str | None) -> str:
    """Return what a run is: its type, ``agent`` or ``workflow``; *around* is what its parent is."""
    if run.run_type != "chain":
        return run.run_type
    if _is_agent(run, around):
        return _AGENT
    return "workflow" if run.parent_run_id is None else "chain"


def _is_agent(run: RunStart, around: str | None) -> bool:
    path = run.payload["serialized"].get("id") or ("",)
    if path[-1] in _AGENT_CLASSES or run.metadata.get("lc_agent_name") == run.name:
        return True
    # What LangChain's `create_agent` says of an agent is said of all that runs in it, too.
    integration = run.metadata.get("ls_integration")
    return integration == _AGENT_INTEGRATION and around in (None, "tool")


def begin(library: TelemetryHandler, tracer: Tracer, kind: str, run: RunStart, at: Context) -> Call:
    """Start the span of a run under *at*; nothing is attached to any context."""
    where: dict[str, Any] = {"context": at, "_attach_to_context": False}
    match kind:
        case "chat_model" | "llm":
            params = run.payload.get("invocation_params")
            call = library.inference(
                models.provider_of(run.metadata),
                request_model=models.model_of(run.metadata, params),
                operation_name=TEXT_COMPLETION if kind == "llm" else None,
                conversation_id=models.conversation_of(run.metadata),
                **where,
            )
            models.ask(call, run.metadata, params)
            messages = run.payload["messages" if kind == "chat_model" else "prompts"]
            _ask(call, messages[0] if kind == "chat_model" and messages else messages)
            call.tool_definitions = _tools(params) or None
            return call
        case "tool":
            tool = library.tool(run.name, tool_type="function", **where)
            tool.tool_call_id = run.payload.get("tool_call_id")
            tool.arguments = plain(run.payload.get("inputs") or run.payload["input_str"] or None)
            return tool
        case "retriever":
            provider = run.metadata.get("ls_vector_store_provider")
            retrieval = library.retrieval(provider=provider, **where)
            retrieval.query_text = run.payload["query"] or None
            return retrieval
        case "embeddings":
            model = models.model_of(run.metadata, run.payload.get("invocation_params"))
            return library.embedding(models.provider_of(run.metadata), request_model=model, **where)
        case "agent":
            conversation = models.conversation_of(run.metadata)
            agent = library.invoke_local_agent(
                agent_name=run.name, conversation_id=conversation, **where
            )
            _ask(agent, _messages_of(run.payload["inputs"]))
            return agent
        case "workflow":
            conversation = models.conversation_of(run.metadata)
            workflow = library.workflow(run.name, conversation_id=conversation, **where)
            _ask(workflow, _messages_of(run.payload["inputs"]))
            return workflow
    return Step(tracer, run.name, at)


def describe(call: Call, run: RunEnd) -> None:
    """Put on *call* what the end of its run brings."""
    payload = run.payload
    match call:
        case Step():  # As most runs are.
            return
        case InferenceInvocation():
            response = payload.get("response")
            models.answer(call, response)
            _answer(call, output_messages(response))
        case EmbeddingInvocation():
            models.embedded(call, payload.get("embeddings"))
        case ToolInvocation():
            output = payload.get("output")
            call.tool_result = plain(getattr(output, "content", output))
        case RetrievalInvocation():
            documents = payload.get("documents")
            call.documents = [_document(each) for each in documents or ()] or None
        case AgentInvocation() | WorkflowInvocation():
            outputs = _messages_of(payload.get("outputs"))
            if outputs:
                _answer(call, output_messages(_Answers(outputs[-1:])))


def dimensions(call: Call) -> list[tuple[str, Any]]:
    """Return the attributes of a call's metrics, known at its start, that a program chooses."""
    match call:
        case Step():  # It has no metrics.
            return []
        case InferenceInvocation() | EmbeddingInvocation():
            return [(PROVIDER, call.provider), (REQUEST_MODEL, call.request_model)]
        case RetrievalInvocation():
            return [(PROVIDER, call.provider)]
        case ToolInvocation():
            return [(TOOL, call.name)]
        case AgentInvocation():
            return [(AGENT, call.agent_name)]
        case WorkflowInvocation():
            return [(WORKFLOW, call.workflow_name)]
    return []


class _Answers:
    """Messages in the form of a model's answer."""

    def __init__(self, messages: list[Any]) -> None:
        self.generations = [[_Answer(each) for each in messages]]


class _Answer:
    def __init__(self, message: Any) -> None:
        self.message = message


def _ask(call: InferenceInvocation | AgentInvocation | WorkflowInvocation, asked: Any) -> None:
    # At the level `none` a message has nothing in it: then there is none.
    call.input_messages = [each for each in input_messages(asked or ()) if each.parts]


def _answer(call: InferenceInvocation | AgentInvocation | WorkflowInvocation, said: Any) -> None:
    call.output_messages = [each for each in said if each.parts]


def _messages_of(value: Any) -> list[Any]:
    """Return the messages in what went into an agent or came out of it, if there are any."""
    if isinstance(value, Mapping):
        value = value.get("messages")
    if isinstance(value, list | tuple):
        return [each for each in value if hasattr(each, "content") or isinstance(each, str)]
    return [value] if isinstance(value, str) or hasattr(value, "content") else []


def _document(document: Any) -> RetrievalDocument:
    metadata = getattr(document, "metadata", None)
    score = metadata.get("score") if isinstance(metadata, Mapping) else None
    key = getattr(document, "id", None)
    return RetrievalDocument(
        id=key if isinstance(key, str) else None, score=score if type(score) is float else None
    )


def _tools(params: Any) -> list[ToolDefinition]:
    offered = params.get("tools") if isinstance(params, Mapping) else None
    found: list[ToolDefinition] = []
    for each in offered if isinstance(offered, list | tuple) else ():
        told = each.get("function", each) if isinstance(each, Mapping) else {}
        if isinstance(told, Mapping) and isinstance(told.get("name"), str):
            parameters = told.get("parameters") or told.get("input_schema")
            description = told.get("description")
            found.append(FunctionToolDefinition(told["name"], description, plain(parameters)))
    return found
