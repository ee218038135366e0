"""Messages print as the reference document has them, and their chunks add up."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_callbacks.runnables.documents import Document
from chain_callbacks.runnables.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    UsageMetadata,
    convert_to_messages,
    get_buffer_string,
    message_chunk_to_message,
)
from chain_callbacks.runnables.outputs import (
    AgentAction,
    AgentFinish,
    ChatGeneration,
    ChatGenerationChunk,
    ChatPromptValue,
    Generation,
    LLMResult,
    StringPromptValue,
)

METADATA = {"id": "msg_1", "usage": {"input_tokens": 16}}
ANSWER = AIMessage("1 + 2 = 3", response_metadata=METADATA, id="run-1-0")
CALL = {"name": "f", "args": {}, "id": "1", "type": "tool_call"}
PRINTED = (
    "content='1 + 2 = 3'",
    "response_metadata={'id': 'msg_1', 'usage': {'input_tokens': 16}}",
    "id='run-1-0'",
)


def piece(args: str | None, *, name: str | None = None, index: int | None = 0) -> AIMessageChunk:
    call_id = None if name is None else f"call-{name}"
    call = ToolCallChunk(name=name, args=args, id=call_id, index=index)
    return AIMessageChunk("", tool_call_chunks=[call])


def test_message_prints_as_in_the_reference_document():
    """What is at its default is left out; str() and repr() differ in the class and the commas."""
    assert " ".join(PRINTED) == str(ANSWER)
    assert f"AIMessage({', '.join(PRINTED)})" == repr(ANSWER)


def test_result_prints_as_in_the_reference_document():
    """A result shows all of its fields, what it holds only what is set."""
    expected = (
        f"generations=[[ChatGeneration(text='1 + 2 = 3', message={ANSWER!r})]] "
        "llm_output=None run=None"
    )
    assert expected == str(LLMResult([[ChatGeneration(ANSWER)]]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (HumanMessage(""), "HumanMessage(content='')"),
        (SystemMessage(content=["a"], name="n"), "SystemMessage(content=['a'], name='n')"),
        (ToolMessage("x", tool_call_id="1"), "ToolMessage(content='x', tool_call_id='1')"),
        (
            ToolMessage("x", tool_call_id="1", status="error", id="i"),
            "ToolMessage(content='x', id='i', tool_call_id='1', status='error')",
        ),
        (
            AIMessage("", tool_calls=[ToolCall(name="f", args={}, id="1")]),
            f"AIMessage(content='', tool_calls=[{CALL}])",
        ),
        (Generation("x"), "Generation(text='x')"),
        (
            ChatGeneration(HumanMessage("x"), {"a": 1}),
            "ChatGeneration(text='x', generation_info={'a': 1}, message=HumanMessage(content='x'))",
        ),
        (StringPromptValue("x"), "StringPromptValue(text='x')"),
        (
            ChatPromptValue([HumanMessage("x")]),
            "ChatPromptValue(messages=[HumanMessage(content='x')])",
        ),
        (AgentAction("t", {"a": 1}, "l"), "AgentAction(tool='t', tool_input={'a': 1}, log='l')"),
        (AgentFinish({"a": 1}, "l"), "AgentFinish(return_values={'a': 1}, log='l')"),
        (Document("x"), "Document(metadata={}, page_content='x')"),
        (Document("x", {"a": 1}, "i"), "Document(id='i', metadata={'a': 1}, page_content='x')"),
    ],
)
def test_repr_shows_what_is_set_in_the_order_of_langchain(value: object, expected: str):
    """Every value prints as LangChain's does."""
    assert expected == repr(value)


def test_prompt_value_and_document_print_their_fields():
    """str() of a prompt value is the document's line, of a Document LangChain's."""
    message = HumanMessage("What is 1 + 2?")
    expected = "messages=[HumanMessage(content='What is 1 + 2?')]"
    assert expected == str(ChatPromptValue([message]))
    assert str(Document("x")) == "page_content='x'"
    assert str(Document("x", {"a": 1}, id="i")) == "page_content='x' metadata={'a': 1}"


def test_artifact_that_compares_element_by_element_can_be_printed():
    """Printing a tool's message never asks an artifact whether it equals something."""

    class Array:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        def __repr__(self) -> str:
            return "array"

    message = ToolMessage("x", tool_call_id="1", artifact=Array())
    assert str(message) == "content='x' tool_call_id='1' artifact=array"


