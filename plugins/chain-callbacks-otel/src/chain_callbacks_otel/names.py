"""What the conventions name and ``opentelemetry-util-genai`` does not: the one place that has it.

The constants of ``opentelemetry-semantic-conventions`` are deprecated for GenAI, and the
conventions move on. The library has the names of attributes, spans and metrics; here is the rest.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "chain_callbacks_otel"
"""The instrumentation scope of our spans and metrics: by it they are told from everyone else's."""

# Ours: OpenTelemetry asks that names of one's own have a prefix of one's own.
RUN_ID: Final = "chain_callbacks.run.id"
RUN_TYPE: Final = "chain_callbacks.run.type"
RUN_STATUS: Final = "chain_callbacks.run.status"
TAGS: Final = "chain_callbacks.run.tags"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
# as opentelemetry-semantic-conventions 0.66b2 has it
ERROR_TYPE: Final = "error.type"
OTHER: Final = "_OTHER"

# https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md
# as opentelemetry-util-genai 1.3b0 follows it: `gen_ai.operation.name` of a text model, and the
# attributes by which metrics have a dimension.
TEXT_COMPLETION: Final = "text_completion"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
AGENT: Final = "gen_ai.agent.name"
TOOL: Final = "gen_ai.tool.name"
WORKFLOW: Final = "gen_ai.workflow.name"

# The same page, "gen_ai.provider.name": the well-known values, by what LangChain's models call
# themselves (`ls_provider`), as opentelemetry-instrumentation-genai-langchain 1.3b0 has it, so that
# both say the same; ibm and xai are ours. Others are passed on as they are.
PROVIDERS: Final = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.inference",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "google_genai": "gcp.gen_ai",
    "google_generativeai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "vertexai": "gcp.vertex_ai",
    "xai": "x_ai",
}
UNKNOWN: Final = "unknown"
"""The provider is required on a span of a model; where nobody says which it is, this does."""

# https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
# as openinference-semantic-conventions 0.1.42 has it
SPAN_KIND: Final = "openinference.span.kind"
KINDS: Final = {
    "agent": "AGENT",
    "chat_model": "LLM",
    "embeddings": "EMBEDDING",
    "llm": "LLM",
    "prompt": "PROMPT",
    "retriever": "RETRIEVER",
    "tool": "TOOL",
}
OTHER_KIND: Final = "CHAIN"
INPUT: Final = "input.value"
INPUT_TYPE: Final = "input.mime_type"
OUTPUT: Final = "output.value"
OUTPUT_TYPE: Final = "output.mime_type"
JSON: Final = "application/json"
TEXT: Final = "text/plain"
LLM_MODEL: Final = "llm.model_name"
LLM_PROVIDER: Final = "llm.provider"
LLM_INPUT: Final = "llm.input_messages"
LLM_OUTPUT: Final = "llm.output_messages"
LLM_PARAMETERS: Final = "llm.invocation_parameters"
LLM_TOOLS: Final = "llm.tools"
FINISH_REASON: Final = "llm.finish_reason"
TOKENS_IN: Final = "llm.token_count.prompt"
TOKENS_READ: Final = "llm.token_count.prompt_details.cache_read"
TOKENS_WRITTEN: Final = "llm.token_count.prompt_details.cache_write"
TOKENS_OUT: Final = "llm.token_count.completion"
TOKENS_THOUGHT: Final = "llm.token_count.completion_details.reasoning"
TOKENS: Final = "llm.token_count.total"
EMBEDDING_MODEL: Final = "embedding.model_name"
TOOL_NAME: Final = "tool.name"
TOOL_ID: Final = "tool.id"
SESSION: Final = "session.id"
METADATA: Final = "metadata"
DOCUMENTS: Final = "retrieval.documents"

LLM_SYSTEM: Final = "llm.system"
# By `ls_provider`, as openinference-instrumentation-langchain 0.1.80 has it: in whose way a model
# is asked, which is not who serves it. Of others it is not known.
SYSTEMS: Final = {
    "anthropic": "anthropic",
    "azure": "openai",
    "azure_ai": "openai",
    "azure_openai": "openai",
    "cohere": "cohere",
    "google": "vertexai",
    "google_anthropic_vertex": "anthropic",
    "google_genai": "vertexai",
    "google_vertexai": "vertexai",
    "groq": "openai",
    "mistralai": "mistralai",
    "ollama": "openai",
    "openai": "openai",
    "vertex": "vertexai",
    "vertexai": "vertexai",
}
