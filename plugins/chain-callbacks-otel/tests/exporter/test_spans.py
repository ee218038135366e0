"""What each kind of span says, in the words of whoever made it, is what handlers are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from chain_callbacks.runnables import AIMessage, HumanMessage, SystemMessage, ToolMessage
from chain_callbacks_otel.foreign_attributes import DETAILS
from chain_callbacks_otel.foreign_spans import telling_of


@pytest.mark.parametrize(
    ("attributes", "run_type", "name"),
    [
        # semantic-conventions-genai: gen-ai-spans.md, gen-ai-agent-spans.md, mcp.md
        ({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}, "chat_model", "m"),
        ({"gen_ai.operation.name": "generate_content"}, "chat_model", "span"),
        ({"gen_ai.operation.name": "text_completion"}, "llm", "span"),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"}, "embeddings", "e"),
        ({"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "d"}, "retriever", "d"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}, "tool", "t"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}, "chain", "a"),
        ({"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": "a"}, "chain", "a"),
        ({"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "w"}, "chain", "w"),
        ({"gen_ai.operation.name": "something_new"}, "chain", "span"),
        ({"mcp.method.name": "tools/call", "gen_ai.tool.name": "t"}, "tool", "t"),
        ({"mcp.method.name": "tools/list"}, "chain", "span"),
        # OpenInference, its specification of semantic conventions
        ({"openinference.span.kind": "LLM", "llm.model_name": "m"}, "chat_model", "m"),
        ({"openinference.span.kind": "AGENT", "agent.name": "a"}, "chain", "a"),
        ({"openinference.span.kind": "TOOL", "tool.name": "t"}, "tool", "t"),
        ({"openinference.span.kind": "RETRIEVER"}, "retriever", "span"),
        ({"openinference.span.kind": "EMBEDDING"}, "embeddings", "span"),
        ({"openinference.span.kind": "PROMPT"}, "prompt", "span"),
        ({"openinference.span.kind": "GUARDRAIL"}, "chain", "span"),
        # google-adk 1.4, google/adk/telemetry.py: a call of a model states no operation
        ({"gen_ai.system": "gcp.vertex.agent", "gen_ai.request.model": "m"}, "chat_model", "m"),
    ],
)
def test_kind_and_name(attributes, run_type, name, told):
    """A span is a run of what its operation is, under the name that people know it by."""
    start, end = told("span", **attributes)

    assert (run_type, name) == (start.run_type, start.run_name)
    assert (None, "ok") == (start.status, end.status)


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"http.request.method": "GET"}, id="http"),
        pytest.param({"db.system.name": "postgresql"}, id="database"),
        pytest.param({"gen_ai.conversation.id": "c"}, id="something inherited"),
        pytest.param({}, id="nothing"),
    ],
)
def test_other_spans_are_no_runs(attributes, told):
    """Requests and queries are for those that look at traces."""
    assert not told(**attributes)


GIVEN = [
    {"role": "user", "parts": [{"type": "text", "content": "Rain?"}]},
    {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "1", "name": "look", "arguments": {"at": "sky"}}],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "grey"}]},
]
GAVE = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": "Yes."}],
        "finish_reason": "stop",
    }
]
INSTRUCTIONS = [{"type": "text", "content": "Be short."}]
STATED = {
    "gen_ai.system_instructions": json.dumps(INSTRUCTIONS),
    "gen_ai.input.messages": json.dumps(GIVEN),
    "gen_ai.output.messages": json.dumps(GAVE),
}
FLAT = {
    "0.message.role": "system",
    "0.message.content": "Be short.",
    "1.message.role": "user",
    "1.message.contents.0.message_content.type": "text",
    "1.message.contents.0.message_content.text": "Rain?",
    "2.message.role": "assistant",
    "2.message.tool_calls.0.tool_call.id": "1",
    "2.message.tool_calls.0.tool_call.function.name": "look",
    "2.message.tool_calls.0.tool_call.function.arguments": '{"at": "sky"}',
    "3.message.role": "tool",
    "3.message.content": "grey",
    "3.message.tool_call_id": "1",
}
CHAT: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}

FORMS = {
    "attributes, as JSON": ({**CHAT, **STATED}, ()),
    "an event with the details": (CHAT, ((DETAILS, STATED),)),
    # strands-agents 1.x, strands/telemetry/tracer.py, `_add_event_messages` and what follows
    "events, one a message": (
        CHAT,
        (
            ("gen_ai.system.message", {"content": '[{"text": "Be short."}]'}),
            ("gen_ai.user.message", {"content": '[{"text": "Rain?"}]'}),
            (
                "gen_ai.assistant.message",
                {
                    "content": json.dumps(
                        [{"toolUse": {"toolUseId": "1", "name": "look", "input": {"at": "sky"}}}]
                    )
                },
            ),
            (
                "gen_ai.tool.message",
                {"content": '[{"toolResult": {"toolUseId": "1", "content": "grey"}}]'},
            ),
            ("gen_ai.choice", {"finish_reason": "stop", "message": '[{"text": "Yes."}]'}),
        ),
    ),
    "OpenInference's keys": (
        {
            "openinference.span.kind": "LLM",
            **{f"llm.input_messages.{name}": value for name, value in FLAT.items()},
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "Yes.",
            "llm.output_messages.0.message.finish_reason": "stop",
        },
        (),
    ),
    # opentelemetry-instrumentation-openai of OpenLLMetry before 0.50
    "OpenLLMetry's keys": (
        {
            **CHAT,
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be short.",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": "Rain?",
            "gen_ai.prompt.2.role": "assistant",
            "gen_ai.prompt.2.tool_calls.0.id": "1",
            "gen_ai.prompt.2.tool_calls.0.name": "look",
            "gen_ai.prompt.2.tool_calls.0.arguments": '{"at": "sky"}',
            "gen_ai.prompt.3.role": "tool",
            "gen_ai.prompt.3.content": "grey",
            "gen_ai.prompt.3.tool_call_id": "1",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Yes.",
            "gen_ai.completion.0.finish_reason": "stop",
        },
        (),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_messages_are_told_as_messages(form, told):
    """Whatever form they were stated in, a handler gets those of any chat model."""
    attributes, events = FORMS[form]
    start, end = told(events=events, **attributes)
    (generation,) = end.payload["response"].generations[0]
    look = {"name": "look", "args": {"at": "sky"}, "id": "1", "type": "tool_call"}

    assert start.payload["messages"] == [
        [
            SystemMessage("Be short."),
            HumanMessage("Rain?"),
            AIMessage("", tool_calls=[look]),
            ToolMessage("grey", tool_call_id="1"),
        ]
    ]
    assert ("Yes.", "stop") == (generation.text, generation.generation_info["finish_reason"])


def test_images_and_thoughts_stay_blocks(told):
    """What is no text is passed on as it was stated."""
    parts = [{"type": "text", "content": "Look."}, {"type": "uri", "uri": "https://a.example/b"}]
    given = json.dumps([{"role": "user", "parts": parts}])
    start, _ = told(**CHAT, **{"gen_ai.input.messages": given})
    (message,) = start.payload["messages"][0]

    assert [{"type": "text", "text": "Look."}, parts[1]] == message.content


@pytest.mark.parametrize("stated", ["[not json", "[[[", '"text"', "[1, 2]", "{}"])
def test_messages_that_cannot_be_read_are_no_messages(stated, told):
    """A host may cut what it states; the run is told without it."""
    start, end = told(**CHAT, **{"gen_ai.input.messages": stated})

    assert ("on_chat_model_start", "on_llm_end") == (start.name, end.name)
    assert all(each.text == "" for each in start.payload["messages"][0])


def test_counts_and_facts_of_a_model(told):
    """They are where handlers look for them: on the message, in its metadata, in the parameters."""
    start, end = told(
        **CHAT,
        **{
            "gen_ai.provider.name": "openai",
            "gen_ai.response.model": "m-2026",
            "gen_ai.response.id": "r1",
            "gen_ai.response.finish_reasons": ["length"],
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 20,
            "gen_ai.request.stop_sequences": ["."],
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 3,
        },
    )
    (generation,) = end.payload["response"].generations[0]

    assert {
        "temperature": 0.5,
        "max_tokens": 20,
        "stop": ["."],
        "model": "m",
        "_type": "openai",
    } == start.payload["invocation_params"]
    assert ("openai", "m-2026") == (
        start.metadata["ls_provider"],
        start.metadata["ls_model_name"],
    )
    assert {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "input_token_details": {"cache_read": 4},
        "output_token_details": {"reasoning": 3},
    } == generation.message.usage_metadata
    assert {
        "model_name": "m-2026",
        "finish_reason": "length",
        "id": "r1",
    } == generation.message.response_metadata
    assert {"model_name": "m-2026"} == end.payload["response"].llm_output


def test_two_answers_are_two_generations_and_one_count(told):
    """What it used is counted once, however many answers there are."""
    gave = [{"role": "assistant", "parts": [{"type": "text", "content": each}]} for each in "ab"]
    stated = {"gen_ai.output.messages": json.dumps(gave), "gen_ai.usage.output_tokens": 2}
    _, end = told(**CHAT, **stated)
    first, second = end.payload["response"].generations[0]

    assert ["a", "b"] == [first.text, second.text]
    assert 2 == first.message.usage_metadata["output_tokens"]
    assert second.message.usage_metadata is None


def test_text_model(told):
    """It gets a prompt, and its counts are where those of text models are."""
    start, end = told(
        **{
            "gen_ai.operation.name": "text_completion",
            "gen_ai.prompt": "Once",
            "gen_ai.completion.0.content": "upon a time",
            "gen_ai.usage.input_tokens": 1,
            "gen_ai.usage.output_tokens": 3,
        }
    )
    result = end.payload["response"]

    assert ["Once"] == start.payload["prompts"]
    assert "upon a time" == result.generations[0][0].text
    assert {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4} == result.llm_output[
        "token_usage"
    ]


TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}

TOOLS = {
    "the conventions": (
        {
            **TOOL,
            "gen_ai.tool.call.id": "1",
            "gen_ai.tool.call.arguments": '{"at": "sky"}',
            "gen_ai.tool.call.result": "grey",
        },
        (),
    ),
    "google-adk": (
        {
            **TOOL,
            "gen_ai.tool.call.id": "1",
            "gcp.vertex.agent.tool_call_args": '{"at": "sky"}',
            "gcp.vertex.agent.tool_response": "grey",
        },
        (),
    ),
    "pydantic-ai before 1.0": (
        {
            **TOOL,
            "gen_ai.tool.call.id": "1",
            "tool_arguments": '{"at": "sky"}',
            "tool_response": "grey",
        },
        (),
    ),
    "strands": (
        {**TOOL, "gen_ai.tool.call.id": "1"},
        (
            ("gen_ai.tool.message", {"role": "tool", "content": '{"at": "sky"}', "id": "1"}),
            ("gen_ai.choice", {"message": '[{"text": "grey"}]', "id": "1"}),
        ),
    ),
    "strands, by the latest conventions": (
        {**TOOL, "gen_ai.tool.call.id": "1"},
        (
            (
                DETAILS,
                {
                    "gen_ai.input.messages": json.dumps(
                        [
                            {
                                "role": "tool",
                                "parts": [
                                    {
                                        "type": "tool_call",
                                        "name": "look",
                                        "id": "1",
                                        "arguments": {"at": "sky"},
                                    }
                                ],
                            }
                        ]
                    )
                },
            ),
            (
                DETAILS,
                {
                    "gen_ai.output.messages": json.dumps(
                        [
                            {
                                "role": "tool",
                                "parts": [
                                    {"type": "tool_call_response", "id": "1", "response": "grey"}
                                ],
                            }
                        ]
                    )
                },
            ),
        ),
    ),
    "OpenInference": (
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "look",
            "input.value": '{"at": "sky"}',
            "input.mime_type": "application/json",
            "output.value": "grey",
        },
        (),
    ),
}


@pytest.mark.parametrize("host", TOOLS)
def test_tool_has_its_arguments_and_its_result(host, told):
    """As text and as a dict, as any tool's."""
    attributes, events = TOOLS[host]
    start, end = told(events=events, **attributes)

    assert {"at": "sky"} == start.payload["inputs"]
    assert {"at": "sky"} == json.loads(start.payload["input_str"])
    assert "grey" == end.payload["output"]
    if host != "OpenInference":
        assert "1" == start.payload["tool_call_id"]


