"""A function's signature and docstring become a schema, and a check that keeps secrets."""

from __future__ import annotations

import asyncio
import enum
import functools
import gc
import inspect
import pickle
import types
import weakref
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional
from uuid import UUID

import pydantic
import pytest
from pydantic import Field

from chain_callbacks.runnables.schema import ToolArgumentsError, ToolSchema, tool_schema

if TYPE_CHECKING:
    from chain_callbacks.runnables.config import RunnableConfig

SECRET = "sk-hunter2"  # noqa: S105 - what must not be repeated


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Item(pydantic.BaseModel):
    """An item of the shop."""

    name: str
    price: int = 1

    @pydantic.field_validator("name")
    @classmethod
    def _check(cls, name: str) -> str:
        if name == SECRET:
            raise ValueError(f"{name} is sold out")
        return name


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


def search(query: str, limit: int = 5, *, exact: bool = False) -> str:
    """Search the web for pages.

    It is slow.

    Args:
        query: What to look for,
            in plain words.
        limit (int, optional): How many: at most ten.

    Returns:
        exact: the pages.
    """
    return f"{query} {limit} {exact}"


def properties_of(function: Callable[..., Any]) -> dict[str, Any]:
    return tool_schema(function).json_schema()["properties"]


def problems_of(function: Callable[..., Any], arguments: Any) -> tuple[str, ...]:
    with pytest.raises(ToolArgumentsError) as caught:
        tool_schema(function).validate(arguments)
    assert caught.value.__context__ is None  # pydantic's error holds the values
    return caught.value.problems


def test_signature_and_docstring_become_the_schema():
    """A model is given names, types, defaults and the docstring's descriptions, no titles."""
    schema = tool_schema(search)
    assert (schema.name, schema.description) == ("search", "Search the web for pages.")
    assert schema.injected == frozenset()
    assert schema.json_schema() == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for, in plain words."},
            "limit": {"type": "integer", "default": 5, "description": "How many: at most ten."},
            "exact": {"type": "boolean", "default": False},
        },
        "required": ["query"],
        "additionalProperties": False,
    }


def test_function_without_parameters_has_an_empty_schema():
    """A tool that takes nothing is a tool."""

    def now() -> str:
        return ""

    expected = {"type": "object", "properties": {}, "additionalProperties": False}
    assert expected == tool_schema(now).json_schema()
    assert tool_schema(now).description == ""
    assert tool_schema(now).validate({}) == {}


@pytest.mark.parametrize(
    ("docstring", "description"),
    [
        ("One line.", "One line."),
        ("\n    After\n    a break.\n\n    More.", "After a break."),
        ("Add.\n    Args:\n        x: The x.", "Add."),
        ("Args:\n    x: The x.\n\nMore.", ""),
        (None, ""),
    ],
)
def test_description_is_the_first_paragraph(docstring: str | None, description: str):
    """What follows the first paragraph is for people."""

    def f(x: int) -> None: ...

    f.__doc__ = docstring
    assert description == tool_schema(f).description
    described = properties_of(f)["x"].get("description")
    assert described == ("The x." if docstring and "Args" in docstring else None)


def test_schema_may_be_changed_by_who_gets_it():
    """Each caller has a schema of its own."""
    tool_schema(search).json_schema()["properties"].clear()
    assert "query" in properties_of(search)


def test_injected_parameters_are_left_out():
    """What the framework fills in is not in the schema, and its annotation is never read."""

    def f(x: int, config: RunnableConfig, run_manager: Missing = None) -> None: ...  # noqa: F821  # type: ignore[name-defined]

    assert list(properties_of(f)) == ["x"]
    assert tool_schema(f).injected == {"config", "run_manager"}
    assert problems_of(f, {"x": 1, "config": {}}) == ("'config' is no argument of it",)


