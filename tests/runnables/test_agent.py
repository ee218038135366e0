"""The agent's loop: what it asks, which tools it calls and when it stops."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from chain_callbacks import BaseCallbackHandler
from chain_callbacks.errors import RecursionLimitError
from chain_callbacks.runnables import (
    AIMessage,
    BaseMessage,
    FakeListChatModel,
    FakeToolCallingChatModel,
    HumanMessage,
    Runnable,
    RunnableConfig,
    RunnablePassthrough,
    SystemMessage,
    ToolCall,
    ToolMessage,
    create_agent,
    tool,
)
from chain_callbacks.testing import RecordingHandler

LONG = 10.0
FORMS = ("invoke", "ainvoke", "stream", "astream")


def calls(*each: tuple[str, dict[str, Any]]) -> AIMessage:
    return AIMessage(
        "",
        tool_calls=[
            ToolCall(name=name, args=args, id=f"call-{number}")
            for number, (name, args) in enumerate(each, start=1)
        ],
    )


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def asked(agent: Runnable[Any, Any], form: str, config: Any = None) -> list[BaseMessage]:
    """Return the messages that *agent* gives, in whichever way it is called."""
    match form:
        case "invoke":
            result: list[BaseMessage] = agent.invoke("go", config)["messages"]
            return result
        case "ainvoke":
            messages: list[BaseMessage] = asyncio.run(agent.ainvoke("go", config))["messages"]
            return messages
        case "stream":
            return [m for chunk in agent.stream("go", config) for m in chunk["messages"]]

    async def read() -> list[BaseMessage]:
        return [m async for chunk in agent.astream("go", config) for m in chunk["messages"]]

    return asyncio.run(read())


@pytest.mark.parametrize("form", FORMS)
def test_a_conversation_is_given_whole(form: str, recorder: RecordingHandler) -> None:
    """The output holds the question, the calls, their results and the answer; so do the chunks."""
    model = FakeToolCallingChatModel([calls(("add", {"a": 1, "b": 2})), "it is 3"])
    messages = asked(create_agent(model, [add]), form, {"callbacks": [recorder]})
    assert [type(message) for message in messages] == [
        HumanMessage,
        AIMessage,
        ToolMessage,
        AIMessage,
    ]
    assert [message.text for message in messages] == ["go", "", "3", "it is 3"]
    result: Any = messages[2]
    assert (result.tool_call_id, result.name, result.status) == ("call-1", "add", "success")
    assert recorder.problems() == []


@pytest.mark.parametrize("form", FORMS)
def test_actions_and_the_finish_are_told(form: str) -> None:
    """Each tool call is announced before it runs, in order, and the answer at the end."""
    heard: list[Any] = []

    class Handler(BaseCallbackHandler):
        def on_agent_action(self, action: Any, **kwargs: Any) -> None:
            heard.append((action.tool, action.tool_input))

        def on_agent_finish(self, finish: Any, **kwargs: Any) -> None:
            heard.append((finish.log, len(finish.return_values["messages"])))

    turn = calls(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4}))
    agent = create_agent(FakeToolCallingChatModel([turn, "done"]), [add])
    asked(agent, form, {"callbacks": [Handler()]})
    assert heard == [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4}), ("done", 5)]


@pytest.mark.parametrize("form", ["invoke", "ainvoke"])
def test_the_call_id_is_told_of_a_tool_and_of_its_error(form: str) -> None:
    """A tool's start and its error say which call of the model they are about."""
    heard: list[tuple[str, Any]] = []

    class Handler(BaseCallbackHandler):
        def on_tool_start(
            self, serialized: Any, input_str: str, *, tool_call_id: str | None = None, **kwargs: Any
        ) -> None:
            heard.append(("start", tool_call_id))

        def on_tool_error(
            self, error: BaseException, *, tool_call_id: str | None = None, **kwargs: Any
        ) -> None:
            heard.append(("error", tool_call_id))

    def breaks(x: int) -> int:
        raise ValueError("broken")

    agent = create_agent(FakeToolCallingChatModel([calls(("breaks", {"x": 1})), "done"]), [breaks])
    with pytest.raises(ValueError, match="broken"):
        asked(agent, form, {"callbacks": [Handler()]})
    assert heard == [("start", "call-1"), ("error", "call-1")]