def test_retriever_has_its_query_and_its_documents(told):
    """By the conventions they are JSON in an attribute."""
    found = json.dumps([{"id": "d1", "content": "It rains.", "score": 0.9}])
    start, end = told(
        **{
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.query.text": "rain",
            "gen_ai.retrieval.documents": found,
        }
    )
    (document,) = end.payload["documents"]

    assert "rain" == start.payload["query"]
    assert ("d1", "It rains.", {"score": 0.9}) == (
        document.id,
        document.page_content,
        document.metadata,
    )


def test_retriever_of_openinference(told):
    """There they stand in flat keys."""
    start, end = told(
        **{
            "openinference.span.kind": "RETRIEVER",
            "input.value": "rain",
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.content": "It rains.",
            "retrieval.documents.0.document.metadata": '{"page": 3}',
        }
    )
    (document,) = end.payload["documents"]

    assert "rain" == start.payload["query"]
    assert ("It rains.", {"page": 3}) == (document.page_content, document.metadata)


def test_embeddings_of_openinference(told):
    """The conventions have neither texts nor vectors; OpenInference has."""
    start, end = told(
        **{
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "e",
            "embedding.embeddings.0.embedding.text": "rain",
            "embedding.embeddings.0.embedding.vector": [0.5, 0.25],
        }
    )

    assert ["rain"] == start.payload["texts"]
    assert [[0.5, 0.25]] == end.payload["embeddings"]