def test_types_are_described_and_coerced():
    """Literals, enums, optional values, models and collections mean what they say."""

    def f(
        a: Literal["x", "y"],
        b: Color,
        c: Optional[int],  # noqa: UP045
        d: Item,
        e: list[Decimal],
        g: UUID | date,
        h: dict[str, int],
        i,  # type: ignore[no-untyped-def]
        j: Color = Color.RED,
        k: str = None,  # type: ignore[assignment] # noqa: RUF013
    ) -> None: ...

    schema = tool_schema(f).json_schema()
    properties = schema["properties"]
    assert properties["a"] == {"type": "string", "enum": ["x", "y"]}
    assert properties["c"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert properties["d"] == {"$ref": "#/$defs/Item"}
    assert properties["i"] == {}
    assert properties["j"]["default"] == "red"
    assert properties["k"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert schema["$defs"]["Item"] == {
        "description": "An item of the shop.",
        "type": "object",
        "properties": {"name": {"type": "string"}, "price": {"type": "integer", "default": 1}},
        "required": ["name"],
    }
    assert schema["required"] == list("abcdeghi")
    given = {
        "a": "x",
        "b": "blue",
        "c": "3",
        "d": {"name": "tea"},
        "e": ["1.5"],
        "g": "2024-01-31",
        "h": {"p": "1"},
        "i": SECRET,
        "k": None,
    }
    assert tool_schema(f).validate(given) == {
        "a": "x",
        "b": Color.BLUE,
        "c": 3,
        "d": Item(name="tea"),
        "e": [Decimal("1.5")],
        "g": date(2024, 1, 31),
        "h": {"p": 1},
        "i": SECRET,
        "k": None,
    }
    assert given["b"] == "blue"


def test_annotated_describes_and_constrains():
    """A text in Annotated describes the argument; a Field does, and constrains it too."""

    def f(
        a: Annotated[int, "The a."],
        b: Annotated[int, Field(ge=1, description="The b.")],
        c: Annotated[int, Field(ge=1)] = None,  # type: ignore[assignment] # noqa: RUF013
        d: int = Field(4, description="The d.", le=9),
    ) -> None:
        """Do it.

        Args:
            a: Not this.
            b: Nor this.
            c: The c.
        """

    properties = properties_of(f)
    assert properties["a"] == {"type": "integer", "description": "The a."}
    assert properties["b"] == {"type": "integer", "minimum": 1, "description": "The b."}
    assert properties["c"]["anyOf"] == [{"type": "integer", "minimum": 1}, {"type": "null"}]
    assert properties["c"]["description"] == "The c."
    assert properties["d"] == {
        "type": "integer",
        "maximum": 9,
        "default": 4,
        "description": "The d.",
    }
    assert tool_schema(f).validate({"a": 1, "b": 2}) == {"a": 1, "b": 2, "d": 4}
    assert problems_of(f, {"a": 1, "b": 0}) == ("'b' should be greater than or equal to 1",)


def test_parameter_may_bear_any_name():
    """Names that pydantic keeps for itself are names like any other; so is "title"."""

    def f(json: int, model_config: int, _x: int, title: str, schema: int = 1, self: int = 2): ...  # type: ignore[no-untyped-def]

    names = ["json", "model_config", "_x", "title", "schema", "self"]
    given = {"json": 1, "model_config": 2, "_x": 3, "title": "t"}
    assert names == list(properties_of(f))
    assert given == tool_schema(f).validate(given)
    assert problems_of(f, {**given, "argument_0": 1}) == ("'argument_0' is no argument of it",)


def test_default_without_a_form_in_json_is_left_out():
    """A default that only Python knows is the function's own affair."""
    nothing = object()

    def f(x: Any = nothing) -> None: ...

    assert properties_of(f) == {"x": {}}
    assert tool_schema(f).validate({}) == {}


# Names in annotations


def test_local_types_are_found():
    """Annotations may name what is local to the function around, used in the body or not."""

    class Local(pydantic.BaseModel):
        x: int

    def outer() -> Callable[..., Any]:
        class Inner(enum.Enum):
            A = "a"

        def f(a: Local, b: list[Inner], c: Optional["Local"] = None) -> None: ...  # noqa: UP037, UP045

        tool_schema(f)
        return f

    function = outer()
    assert tool_schema(function).validate({"a": {"x": 1}, "b": ["a"]})["a"] == Local(x=1)


def test_types_in_a_closure_are_found_elsewhere():
    """A local type that the body uses is found after the function around has returned."""

    def outer() -> Callable[..., Any]:
        class Local(pydantic.BaseModel):
            x: int

        def f(a: Local) -> None:
            assert isinstance(a, Local)

        return f

    function = outer()
    function(**tool_schema(function).validate({"a": {"x": 1}}))


def test_type_that_is_defined_later_is_found():
    """An annotation is read when the schema is asked for, in the module of the function."""
    module = types.ModuleType("later")
    exec("def f(x: Later): ...", {**vars(module)})  # noqa: S102 - no NameError yet
    code = "from __future__ import annotations\ndef f(x: Later): ..."
    exec(code, vars(module))  # noqa: S102
    schema = tool_schema(module.f)
    exec("Later = int", vars(module))  # noqa: S102
    assert schema.json_schema()["properties"] == {"x": {"type": "integer"}}


def test_unknown_name_in_an_annotation_is_an_error():
    """The error names the tool, the parameter and the name."""

    def f(x: Missing) -> None: ...  # noqa: F821  # type: ignore[name-defined]

    with pytest.raises(TypeError, match=r"'f' has no schema: .* 'x' cannot be read \(.*'Missing'"):
        tool_schema(f).json_schema()


class Socket:
    pass


@pytest.mark.parametrize("annotation", [Socket, Callable[[], int]])
def test_type_without_a_form_in_json_is_an_error(annotation: Any):
    """The error names the parameter that no model can fill in."""

    def f(x: int, y: Any) -> None: ...

    f.__annotations__["y"] = annotation
    with pytest.raises(TypeError, match=r"'f' has no schema: 'y: .*' has no form in JSON"):
        tool_schema(f).json_schema()


# Kinds of callables


class Shop:
    """A shop."""

    def buy(self, item: str, count: int = 1) -> str:
        """Buy something."""
        return f"{count} {item}"

    def __call__(self, item: str) -> str:
        """Buy one."""
        return item

    @classmethod
    def open(cls, door: int) -> None:
        """Open it."""

    @staticmethod
    def close(door: int) -> None:
        """Close it."""


async def fetch(url: str, key: str = "") -> str:
    """Fetch a page."""
    return url + key


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("function", "name", "description", "names"),
    [
        (Shop().buy, "buy", "Buy something.", ["item", "count"]),
        (Shop(), "Shop", "Buy one.", ["item"]),
        (Shop.open, "open", "Open it.", ["door"]),
        (Shop.close, "close", "Close it.", ["door"]),
        (fetch, "fetch", "Fetch a page.", ["url", "key"]),
        (logged(fetch), "fetch", "Fetch a page.", ["url", "key"]),
        (functools.partial(fetch, "x"), "fetch", "Fetch a page.", ["key"]),
        (functools.partial(fetch, key=SECRET), "fetch", "Fetch a page.", ["url"]),
        (functools.partial(Shop().buy, count=2), "buy", "Buy something.", ["item"]),
    ],
)
def test_callable_has_a_schema(
    function: Callable[..., Any], name: str, description: str, names: list[str]
):
    """Any callable is a tool; what a partial binds is not the model's to choose."""
    schema = tool_schema(function)
    assert (name, description) == (schema.name, schema.description)
    assert names == list(properties_of(function))
    assert SECRET not in str(schema.json_schema())
    given = {name: 1 if name in ("door", "count") else "1" for name in names}
    result = function(**schema.validate(given))
    if inspect.iscoroutine(result):
        asyncio.run(result)


def test_positional_parameters_are_bound():
    """A parameter that has a name only for the model is passed by position."""

    def f(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, ...]:
        return a, b, c, d

    schema = tool_schema(f)
    args, kwargs = schema.bind(schema.validate({"a": "1", "d": 5}))
    assert (args, kwargs) == ((1, 2), {"d": 5})
    assert f(*args, **kwargs) == (1, 2, 3, 5)


def test_function_with_nameless_parameters_is_no_tool():
    """*args and **kwargs say nothing to a model."""

    def f(*args: int) -> None: ...
    def g(**kwargs: int) -> None: ...

    for function in (f, g):
        with pytest.raises(TypeError, match=r"is no tool: .*a tool takes named parameters"):
            tool_schema(function)


def test_callable_without_a_signature_is_no_tool():
    """What tells nothing of its parameters has to be wrapped."""
    with pytest.raises(TypeError, match="'dict' is no tool: it has no signature"):
        tool_schema(dict)


def test_schema_is_made_once_for_a_function():
    """Asking again gives the same schema; a wrapper is another function."""
    assert tool_schema(search) is tool_schema(search)
    assert tool_schema(logged(search)) is not tool_schema(search)


def test_schema_keeps_no_function_alive():
    """A function that nobody else refers to is forgotten, with its schema."""

    def make() -> weakref.ref[Any]:
        def f(x: int) -> None: ...

        tool_schema(f).json_schema()
        return weakref.ref(f)

    gone = make()
    gc.collect()
    assert gone() is None


def test_callable_that_cannot_be_hashed_has_a_schema():
    """What cannot be a key is looked at anew."""

    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, x: int) -> None: ...

    assert isinstance(tool_schema(Odd()), ToolSchema)