@pytest.mark.parametrize("form", FORMS)
def test_wrong_arguments_come_back_to_the_model(form: str, recorder: RecordingHandler) -> None:
    """A call that the tool does not take is answered with what is wrong, and the loop goes on."""
    model = FakeToolCallingChatModel(
        [calls(("add", {"a": "x"})), calls(("add", {"a": 1, "b": 2})), "done"]
    )
    messages: list[Any] = asked(create_agent(model, [add]), form, {"callbacks": [recorder]})
    refused, accepted = messages[2], messages[4]
    assert (refused.status, accepted.status) == ("error", "success")
    assert "Its arguments are 'a', 'b'." in refused.text
    assert messages[-1].text == "done"
    statuses = [(run.name, run.status) for run in recorder.runs if run.run_type == "tool"]
    assert statuses == [("add", "error"), ("add", "ok")]
    assert recorder.runs[0].status == "ok"


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_tool_comes_back_to_the_model(form: str, recorder: RecordingHandler) -> None:
    """A call of a tool that is not there is answered with the names that are; no tool runs."""
    model = FakeToolCallingChatModel([calls(("subtract", {})), "done"])
    messages: list[Any] = asked(create_agent(model, [add]), form, {"callbacks": [recorder]})
    assert messages[2].text == "No tool is called 'subtract'. There are: 'add'."
    assert messages[2].status == "error"
    assert [run.run_type for run in recorder.runs] == ["chain", "chat_model", "chat_model"]


@pytest.mark.parametrize("form", FORMS)
def test_the_limit_says_stop(form: str, recorder: RecordingHandler) -> None:
    """A model that never answers is asked as often as ``recursion_limit`` allows."""
    model = FakeListChatModel([calls(("add", {"a": 1, "b": 2}))])
    agent = create_agent(model, [add], name="endless")
    with pytest.raises(RecursionLimitError, match="endless stopped after 2 steps"):
        asked(agent, form, {"callbacks": [recorder], "recursion_limit": 2})
    assert [run.run_type for run in recorder.runs].count("chat_model") == 2
    assert recorder.runs[0].error == "RecursionLimitError"
    assert recorder.problems() == []


def test_tools_of_one_turn_are_limited_too() -> None:
    """``max_concurrency`` holds for the tools of one turn, in threads and in tasks."""
    lock, inside, most = threading.Lock(), 0, 0

    def work(x: int) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        RunnablePassthrough().invoke(x)
        with lock:
            inside -= 1
        return x

    turn = calls(*[("work", {"x": number}) for number in range(6)])
    agent = create_agent(FakeToolCallingChatModel([turn, "done"]), [work])
    for form in FORMS:
        messages = asked(agent, form, {"max_concurrency": 1})
        assert [message.text for message in messages[2:-1]] == [str(n) for n in range(6)]
    assert most == 1


def test_one_failing_tool_awaits_the_others_in_threads(recorder: RecordingHandler) -> None:
    """In threads a tool's failure leaves once the tools beside it have ended."""
    begun, failed = threading.Event(), threading.Event()

    def breaks(x: int) -> int:
        assert begun.wait(LONG)
        failed.set()
        raise ValueError("broken")

    def waits(x: int) -> int:
        begun.set()
        assert failed.wait(LONG)
        return x

    turn = calls(("breaks", {"x": 1}), ("waits", {"x": 1}))
    agent = create_agent(FakeToolCallingChatModel([turn, "done"]), [breaks, waits])
    with pytest.raises(ValueError, match="broken"):
        agent.invoke("go", {"callbacks": [recorder]})
    assert recorder.tree() == (
        "chain agent error ValueError action=2\n"
        "  chat_model FakeToolCallingChatModel\n"
        "  tool breaks [tool:call:1] error ValueError\n"
        "  tool waits [tool:call:2]"
    )
    assert recorder.records[-1].run_name == "agent"


def test_one_failing_tool_cancels_the_others_in_tasks(recorder: RecordingHandler) -> None:
    """In tasks a tool's failure cancels the tools beside it, and leaves when they have ended."""
    waiting = asyncio.Event()

    async def breaks(x: int) -> int:
        await waiting.wait()
        raise ValueError("broken")

    async def waits(x: int) -> int:
        waiting.set()
        await asyncio.Event().wait()
        return x

    turn = calls(("breaks", {"x": 1}), ("waits", {"x": 1}))
    agent = create_agent(FakeToolCallingChatModel([turn, "done"]), [breaks, waits])
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(agent.ainvoke("go", {"callbacks": [recorder]}))
    assert recorder.tree() == (
        "chain agent error ValueError action=2\n"
        "  chat_model FakeToolCallingChatModel\n"
        "  tool breaks [tool:call:1] error ValueError\n"
        "  tool waits [tool:call:2] cancelled"
    )
    assert recorder.records[-1].run_name == "agent"