def test_text_joins_the_text_of_blocks():
    """A message's text is its content, or that of its text blocks."""
    blocks: list[str | dict[str, Any]] = ["a", {"type": "text", "text": "b"}, {"type": "image"}]
    assert HumanMessage(blocks).text == "ab"
    assert ChatGeneration(HumanMessage(blocks)).text == "ab"
    assert HumanMessage("c").text == "c"


@pytest.mark.parametrize("value", [ANSWER, piece('{"a": 1}', name="f"), LLMResult([[ANSWER]])])
def test_value_survives_pickle_and_copy(value: object):
    """A message that went to another process, or was copied, equals the one that stayed."""
    assert value == pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
    assert value == copy.deepcopy(value)


def test_messages_of_two_kinds_are_never_equal():
    """Messages are equal by kind and value."""
    assert HumanMessage("a") == HumanMessage("a")
    assert HumanMessage("a") != SystemMessage("a")
    assert HumanMessage("a") != HumanMessage("a", id="1")


def test_types_are_those_of_langchain():
    """Handlers tell messages apart by their type."""
    messages = [HumanMessage(""), SystemMessage(""), AIMessage(""), AIMessageChunk("")]
    assert [message.type for message in messages] == ["human", "system", "ai", "AIMessageChunk"]
    assert ToolMessage("", tool_call_id="1").type == "tool"


def test_message_leaves_the_list_of_the_caller_alone():
    """Tool calls are completed in a list of the message's own."""
    calls: list[ToolCall] = [{"name": "f", "args": {}, "id": "1"}]
    message = AIMessage("", tool_calls=calls)
    assert calls == [{"name": "f", "args": {}, "id": "1"}]
    assert message.tool_calls == [{"name": "f", "args": {}, "id": "1", "type": "tool_call"}]


# Chunks

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v, max_size=3)
)
CALLS = st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=3)


@given(text=st.text(), calls=CALLS, data=st.data())
def test_chunks_of_a_message_add_up_to_it(text: str, calls: list[dict[str, Any]], data: Any):
    """However a message is split, adding the chunks gives the message."""
    whole = AIMessage(
        text,
        id="run-1",
        name="n",
        tool_calls=[ToolCall(name=f"f{i}", args=args, id=str(i)) for i, args in enumerate(calls)],
        usage_metadata=UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0),
    )
    counts = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
    chunks = [AIMessageChunk("", id="run-1", name="n", usage_metadata=counts)]
    chunks += [AIMessageChunk(part) for part in split(text, data)]
    for i, args in enumerate(calls):
        head = ToolCallChunk(name=f"f{i}", args="", id=str(i), index=i)
        chunks.append(AIMessageChunk("", tool_call_chunks=[head]))
        chunks += [piece(part, index=i) for part in split(json.dumps(args), data)]
    total = reduce(add, chunks)
    assert whole == message_chunk_to_message(total)
    assert total == chunks[0] + chunks[1:]


def split(text: str, data: Any) -> list[str]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def test_tool_call_is_invalid_until_its_arguments_are_complete():
    """In mid-stream nobody sees a tool call with half of its arguments."""
    first = piece('{"a": [1, ', name="f")
    assert first.tool_calls == []
    assert [call["args"] for call in first.invalid_tool_calls] == ['{"a": [1, ']
    total = first + piece("2]}")
    assert [call["args"] for call in total.tool_calls] == [{"a": [1, 2]}]
    assert total.invalid_tool_calls == []


@pytest.mark.parametrize("args", ["[1]", "{1}", '{"a":' * 10_000 + "}", "nul", '{"a": 1}}'])
def test_malformed_arguments_never_raise(args: str):
    """Arguments that are no JSON object make an invalid call, whatever they are."""
    total = piece(args[:3], name="f") + piece(args[3:])
    assert total.tool_calls == []
    assert [call["args"] for call in total.invalid_tool_calls] == [args]


def test_call_without_arguments_is_valid():
    """A call of a tool that takes nothing may come without arguments."""
    call = {"name": "f", "args": {}, "id": "call-f", "type": "tool_call"}
    assert piece(None, name="f").tool_calls == [call]


def test_calls_of_one_index_but_other_ids_stay_apart():
    """Pieces without an id belong to the latest call of their index."""
    total = piece("{", name="f") + piece("{", name="g") + piece("}")
    assert [call["name"] for call in total.tool_calls] == ["g"]
    assert [call["name"] for call in total.invalid_tool_calls] == ["f"]


def test_pieces_without_an_index_are_whole_calls():
    """Two pieces that have no index are never joined."""
    total = piece("{}", name="f", index=None) + piece("{}", name="g", index=None)
    assert [call["name"] for call in total.tool_calls] == ["f", "g"]


