"""What stands in for the run's own objects: of the same class or name, with less in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

CUT: Final = "… [cut]"
"""Stands for what is too deep in a payload, or too far behind, to be copied."""

_ALIASES: Final = ("alias", "validation_alias", "serialization_alias")
_TYPE: Final = "type"
_BODIES: Final = ("content", "page_content", "text")


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return the fields of a dataclass's or a pydantic model's instance; None of anything else."""
    kind = type(value)
    if is_model(kind):
        own = vars(value)
        return {name: own[name] for name in kind.model_fields if name in own}
    if dataclasses.is_dataclass(kind):
        names = (field.name for field in dataclasses.fields(kind))
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    return None


@lru_cache(maxsize=256)
def aliases_of(kind: Any) -> Mapping[str, tuple[str, ...]]:
    """Return the other names of the fields of a dataclass or a pydantic model, by field."""
    found: dict[str, list[Any]] = {}
    for name, field in getattr(kind, "model_fields", {}).items() if is_model(kind) else ():
        stated = [getattr(field, each, None) for each in _ALIASES]
        choices = [each for one in stated for each in getattr(one, "choices", (one,))]
        found[name] = [getattr(each, "path", (each,))[-1] for each in choices]
    for field in dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ():
        found[field.name] = [field.metadata.get(each) for each in ("alias", "data_key", "name")]
        found[field.name] += [getattr(field.default, each, None) for each in _ALIASES]
    texts = {
        name: tuple(each for each in some if type(each) is str) for name, some in found.items()
    }
    return {name: some for name, some in texts.items() if some}


def rebuilt(value: Any, fields: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> Any:
    """Return another object of the class of *value*, with these fields and nothing else of it.

    Neither ``__init__`` nor a validator is called: they might refuse what is masked.
    """
    kind = type(value)
    if not is_model(kind):
        new = object.__new__(kind)
        for name, each in fields.items():
            object.__setattr__(new, name, each)
        return new
    new = value.model_copy()
    if new is value or type(new) is not kind:
        raise TypeError(f"model_copy() of {kind.__qualname__} gave no other object of its class.")
    # A model's __dict__ also holds its cached properties, and the set has the names of the extra.
    object.__setattr__(new, "__dict__", dict(fields))
    object.__setattr__(new, "__pydantic_extra__", None if extra is None else dict(extra))
    object.__setattr__(new, "__pydantic_private__", value.__pydantic_private__ and {})
    object.__setattr__(new, "__pydantic_fields_set__", new.model_fields_set & fields.keys())
    return new


def emptied(value: Any, **kept: Any) -> Any:
    """Return an object of the class of *value* whose fields are empty but for those of *kept*.

    None where it is neither a dataclass nor a pydantic model.
    """
    fields = fields_of(value)
    if fields is None:
        return None
    empty = {name: _empty(each) for name, each in fields.items() if name != _TYPE}
    # A model's `type` says of which class it is: so does the class.
    own = {_TYPE: fields[_TYPE]} if isinstance(fields.get(_TYPE), str) else {}
    return rebuilt(value, {**empty, **own, **{n: v for n, v in kept.items() if n in fields}})


def _empty(value: Any) -> Any:
    for kind in (str, list, dict, tuple):
        if issubclass(type(value), kind):
            return kind()
    return None


def cut_off(copies: list[Any], length: int) -> list[Any]:
    """Return *copies*, and say at their end of how many they are the first.

    Who reads messages, or documents, need not expect a text among them: it is said in one.
    """
    if len(copies) < length:
        cut = f"… [cut, {length} items]"
        like = emptied(copies[-1], **dict.fromkeys(_BODIES, cut)) if copies else None
        copies.append(cut if like is None else like)
    return copies


def is_model(kind: type) -> bool:
    """Tell whether *kind* is a class of pydantic models, by what it has: nothing is imported."""
    return hasattr(kind, "model_copy") and isinstance(getattr(kind, "model_fields", None), dict)


def stand_in(error: BaseException, text: str) -> Exception:
    """Return an exception that shows the class name of *error* and *text*, and holds no more.

    It has no cause, no traceback and no attributes. Where *error* is one of Python's own
    exceptions, or of a class derived from one, so is the stand-in; it never is an interrupt.
    """
    kind = type(error)
    base = next((each for each in kind.__mro__ if each in _BASES), Exception)
    return _stand_in_class(kind.__module__, kind.__qualname__, kind.__name__, base)(
        *([text] if text else ())
    )


# Those that are made from a text, and mean nothing to the interpreter.
_BASES: Final = frozenset(
    {ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, ImportError}
    | {IndexError, KeyError, LookupError, MemoryError, NameError, NotImplementedError, OSError}
    | {BlockingIOError, BrokenPipeError, ConnectionError, ConnectionAbortedError}
    | {ConnectionRefusedError, ConnectionResetError, FileExistsError, FileNotFoundError}
    | {InterruptedError, IsADirectoryError, NotADirectoryError, PermissionError, TimeoutError}
    | {ModuleNotFoundError, OverflowError, RecursionError, RuntimeError, TypeError, ValueError}
    | {ZeroDivisionError}
)


@lru_cache(maxsize=256)
def _stand_in_class(
    module: str, qualname: str, name: str, base: type[Exception]
) -> type[Exception]:
    def text(error: BaseException) -> str:
        return str(error.args[0]) if error.args else ""

    members = {"__module__": module, "__qualname__": qualname, "__str__": text}
    return type(name, (base,), members)