@pytest.mark.parametrize(
    "input",
    [
        "go",
        HumanMessage("go"),
        [("human", "go")],
        {"messages": "go"},
        {"messages": [HumanMessage("go")]},
    ],
)
def test_an_agent_takes_what_a_model_takes(input: Any) -> None:
    """A text, a message, a list of them, or a dict that holds one of these."""
    output = create_agent(FakeListChatModel(["hello"])).invoke(input)
    assert [message.text for message in output["messages"]] == ["go", "hello"]


def test_the_input_of_an_agent_stays_as_it_is() -> None:
    """The conversation grows in a list of the agent's own."""
    messages: list[BaseMessage] = [HumanMessage("go")]
    create_agent(FakeListChatModel(["hello"])).invoke({"messages": messages})
    assert messages == [HumanMessage("go")]


def test_the_system_prompt_is_told_to_the_model_alone() -> None:
    """``system_prompt`` stands before the messages, and is none of the conversation."""
    seen: list[list[BaseMessage]] = []

    class Model(FakeListChatModel):
        def _generate(self, messages: list[BaseMessage], **kwargs: Any) -> AIMessage:
            seen.append(messages)
            return super()._generate(messages, **kwargs)

    output = create_agent(Model(["hello"]), system_prompt="be kind").invoke("go")
    assert seen == [[SystemMessage("be kind"), HumanMessage("go")]]
    assert [type(message) for message in output["messages"]] == [HumanMessage, AIMessage]


def test_the_model_is_told_of_the_tools(recorder: RecordingHandler) -> None:
    """A model that takes tools is offered those of the agent, at each call."""
    agent = create_agent(FakeListChatModel(["hello"]), [add])
    agent.invoke("go", {"callbacks": [recorder]})
    start = next(r for r in recorder.records if r.name == "on_chat_model_start")
    offered = [each["function"]["name"] for each in start.payload["invocation_params"]["tools"]]
    assert offered == ["add"]


def test_two_tools_of_one_name_are_refused() -> None:
    """A model could not say which of them it means."""
    with pytest.raises(ValueError, match="Two tools are called 'add'"):
        create_agent(FakeListChatModel(["hello"]), [add, tool("add")(max_of)])
    with pytest.raises(TypeError, match="A int is no tool"):
        create_agent(FakeListChatModel(["hello"]), [3])


def max_of(a: int, b: int) -> int:
    return max(a, b)


@pytest.mark.parametrize("form", FORMS)
def test_a_tool_passes_its_config_on(form: str, recorder: RecordingHandler) -> None:
    """What a tool runs is nested in the tool, with the config passed on or without."""

    def use(x: int, config: RunnableConfig) -> int:
        RunnablePassthrough(name="with").invoke(x, config)
        return RunnablePassthrough(name="without").invoke(x)

    agent = create_agent(FakeToolCallingChatModel([calls(("use", {"x": 1})), "done"]), [use])
    asked(agent, form, {"callbacks": [recorder]})
    lines = recorder.tree().splitlines()
    assert lines[2:5] == ["  tool use [tool:call:1]", "    chain with", "    chain without"]


def test_an_agent_in_a_tool_is_nested_in_it(recorder: RecordingHandler) -> None:
    """An agent that a tool asks is a run below the tool's, with its own turns below it."""
    inner = create_agent(
        FakeToolCallingChatModel([calls(("add", {"a": 1, "b": 2})), "3"]), [add], name="inner"
    )

    def delegate(question: str) -> str:
        messages: list[BaseMessage] = inner.invoke(question)["messages"]
        return messages[-1].text

    outer = create_agent(
        FakeToolCallingChatModel([calls(("delegate", {"question": "1+2"})), "done"]), [delegate]
    )
    assert outer.invoke("go", {"callbacks": [recorder]})["messages"][2].text == "3"
    assert recorder.tree() == (
        "chain agent action=1 finish=1\n"
        "  chat_model FakeToolCallingChatModel\n"
        "  tool delegate [tool:call:1]\n"
        "    chain inner action=1 finish=1\n"
        "      chat_model FakeToolCallingChatModel\n"
        "      tool add [tool:call:1]\n"
        "      chat_model FakeToolCallingChatModel\n"
        "  chat_model FakeToolCallingChatModel"
    )
