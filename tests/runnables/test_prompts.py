"""Prompts: their variables, what they make, and what they say of a wrong input."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chain_callbacks.runnables import (
    AIMessage,
    ChatPromptTemplate,
    FakeListChatModel,
    HumanMessage,
    MessagesPlaceholder,
    PromptTemplate,
    RunnablePassthrough,
    StrOutputParser,
    SystemMessage,
)
from chain_callbacks.runnables.outputs import ChatPromptValue, StringPromptValue
from chain_callbacks.testing import RecordingHandler


def test_a_template_fills_its_variables() -> None:
    """A prompt of a text takes a dict, or for one variable its value."""
    prompt = PromptTemplate.from_template("tell me of {topic}, {{please}}")
    assert prompt.input_variables == ("topic",)
    expected = StringPromptValue("tell me of bears, {please}")
    assert prompt.invoke({"topic": "bears", "other": 1}) == expected
    assert prompt.invoke("bears") == expected
    assert asyncio.run(prompt.ainvoke("bears")) == expected
    assert prompt.format(topic="bears") == expected.to_string()


def test_a_chat_prompt_makes_messages() -> None:
    """Roles, messages taken as they are, texts and placeholders, in their order."""
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "be {mood}"),
            MessagesPlaceholder("history"),
            AIMessage("{as it is}"),
            ("placeholder", "{more}"),
            "and {topic}",
        ]
    )
    assert prompt.input_variables == ("mood", "history", "topic")
    value = {"mood": "kind", "history": [("human", "hello")], "topic": "bears"}
    messages = [
        SystemMessage("be kind"),
        HumanMessage("hello"),
        AIMessage("{as it is}"),
        HumanMessage("and bears"),
    ]
    assert prompt.invoke(value) == ChatPromptValue(messages)
    assert prompt.format_messages(**value) == messages


def test_a_missing_variable_is_named(recorder: RecordingHandler) -> None:
    """An input without a variable is an error that says which, and what came instead."""
    prompt = PromptTemplate("{topic}{tone}")
    with pytest.raises(KeyError, match="needs 'topic'; it got 'topics', 'tone'"):
        prompt.invoke({"topics": "bears", "tone": "x"}, {"callbacks": [recorder]})
    with pytest.raises(TypeError, match="takes a dict with 'topic', 'tone' and got a str"):
        prompt.invoke("bears", {"callbacks": [recorder]})
    assert recorder.trees() == [
        "prompt PromptTemplate error KeyError",
        "prompt PromptTemplate error TypeError",
    ]


@pytest.mark.parametrize("template", ["{x.__class__}", "{x[0]}", "{}", "{0}"])
def test_a_variable_is_a_plain_name(template: str) -> None:
    """A template cannot reach into what its variables hold."""
    with pytest.raises(ValueError, match="is no variable of a template"):
        PromptTemplate(template)
    with pytest.raises(ValueError, match="is no variable of a template"):
        ChatPromptTemplate([("human", template)])


def test_a_format_may_have_variables_and_is_no_way_in() -> None:
    """A variable in the format of another one is a plain name too."""
    prompt = PromptTemplate("{number:>{width}}")
    assert prompt.input_variables == ("number", "width")
    assert prompt.invoke({"number": 1, "width": 3}).text == "  1"
    for template in ("{x:{y.__class__}}", "{x:{y[0]}}", "{x!r:{y.a}}"):
        with pytest.raises(ValueError, match="is no variable of a template"):
            PromptTemplate(template)


def test_a_prompt_tells_its_input_and_its_value(recorder: RecordingHandler) -> None:
    """The start of a prompt's run has the input, its end the prompt that came of it."""
    PromptTemplate("{x}").invoke({"x": "a"}, {"callbacks": [recorder]})
    start, end = recorder.records
    assert (start.run_type, start.payload["inputs"]) == ("prompt", {"x": "a"})
    assert start.payload["serialized"] == {
        "name": "PromptTemplate",
        "id": ["chain_callbacks", "runnables", "prompts", "PromptTemplate"],
    }
    assert end.payload["outputs"] == StringPromptValue("a")


def test_a_prompt_feeds_a_model() -> None:
    """A prompt of either sort is what a model takes."""
    for prompt in (PromptTemplate("{x}"), ChatPromptTemplate.from_template("{x}")):
        chain: Any = prompt | FakeListChatModel(["fine"]) | StrOutputParser()
        assert chain.invoke({"x": "how are you"}) == "fine"


def test_assign_adds_keys_to_a_dict(recorder: RecordingHandler) -> None:
    """``assign`` keeps what there is; what is no dict is refused before a step runs."""

    def refuse(_: Any) -> str:
        raise AssertionError("ran")

    step = RunnablePassthrough.assign(loud=lambda each: each["x"].upper())
    assert step.invoke({"x": "a"}, {"callbacks": [recorder]}) == {"x": "a", "loud": "A"}
    assert asyncio.run(step.ainvoke({"x": "a"})) == {"x": "a", "loud": "A"}
    with pytest.raises(TypeError, match="adds keys to a dict and got a str"):
        RunnablePassthrough.assign(loud=refuse).invoke("a")  # type: ignore[arg-type]
    assert recorder.tree() == (
        "chain RunnableAssign\n"
        "  chain RunnableParallel<loud>\n"
        "    chain RunnableLambda [map:key:loud]"
    )