def test_agent_has_what_it_was_asked_and_what_it_answered(told):
    """An agent's run brings messages, as a chain whose state they are."""
    attributes = {"gen_ai.operation.name": "invoke_agent", **STATED}
    start, end = told(**attributes)

    assert "Rain?" == start.payload["inputs"]["messages"][1].text
    assert ["Yes."] == [each.text for each in end.payload["outputs"]["messages"]]


def test_chain_of_openinference_has_its_values(told):
    """JSON is read, text stays text."""
    start, end = told(
        **{
            "openinference.span.kind": "CHAIN",
            "input.value": '{"city": "Oslo"}',
            "output.value": "rain",
        }
    )

    assert {"city": "Oslo"} == start.payload["inputs"]
    assert "rain" == end.payload["outputs"]


_NAMES = sorted(
    {
        name
        for attributes in (
            *(attributes for attributes, _ in FORMS.values()),
            *(attributes for attributes, _ in TOOLS.values()),
        )
        for name in attributes
    }
    | {
        "gen_ai.response.finish_reasons",
        "gen_ai.request.stop_sequences",
        "gen_ai.retrieval.documents",
        "gen_ai.tool.definitions",
        "gen_ai.usage.input_tokens",
        "pydantic_ai.all_messages",
        "retrieval.documents.0.document.metadata",
        "retrieval.documents.0",
        "embedding.embeddings.0.embedding.vector",
        "output.value",
    }
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "parts", "content", "type", "tool_calls", "name", "arguments", "toolUse"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_VALUES = (
    st.text(max_size=5)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.lists(st.text(max_size=2), max_size=3).map(tuple)
    | _JSON.map(json.dumps)
)


@given(
    operation=st.sampled_from(
        ["chat", "text_completion", "embeddings", "retrieval", "execute_tool", "invoke_agent"]
    ),
    attributes=st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=6),
)
@settings(max_examples=300)
def test_whatever_a_span_states_can_be_told(operation, attributes):
    """Attributes are others' and may be anything: reading them raises nothing."""
    span = ReadableSpan(
        "a span", attributes={**attributes, "gen_ai.operation.name": operation}, start_time=1
    )
    told = telling_of(span)

    assert told.name
    assert isinstance(told.keywords, dict)


def test_what_cannot_be_read_is_told_without(told, caplog):
    """One span of a form that nobody thought of costs no other its run."""
    stated = {"gen_ai.request.stop_sequences": 3}
    start, end = told(**CHAT, **stated)

    assert ("on_chat_model_start", "on_llm_end") == (start.name, end.name)
    assert "What the span 'a span' states could not be read (TypeError)" in caplog.text