def test_chunk_made_of_whole_calls_adds_up():
    """A model that gives tool calls whole may put them into a chunk as they are."""
    call = ToolCall(name="f", args={"a": 1}, id="1", type="tool_call")
    total = AIMessageChunk("a") + AIMessageChunk("b", tool_calls=[call]) + AIMessageChunk("c")
    assert AIMessage("abc", tool_calls=[call]) == message_chunk_to_message(total)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("a", "b", "ab"),
        ("a", ["b"], ["a", "b"]),
        ("", ["b"], ["b"]),
        (["a"], "b", ["ab"]),
        ([{"type": "x"}], "b", [{"type": "x"}, "b"]),
        (["a"], "", ["a"]),
        ([], "b", ["b"]),
        (
            [{"type": "text", "text": "a", "index": 0}],
            [{"type": "text_delta", "text": "b", "index": 0}, {"type": "text", "index": 1}],
            [{"type": "text", "text": "ab", "index": 0}, {"type": "text", "index": 1}],
        ),
        ([{"text": "a"}], [{"text": "b"}], [{"text": "a"}, {"text": "b"}]),
        (
            [{"a": {"b": "c"}, "d": [1], "e": 1, "f": None, "index": 0}],
            [{"a": {"b": "d"}, "d": [2], "e": "2", "f": "g", "index": 0}],
            [{"a": {"b": "cd"}, "d": [1, 2], "e": "2", "f": "g", "index": 0}],
        ),
    ],
)
def test_content_is_joined(left: Any, right: Any, expected: Any):
    """Texts are joined, blocks by their index, and neither chunk is changed."""
    before = copy.deepcopy((left, right))
    assert expected == (AIMessageChunk(left) + AIMessageChunk(right)).content
    assert before == (left, right)


def test_response_metadata_takes_the_last_word():
    """Names and numbers are not added up; dicts are merged and lists joined."""
    left = {"model": "m", "stop": None, "n": 1, "usage": {"a": 1}, "logprobs": [1], "odd": "x"}
    right = {"model": "m", "stop": "end", "n": 2, "usage": {"b": 2}, "logprobs": [2], "odd": [3]}
    total = AIMessageChunk("", response_metadata=left) + AIMessageChunk(
        "", response_metadata={**right, "late": None}
    )
    expected = {
        "model": "m",
        "stop": "end",
        "n": 2,
        "usage": {"a": 1, "b": 2},
        "logprobs": [1, 2],
        "odd": [3],
        "late": None,
    }
    assert expected == total.response_metadata


def test_additional_kwargs_are_joined():
    """What a provider streams beside the content adds up as the content does."""
    parts = [{"function_call": {"arguments": text}} for text in (None, "{", "}")]
    total = reduce(add, [AIMessageChunk("", additional_kwargs=part) for part in parts])
    assert total.additional_kwargs == {"function_call": {"arguments": "{}"}}


def test_usage_is_summed_with_its_details():
    """Token counts add up field by field, a count that only one chunk has included."""
    left = UsageMetadata(
        input_tokens=5, output_tokens=0, total_tokens=5, input_token_details={"cache_read": 3}
    )
    right = UsageMetadata(
        input_tokens=1,
        output_tokens=10,
        total_tokens=11,
        input_token_details={"cache_read": 1, "audio": 2},
        output_token_details={"reasoning": 4},
    )
    total = (
        AIMessageChunk("", usage_metadata=left)
        + AIMessageChunk("")
        + AIMessageChunk("", usage_metadata=right)
    )
    assert total.usage_metadata == {
        "input_tokens": 6,
        "output_tokens": 10,
        "total_tokens": 16,
        "input_token_details": {"cache_read": 4, "audio": 2},
        "output_token_details": {"reasoning": 4},
    }


def test_sum_has_the_id_of_the_first_chunk_and_knows_the_last():
    """A stream's message is known by the first id, and complete when its last chunk is in."""
    total = AIMessageChunk("", id="1") + AIMessageChunk("", id="2", chunk_position="last")
    assert (total.id, total.chunk_position) == ("1", "last")


def test_chunk_cannot_be_added_to_something_else():
    """Adding what is no chunk is a type error."""
    with pytest.raises(TypeError):
        AIMessageChunk("") + "a"  # type: ignore[operator]
    with pytest.raises(TypeError):
        ChatGenerationChunk(AIMessageChunk("")) + "a"  # type: ignore[operator]


def test_generation_chunks_add_up():
    """Generations that are streamed add up as their messages do."""
    left = ChatGenerationChunk(AIMessageChunk("a"), {"model": "m"})
    right = ChatGenerationChunk(AIMessageChunk("b"), {"model": "m", "stop": "end"})
    expected = ChatGenerationChunk(AIMessageChunk("ab"), {"model": "m", "stop": "end"})
    assert expected == left + right
    assert (left + right).text == "ab"


