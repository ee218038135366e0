"""The usual agent: a model calls tools, gets their results, and goes on until it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..dispatch.run import Run
from ..errors import RecursionLimitError, quoted
from ..events import TOOL_CALL
from . import concurrency
from .base import Runnable
from .chunks import combined
from .composition import config_at
from .config import DEFAULT_RECURSION_LIMIT, limits_here
from .inner import aclosed_after
from .messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from .outputs import AgentAction, AgentFinish
from .schema import ToolArgumentsError
from .tools import BaseTool, as_tool

_DONE: Final = object()


def create_agent(
    model: Runnable[Any, AIMessage],
    tools: Sequence[Any] = (),
    *,
    system_prompt: str | None = None,
    name: str = "agent",
    callbacks: Any = None,
) -> Agent:
    """Return an agent: *model* and *tools* in a loop, until the model answers without a call.

    Args:
        model: A chat model; one that has ``bind_tools`` is told of the tools.
        tools: Functions, or what ``@tool`` made. Several called in one turn run in parallel.
        system_prompt: Put before the messages.
        name: What its runs are called.
        callbacks: Handlers or names that hear its runs and all nested in them.
    """
    return Agent(model, tools, system_prompt=system_prompt, name=name, callbacks=callbacks)


@dataclass(frozen=True, slots=True)
class _AskModel:
    messages: list[BaseMessage]


@dataclass(frozen=True, slots=True)
class _CallTools:
    calls: list[ToolCall]


_Work = Generator[_AskModel | _CallTools, Any, None]


class Agent(Runnable[Any, dict[str, list[BaseMessage]]]):
    """The loop of ``create_agent``; takes and gives ``{"messages": [...]}``.

    The input may also be a text, or messages. The output has those and all that came. A stream
    gives those, and then the new messages turn by turn: its chunks add up to the output.
    ``config["recursion_limit"]`` says how often the model is asked at most; beyond it a
    ``RecursionLimitError`` leaves.
    """

    def __init__(
        self,
        model: Runnable[Any, AIMessage],
        tools: Sequence[Any] = (),
        *,
        system_prompt: str | None = None,
        name: str = "agent",
        callbacks: Any = None,
    ) -> None:
        super().__init__(name=name, callbacks=callbacks)
        self.tools: dict[str, BaseTool] = {}
        for each in map(as_tool, tools):
            if each.get_name() in self.tools:
                raise ValueError(f"Two tools are called {each.get_name()!r}. Rename one.")
            self.tools[each.get_name()] = each
        bind_tools = getattr(model, "bind_tools", None)
        self.model = bind_tools([*self.tools.values()]) if self.tools and bind_tools else model
        self.system_prompt = system_prompt

    def _work(self, messages: list[BaseMessage]) -> _Work:
        """Say what is to be done next, and take in what came of it: the one loop of all four ways.

        *messages* grows by what is sent in.
        """
        limit = limits_here().get("recursion_limit", DEFAULT_RECURSION_LIMIT)
        system = [SystemMessage(self.system_prompt)] if self.system_prompt else []
        for _ in range(limit):
            answer: AIMessage = yield _AskModel([*system, *messages])
            messages.append(answer)
            if not answer.tool_calls:
                return
            messages.extend((yield _CallTools(answer.tool_calls)))
        raise RecursionLimitError(name=self.get_name(), limit=limit)

    def _unknown(self, call: ToolCall) -> ToolMessage | None:
        if call["name"] in self.tools:
            return None
        text = f"No tool is called {call['name']!r}. There are: {quoted(self.tools) or 'none'}."
        return _refused(call, text)

    def _use(self, call: ToolCall, run: Run | None, number: int) -> ToolMessage:
        unknown = self._unknown(call)
        if unknown is not None:
            return unknown
        config = config_at(run, TOOL_CALL, number)
        try:
            return self.tools[call["name"]].invoke(call, config)  # type: ignore[no-any-return]
        except ToolArgumentsError as error:
            return _refused(call, str(error))

    async def _ause(self, call: ToolCall, run: Run | None, number: int) -> ToolMessage:
        unknown = self._unknown(call)
        if unknown is not None:
            return unknown
        config = config_at(run, TOOL_CALL, number)
        try:
            return await self.tools[call["name"]].ainvoke(call, config)  # type: ignore[no-any-return]
        except ToolArgumentsError as error:
            return _refused(call, str(error))

    def _use_all(self, work: _CallTools, run: Run | None) -> list[ToolMessage]:
        if run is not None:
            for call in work.calls:
                run.on_agent_action(_action(call))
        calls = [partial(self._use, call, run, n) for n, call in enumerate(work.calls, start=1)]
        return concurrency.in_threads(
            calls, most=limits_here().get("max_concurrency") or len(calls)
        )

    async def _ause_all(self, work: _CallTools, run: Run | None) -> list[ToolMessage]:
        if run is not None:
            for call in work.calls:
                await run.aon_agent_action(_action(call))
        calls = [partial(self._ause, call, run, n) for n, call in enumerate(work.calls, start=1)]
        return await concurrency.in_tasks(calls, most=limits_here().get("max_concurrency"))

    def _invoke(self, input: Any, *, run: Run | None = None, **kwargs: Any) -> Any:
        messages = _messages(input)
        work = self._work(messages)
        result: Any = None
        while (step := _next(work, result)) is not None:
            if isinstance(step, _AskModel):
                result = self.model.invoke(step.messages, None, **kwargs)
            else:
                result = self._use_all(step, run)
        if run is not None:
            run.on_agent_finish(_finish(messages))
        return {"messages": messages}

    async def _ainvoke(self, input: Any, *, run: Run | None = None, **kwargs: Any) -> Any:
        messages = _messages(input)
        work = self._work(messages)
        result: Any = None
        while (step := _next(work, result)) is not None:
            if isinstance(step, _AskModel):
                result = await self.model.ainvoke(step.messages, None, **kwargs)
            else:
                result = await self._ause_all(step, run)
        if run is not None:
            await run.aon_agent_finish(_finish(messages))
        return {"messages": messages}

    def _transform(
        self, chunks: Iterator[Any], *, run: Run | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        messages = _messages(combined(list(chunks)))
        yield {"messages": [*messages]}
        work = self._work(messages)
        result: Any = None
        while (step := _next(work, result)) is not None:
            if isinstance(step, _AskModel):
                flow = self.model.stream(step.messages, None, **kwargs)
                result = message_chunk_to_message(combined(list(flow)))
                yield {"messages": [result]}
            else:
                result = self._use_all(step, run)
                yield {"messages": [*result]}
        if run is not None:
            run.on_agent_finish(_finish(messages))

    async def _atransform(
        self, chunks: AsyncIterator[Any], *, run: Run | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        messages = _messages(combined([chunk async for chunk in chunks]))
        yield {"messages": [*messages]}
        work = self._work(messages)
        result: Any = None
        while (step := _next(work, result)) is not None:
            if isinstance(step, _AskModel):
                async with aclosed_after(self.model.astream(step.messages, None, **kwargs)) as flow:
                    result = message_chunk_to_message(combined([chunk async for chunk in flow]))
                yield {"messages": [result]}
            else:
                result = await self._ause_all(step, run)
                yield {"messages": [*result]}
        if run is not None:
            await run.aon_agent_finish(_finish(messages))


def _next(work: _Work, result: Any) -> _AskModel | _CallTools | None:
    try:
        return work.send(result)
    except StopIteration:
        return None


def _messages(input: Any) -> list[BaseMessage]:
    if isinstance(input, Mapping) and "messages" in input:
        input = input["messages"]
    # A list of its own, which grows; the caller's stays as it is.
    return [*convert_to_messages(input)]


def _refused(call: ToolCall, text: str) -> ToolMessage:
    return ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error")


def _action(call: ToolCall) -> AgentAction:
    return AgentAction(call["name"], call["args"], f"calls {call['name']}")


def _finish(messages: list[BaseMessage]) -> AgentFinish:
    return AgentFinish({"messages": [*messages]}, messages[-1].text)
