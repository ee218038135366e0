"""Tools: functions that a model may call, with a schema made of their signature."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, overload

from ..attributes import once
from ..context import to_thread
from ..dispatch.run import Run
from ..events import KINDS, RunKind
from .base import Runnable, given
from .messages import ToolCall, ToolMessage
from .schema import ToolSchema, tool_schema


class BaseTool(Runnable[Any, Any]):
    """A tool; a subclass writes ``_run`` with the tool's arguments, and ``_arun`` where it has one.

    The input is the arguments as a dict (or, for one argument, its value), and the output what
    the tool returns. Or it is a model's tool call, and the output a ``ToolMessage`` for it.
    """

    kind: ClassVar[RunKind] = KINDS["tool"]
    description: str = ""

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _run")

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        return await to_thread(self._run, *args, **kwargs)

    def _is_awaited(self) -> bool:
        """Tell whether an asynchronous call reaches a coroutine of the tool's author."""
        return type(self)._arun is not BaseTool._arun

    @once
    def schema(self) -> ToolSchema:
        """What it takes: made of the signature and docstring of its function."""
        return tool_schema(self._described())

    def _described(self) -> Callable[..., Any]:
        return self._run if type(self)._run is not BaseTool._run else self._arun

    @property
    def args(self) -> dict[str, Any]:
        """The JSON schema of each argument, by name."""
        properties: dict[str, Any] = self.schema.json_schema().get("properties", {})
        return properties

    def as_openai(self) -> dict[str, Any]:
        """Return what a model is told of it, in the form that OpenAI's interface takes."""
        return {
            "type": "function",
            "function": {
                "name": self.get_name(),
                "description": self.description or self.schema.description,
                "parameters": self.schema.json_schema(),
            },
        }

    def _arguments(self, input: Any) -> dict[str, Any]:
        if is_tool_call(input):
            return dict(input["args"])
        if isinstance(input, Mapping):
            return dict(input)
        names = list(self.args)
        return {names[0]: input} if len(names) == 1 else {"input": input}

    def _start_payload(
        self, input: Any, kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        arguments = self._arguments(input)
        told: dict[str, Any] = {"inputs": arguments}
        if is_tool_call(input):
            told["tool_call_id"] = input["id"]
        return (input if isinstance(input, str) else str(arguments),), told

    def _error_keywords(self, input: Any, given: Sequence[Any] = ()) -> Mapping[str, Any]:
        return {"tool_call_id": input["id"]} if is_tool_call(input) else {}

    def _injected(self, run: Run | None, *, is_async: bool) -> dict[str, Any]:
        """Return what the framework fills in: what the signature has of its names."""
        asked = self.schema.injected
        passed = given(tuple(asked - {"callbacks"}), run, is_async=is_async)
        if "callbacks" in asked:
            passed["callbacks"] = None if run is None else run.get_child()
        return passed

    def _invoke(self, input: Any, *, run: Run | None = None, **kwargs: Any) -> Any:
        arguments = self.schema.validate(self._arguments(input))
        injected = self._injected(run, is_async=False)
        args, keywords = self.schema.bind({**arguments, **injected})
        if type(self)._run is BaseTool._run:
            raise TypeError(f"The tool {self.get_name()} is asynchronous. Call ainvoke.")
        return _output(input, self.get_name(), self._run(*args, **keywords))

    async def _ainvoke(self, input: Any, *, run: Run | None = None, **kwargs: Any) -> Any:
        arguments = self.schema.validate(self._arguments(input))
        is_async = self._is_awaited()
        injected = self._injected(run, is_async=is_async)
        args, keywords = self.schema.bind({**arguments, **injected})
        return _output(input, self.get_name(), await self._arun(*args, **keywords))


class FunctionTool(BaseTool):
    """A function as a tool; made by ``@tool``."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        callbacks: Any = None,
    ) -> None:
        super().__init__(callbacks=callbacks)
        self.function = function
        self.schema = tool_schema(function)
        self.name = name or self.schema.name
        self.description = description or self.schema.description
        self._is_async = inspect.iscoroutinefunction(function)

    def _is_awaited(self) -> bool:
        return self._is_async

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self._is_async:
            raise TypeError(f"The tool {self.name} is asynchronous. Call ainvoke.")
        return self.function(*args, **kwargs)

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        if self._is_async:
            return await self.function(*args, **kwargs)
        return await to_thread(self.function, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, with no run and no check."""
        return self.function(*args, **kwargs)


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(
    name: str | None = None, /, *, description: str | None = None, callbacks: Any = None
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(
    function: Callable[..., Any] | str | None = None,
    /,
    *,
    description: str | None = None,
    callbacks: Any = None,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a function a tool: ``@tool``, ``@tool("name")`` or ``@tool(callbacks=[...])``.

    Its arguments are those of the signature, described by the docstring. Parameters named
    ``config``, ``run`` or ``run_manager`` are filled in and hidden from the model, and so is
    ``callbacks``, with the manager for what the tool runs itself; None where nobody listens.

    Raises:
        TypeError: The function takes arguments that have no name.
    """
    if callable(function):
        return FunctionTool(function)

    def make(each: Callable[..., Any]) -> FunctionTool:
        return FunctionTool(each, name=function, description=description, callbacks=callbacks)

    return make


def as_tool(value: Any) -> BaseTool:
    """Return *value*, a tool or a function, as a tool.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(value, BaseTool):
        return value
    if callable(value):
        return FunctionTool(value)
    raise TypeError(f"A {type(value).__name__} is no tool. Pass a function, or what @tool made.")


def is_tool_call(value: Any) -> bool:
    """Tell whether *value* is a model's call of a tool, not the arguments of one."""
    return (
        isinstance(value, Mapping)
        and value.keys() >= {"name", "args", "id"}
        and isinstance(value["args"], Mapping)
        and value.keys() <= ToolCall.__annotations__.keys()
    )


def _output(input: Any, name: str, output: Any) -> Any:
    if not is_tool_call(input) or isinstance(output, ToolMessage):
        return output
    if not isinstance(output, str):
        try:
            output = json.dumps(output, ensure_ascii=False)
        except (TypeError, ValueError):
            output = str(output)
    return ToolMessage(output, tool_call_id=input["id"], name=name)
