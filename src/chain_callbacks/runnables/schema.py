"""What a tool takes: a function's signature and docstring as a JSON schema, and as a check.

Pydantic does the work and is imported when a schema or a check is first asked for.
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Optional
from weakref import WeakKeyDictionary

from ..attributes import once
from ..errors import ChainCallbacksError, Statement, leaf, quoted
from ..forks import no_fork

INJECTED: Final = frozenset({"callbacks", "config", "run", "run_manager"})
MOST_PROBLEMS: Final = 10

# Keys of a JSON schema below which the keys are names, or the values are data.
_NAMES: Final = frozenset({"$defs", "patternProperties", "properties"})
_DATA: Final = frozenset({"const", "default", "enum", "examples", "required"})

# What pydantic puts into a message of the value that it refuses.
_TELLTALE: Final = frozenset({"attribute", "encoding_error", "error", "tag", "tz_actual"})


@leaf
class ToolArgumentsError(ChainCallbacksError, ValueError):
    """A tool was called with arguments that it does not take.

    The message is meant for the model that made them. Neither it nor *problems* (a sentence for
    each, of which the message has the first ten) holds a value of the call: it may be a secret.
    """

    problems: tuple[str, ...]
    names: tuple[str, ...]

    def _state(self) -> Statement:
        said = list(self.problems[:MOST_PROBLEMS])
        if len(self.problems) > MOST_PROBLEMS:
            said.append(f"{len(self.problems) - MOST_PROBLEMS} more")
        takes = f"Its arguments are {quoted(self.names)}" if self.names else "It takes no arguments"
        return Statement(
            "The tool was not called",
            "; ".join(said),
            f"{takes}. Correct them and try again.",
        )


class ToolSchema:
    """What a function takes when it is called as a tool; made by ``tool_schema``.

    *description* is the first paragraph of the docstring. *injected* are the parameters that the
    framework fills in, which a model is not shown.
    """

    def __init__(
        self,
        *,
        name: str,
        docstring: str,
        parameters: Sequence[inspect.Parameter],
        namespaces: tuple[dict[str, Any], dict[str, Any]],
    ) -> None:
        self.name = name
        self.description = _first_paragraph(docstring)
        self.injected = frozenset(p.name for p in parameters if p.name in INJECTED)
        self._docstring = docstring
        self._parameters = tuple(parameters)
        self._namespaces = namespaces
        self._taken = tuple(p for p in parameters if p.name not in INJECTED)

    def __repr__(self) -> str:
        return f"ToolSchema(name={self.name!r}, parameters={[p.name for p in self._taken]!r})"

    @once
    def _model(self) -> Any:
        """A pydantic model with a numbered field for each parameter, its alias the true name.

        A parameter may bear a name that pydantic keeps for itself, such as ``json``.
        """
        with no_fork():  # Pydantic imports its parts when they are first used.
            return self._made_model()

    def _made_model(self) -> Any:
        from pydantic import ConfigDict, create_model
        from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

        described = _described_arguments(self._docstring)
        wanted = {
            f"argument_{position}": self._field(parameter, described.get(parameter.name))
            for position, parameter in enumerate(self._taken)
        }
        try:
            return create_model(
                "Arguments", __config__=ConfigDict(extra="forbid"), **typing.cast("Any", wanted)
            )
        except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as error:
            raise self._no_json_form() from error

    def _field(self, parameter: inspect.Parameter, described: str | None) -> tuple[Any, Any]:
        from pydantic import Field
        from pydantic.fields import FieldInfo

        annotation = self._annotation_of(parameter)
        default = parameter.default
        metadata = getattr(annotation, "__metadata__", ())
        if isinstance(default, FieldInfo):
            metadata = (*metadata, default)
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        if default is None and annotation is not Any:
            # A model says null for what it leaves out, whether the annotation allows it or not.
            annotation = Optional[annotation]  # noqa: UP045 - this is no annotation itself
        for data in metadata:
            annotation = Annotated[annotation, data]
        options: dict[str, Any] = {"alias": parameter.name}
        if not any(isinstance(data, FieldInfo) and data.description for data in metadata):
            texts = [data for data in metadata if isinstance(data, str)]
            options["description"] = texts[0] if texts else described
        if not isinstance(default, FieldInfo) and default is not parameter.empty:
            options["default"] = default
        return annotation, Field(**options)

    def _annotation_of(self, parameter: inspect.Parameter) -> Any:
        if parameter.annotation is parameter.empty:
            return Any
        # One at a time: what the framework fills in is often imported for type checkers only.
        holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
        outer, local = self._namespaces
        try:
            hints = typing.get_type_hints(holder, outer, local, include_extras=True)
        except (NameError, SyntaxError, TypeError, AttributeError) as error:
            raise TypeError(
                f"The tool {self.name!r} has no schema: the annotation of {parameter.name!r} "
                f"cannot be read ({error}). Import or define what it names where the function is."
            ) from error
        return hints[parameter.name]

    def _no_json_form(self) -> TypeError:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        for parameter in self._taken:
            try:
                TypeAdapter(self._annotation_of(parameter)).json_schema()
            except PydanticUserError:
                shown = str(parameter.replace(default=parameter.empty))
                return TypeError(
                    f"The tool {self.name!r} has no schema: {shown!r} has no form in JSON. "
                    "Annotate it with a type that has one, or bind it with functools.partial."
                )
        return TypeError(f"The tool {self.name!r} has no schema: its types have no form in JSON.")

    @once
    def _json_schema(self) -> dict[str, Any]:
        with no_fork():
            from pydantic.errors import PydanticInvalidForJsonSchema
            from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

        class Quiet(GenerateJsonSchema):
            ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - as in its base
                "non-serializable-default",
                "skipped-choice",
            }

        try:
            schema = self._model.model_json_schema(schema_generator=Quiet)
        except PydanticInvalidForJsonSchema as error:
            raise self._no_json_form() from error
        return {"type": "object", "properties": {}, **_without_titles(schema)}

    def json_schema(self) -> dict[str, Any]:
        """Return the ``parameters`` object that models are given; the caller may change it.

        Raises:
            TypeError: An annotation cannot be read, or has no form in JSON.
        """
        return copy.deepcopy(self._json_schema)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return *arguments* as the function wants them: those that were given, coerced.

        Raises:
            ToolArgumentsError: One is missing, unknown or wrong.
            TypeError: An annotation cannot be read.
        """
        model = self._model
        from pydantic import ValidationError
        from pydantic.fields import FieldInfo

        checked: Any = None
        problems: list[str] = []
        if not isinstance(arguments, Mapping):
            problems.append("its arguments are no object")
        else:
            try:
                checked = model.model_validate(dict(arguments))
            except ValidationError as error:
                names = frozenset(_property_names(self._json_schema))
                errors = error.errors(include_url=False, include_input=False)
                problems += _problems(errors, arguments, names)
        if problems:
            # Not in the `except` block: the other error holds the values.
            taken = tuple(parameter.name for parameter in self._taken)
            raise ToolArgumentsError(problems=tuple(problems), names=taken)
        given = checked.model_fields_set
        return {
            parameter.name: getattr(checked, field)
            for field, parameter in zip(type(checked).model_fields, self._taken, strict=True)
            # The function itself knows any other default.
            if field in given or isinstance(parameter.default, FieldInfo)
        }

    def bind(self, keywords: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return *keywords* as the positional and the keyword arguments of a call."""
        rest = dict(keywords)
        first = [p for p in self._parameters if p.kind is p.POSITIONAL_ONLY]
        return tuple(rest.pop(p.name, p.default) for p in first), rest


_schemas: WeakKeyDictionary[Any, ToolSchema] = WeakKeyDictionary()


def tool_schema(function: Callable[..., Any]) -> ToolSchema:
    """Return what *function* takes as a tool; one object for each function.

    Annotations are read, and pydantic is imported, when the schema or a check is first asked for.

    Raises:
        TypeError: *function* takes ``*args`` or ``**kwargs``, or has no signature.
    """
    try:
        known = _schemas.get(function)
    except TypeError:  # It cannot be hashed, or not be referred to weakly.
        return _make_schema(function)
    return known or _schemas.setdefault(function, _make_schema(function))


def _make_schema(function: Callable[..., Any]) -> ToolSchema:
    source: Any = function
    bound: set[str] = set()
    while isinstance(source, functools.partial):
        bound |= source.keywords.keys()
        source = source.func
    name = getattr(function, "__name__", None) or getattr(source, "__name__", None)
    name = name or type(source).__name__
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise TypeError(
            f"{name!r} is no tool: it has no signature. Wrap it in a function that has one."
        ) from error
    # What a partial binds by keyword stays in its signature, but is not the model's to choose.
    parameters = [p for p in signature.parameters.values() if p.name not in bound]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"{name!r} is no tool: it has the parameter '{parameter}', and a tool takes named "
                "parameters. Write each of them out."
            )
    return ToolSchema(
        name=name,
        docstring=_docstring_of(function, source),
        parameters=parameters,
        namespaces=_namespaces_of(source, parameters),
    )


def _docstring_of(function: Any, source: Any) -> str:
    own = vars(function).get("__doc__") if isinstance(function, functools.partial) else None
    if own is None and not inspect.isroutine(source) and not inspect.isclass(source):
        own = inspect.getdoc(type(source).__call__)
    return inspect.cleandoc(own or inspect.getdoc(source) or "")


def _namespaces_of(
    source: Any, parameters: Iterable[inspect.Parameter]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the globals of the function and those of its locals that annotations may name."""
    if not inspect.isroutine(source):
        source = source.__init__ if inspect.isclass(source) else type(source).__call__
    plain = inspect.unwrap(getattr(source, "__func__", source))
    code = getattr(plain, "__code__", None)
    texts = [str(p.annotation) for p in parameters if not isinstance(p.annotation, type)]
    wanted = set(re.findall(r"[^\W\d]\w*", " ".join(texts)))
    local = {}
    if wanted and code is not None and "<locals>" in plain.__qualname__:
        local = {**_locals_around(code, wanted), **_closure_of(plain, wanted)}
    return getattr(plain, "__globals__", {}), local


def _closure_of(function: Any, wanted: set[str]) -> dict[str, Any]:
    names = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = {}
    for name, cell in names:
        if name in wanted:
            try:
                found[name] = cell.cell_contents
            except ValueError:  # It is assigned later on.
                continue
    return found


def _locals_around(code: types.CodeType, wanted: set[str]) -> dict[str, Any]:
    """Return what the functions that define *code*, and are running now, know as *wanted*."""
    found: dict[str, Any] = {}
    frame = inspect.currentframe()
    while frame is not None:
        if any(constant is code for constant in frame.f_code.co_consts):
            seen = frame.f_locals
            found = {**{name: seen[name] for name in wanted if name in seen}, **found}
            code = frame.f_code
        frame = frame.f_back
    return found


_SECTION: Final = re.compile(r"(?m:^)(?:Args|Arguments|Parameters):[ \t]*((?:\n[ \t]+.*|\n)+)")
_ARGUMENT: Final = re.compile(r"(\w+)\s*(?:\(.*?\))?\s*:\s*(.*)")


def _first_paragraph(docstring: str) -> str:
    before_arguments = _SECTION.split(docstring, maxsplit=1)[0]
    return " ".join(re.split(r"\n\s*\n", before_arguments, maxsplit=1)[0].split())


def _described_arguments(docstring: str) -> dict[str, str]:
    """Return the descriptions that a Google-style section has, by argument."""
    section = _SECTION.search(docstring)
    described: dict[str, str] = {}
    name = None
    for line in textwrap.dedent(section[1]).splitlines() if section else ():
        entry = _ARGUMENT.match(line)
        if entry is not None:
            name, described[entry[1]] = entry[1], entry[2].strip()
        elif name is not None:
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for key, value in schema.items():
        if key in _NAMES:
            found[key] = {name: _without_titles(inner) for name, inner in value.items()}
        elif key != "title":
            found[key] = value if key in _DATA else _without_titles(value)
    return found


def _property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        names = schema.get("properties")
        yield from names if isinstance(names, dict) else ()
    if isinstance(schema, dict | list):
        for value in schema.values() if isinstance(schema, dict) else schema:
            yield from _property_names(value)


def _problems(
    errors: Iterable[Mapping[str, Any]], arguments: Any, names: frozenset[str]
) -> list[str]:
    """Return a sentence for each of pydantic's errors that tells no value."""
    said = []
    for error in errors:
        where, kind = error["loc"], error["type"]
        if kind == "extra_forbidden" and len(where) == 1:
            said.append(f"{str(where[0])[:100]!r} is no argument of it")
            continue
        path = ".".join(_path(where, arguments, names))
        said.append(
            f"{path!r} {_complaint(kind, error)}" if path else f"one {_complaint(kind, error)}"
        )
    return list(dict.fromkeys(said))


def _path(where: Sequence[int | str], value: Any, names: frozenset[str]) -> Iterator[str]:
    """Yield the steps to a wrong value: positions and names of the schema.

    The key of a dict is as much the caller's as a value is, and pydantic adds steps of its own.
    """
    for step in where:
        is_position = _is_position(step, value)
        if is_position or step in names:
            yield str(step)
        if is_position or (isinstance(value, Mapping) and step in value):
            value = value[step]


def _is_position(step: int | str, value: Any) -> bool:
    return isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)


def _complaint(kind: str, error: Mapping[str, Any]) -> str:
    from pydantic_core.core_schema import ErrorType

    context = error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "union_tag_invalid":
        return f"needs one of {context['expected_tags']} as {context['discriminator']}"
    if kind not in typing.get_args(ErrorType) or kind in ("value_error", "assertion_error"):
        return "is refused by the check of its type"
    message = str(error["msg"])
    if _TELLTALE & context.keys():
        message = re.split(r", |: ", message)[0]
    complaint = message.removeprefix("Input ")
    return complaint if complaint != message else f"is wrong: {message}"