def test_message_that_is_no_chunk_stays_itself():
    """Only a chunk is made into a message."""
    assert message_chunk_to_message(ANSWER) is ANSWER


# Conversion


class Prompt:
    def to_messages(self) -> tuple[BaseMessage, ...]:
        return (HumanMessage("a"),)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", [HumanMessage("a")]),
        (ANSWER, [ANSWER]),
        (Prompt(), [HumanMessage("a")]),
        (ChatPromptValue([ANSWER]), [ANSWER]),
        (StringPromptValue("a"), [HumanMessage("a")]),
        ([], []),
        ([ANSWER, "a", ("user", "b")], [ANSWER, HumanMessage("a"), HumanMessage("b")]),
        (("system", "a"), [SystemMessage("a")]),
        (["system", "a"], [HumanMessage("system"), HumanMessage("a")]),
        ([("human", "a"), ("ai", "b")], [HumanMessage("a"), AIMessage("b")]),
        ({"role": "user", "content": "a"}, [HumanMessage("a")]),
        ([{"type": "ai", "content": None, "id": "1"}], [AIMessage("", id="1")]),
        (
            [{"role": "tool", "content": "a", "tool_call_id": "1", "status": "error"}],
            [ToolMessage("a", tool_call_id="1", status="error")],
        ),
        (
            [{"role": "user", "content": "a", "mood": "good"}],
            [HumanMessage("a", additional_kwargs={"mood": "good"})],
        ),
    ],
)
def test_value_is_converted_to_messages(value: object, expected: list[BaseMessage]):
    """Texts, pairs, dicts and prompt values become the messages that they stand for."""
    assert expected == convert_to_messages(value)


def test_tool_calls_in_the_form_of_openai_are_understood():
    """A dict that was sent to OpenAI's interface becomes the same message."""
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{"}},
        {"id": "3", "name": "h", "args": {"b": 2}},
    ]
    given = {"role": "assistant", "content": None, "tool_calls": calls}
    (message,) = convert_to_messages([given])
    assert isinstance(message, AIMessage)
    expected = [
        {"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"},
        {"name": "h", "args": {"b": 2}, "id": "3", "type": "tool_call"},
    ]
    assert expected == message.tool_calls
    assert [call["name"] for call in message.invalid_tool_calls] == ["g"]
    assert given["tool_calls"] is calls


@pytest.mark.parametrize("value", [5, None, [5], {"a": 1}, {"messages": []}, [("a", "b", "c")]])
def test_value_that_is_no_message_is_told_without_its_content(value: object):
    """The error says the type of the value and what to pass instead."""
    with pytest.raises(TypeError, match=r"^A \w+ is no message\. Pass a text, a message"):
        convert_to_messages(value)


def test_unknown_role_is_an_error_that_names_the_roles():
    """A role that was misspelt is answered with the one that was meant."""
    with pytest.raises(ValueError, match=r"^'systen' is no role of a message\. Did you mean 'sys"):
        convert_to_messages([("systen", "a")])


def test_tool_message_without_its_call_is_an_error():
    """A tool's answer has to say which call it answers."""
    with pytest.raises(TypeError, match="lacks its 'tool_call_id'"):
        convert_to_messages([("tool", "a")])


def test_buffer_string_has_a_line_for_each_message():
    """A chat as text is what LangChain makes of it."""
    call = ToolCall(name="f", args={}, id="1")
    chat = [
        SystemMessage("s"),
        HumanMessage("hi"),
        AIMessage("hello", tool_calls=[call]),
        ToolMessage("t", tool_call_id="1"),
        AIMessageChunk("bye"),
    ]
    expected = (
        "System: s\nHuman: hi\n"
        "AI: hello[{'name': 'f', 'args': {}, 'id': '1', 'type': 'tool_call'}]\n"
        "Tool: t\nAI: bye"
    )
    assert expected == get_buffer_string(chat)
    assert ChatPromptValue(chat[:2]).to_string() == "System: s\nHuman: hi"
    assert get_buffer_string([HumanMessage("hi")], human_prefix="Q") == "Q: hi"


def test_import_loads_no_third_party_package():
    """Messages and schemas cost nothing but the standard library until a schema is asked for."""
    code = (
        "import sys, chain_callbacks.runnables.schema, chain_callbacks.runnables.outputs\n"
        "import chain_callbacks.runnables.documents\n"
        "print({'pydantic', 'typing_extensions'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