# Wrong arguments


def test_error_tells_each_argument_and_what_is_taken():
    """One sentence an argument, then what the tool takes and what to do."""
    with pytest.raises(ToolArgumentsError) as caught:
        tool_schema(search).validate({"limit": SECRET, "exact": [SECRET], "colour": SECRET})
    assert str(caught.value) == (
        "The tool was not called: 'query' is missing; 'limit' should be a valid integer, "
        "unable to parse string as an integer; 'exact' should be a valid boolean; "
        "'colour' is no argument of it. "
        "Its arguments are 'query', 'limit', 'exact'. Correct them and try again."
    )
    assert isinstance(caught.value, ValueError)
    assert caught.value.names == ("query", "limit", "exact")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


def refuse(value: Any) -> Any:
    from pydantic_core import PydanticCustomError

    raise PydanticCustomError("mine", "not {it}", {"it": value})


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, SECRET, "'x' should be a valid integer, unable to parse string as an integer"),
        (Color, SECRET, "'x' should be 'red' or 'blue'"),
        (Literal["a"], SECRET, "'x' should be 'a'"),
        (UUID, SECRET, "'x' should be a valid UUID"),
        (date, SECRET, "'x' should be a valid date or datetime"),
        (Item, {"name": SECRET}, "'x.name' is refused by the check of its type"),
        (Item, {SECRET: 1}, "'x.name' is missing"),
        (list[Item], [{"name": ""}, {}], "'x.1.name' is missing"),
        (dict[str, int], {SECRET: "a"}, "'x' should be a valid integer"),
        (dict[int, int], {SECRET: 1}, "'x' should be a valid integer"),
        (dict[int, list[int]], {4711: [1, "a"]}, "'x.1' should be a valid integer"),
        (Pet, {"kind": SECRET}, "'x' needs one of 'cat', 'dog' as 'kind'"),
        (Annotated[str, pydantic.AfterValidator(refuse)], SECRET, "'x' is refused by the check"),
        (Annotated[str, Field(max_length=3)], SECRET, "'x' is wrong: String should have at most 3"),
        (Annotated[str, Field(pattern="^a$")], SECRET, "'x' is wrong: String should match"),
        (pydantic.HttpUrl, SECRET, "'x' should be a valid URL"),
        (pydantic.Json, SECRET, "'x' is wrong: Invalid JSON"),
        (Annotated[list[int], Field(max_length=1)], [1, 2], "'x' is wrong: List should have at"),
    ],
)
def test_error_repeats_no_value(annotation: Any, value: Any, expected: str):
    """Neither a value nor the key of a dict is told: either may be a secret."""

    def f(x: Any) -> None: ...

    f.__annotations__["x"] = annotation
    (problem, *rest) = problems_of(f, {"x": value})
    assert expected == problem[: len(expected)]
    assert rest == []
    assert SECRET not in problem


@pytest.mark.parametrize("arguments", [SECRET, None, [SECRET]])
def test_arguments_that_are_no_object_are_an_error(arguments: Any):
    """A model that sends something else than an object is told so."""
    assert problems_of(search, arguments) == ("its arguments are no object",)


def test_error_with_many_problems_is_cut():
    """A long list of wrong items makes no long message."""

    def f(x: list[int]) -> None: ...

    with pytest.raises(ToolArgumentsError, match=r"'x.9' should be .*; 90 more\. Its ") as caught:
        tool_schema(f).validate({"x": ["a"] * 100})
    assert len(caught.value.problems) == 100
