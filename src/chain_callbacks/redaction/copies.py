"""Copies of payloads for those who must not see, or change, the run's own: cut, then redacted.

What a copy costs is bounded whatever it is a copy of: nothing is copied, scanned or counted that
is not shown. Types are told by what a class is, never by what an object says of itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from itertools import islice
from pathlib import PurePath
from types import NoneType
from typing import Any, Final
from uuid import UUID

from .carriers import SCHEMA_VALUES, is_schema, keys_of_items, keys_of_record
from .objects import CUT, aliases_of, cut_off, fields_of, is_model, rebuilt, stand_in
from .placeholders import MASK
from .redactor import Redactor, hides_number
from .sizes import shallow_size

DEPTH: Final = 16
"""How many containers and objects deep a copy goes."""
ITEMS: Final = 200
"""How many items of one container are copied."""
NODES: Final = 5_000
"""How many values a copy has in all."""
TEXT: Final = 20_000
"""How many characters of one text are scanned."""
CHARACTERS: Final = 200_000
"""How many characters of all texts together are scanned."""

# At the end of what was scanned may stand a secret that the cut went through.
_MARGIN: Final = 256

_PLAIN: Final = frozenset(
    {NoneType, bool, int, float, complex, range, UUID, datetime, date, time, timedelta, timezone}
)
_PLAIN_SIZE: Final = 32
# Most of a payload is made of these: they are not asked what else they may be.
_CONTAINERS: Final = frozenset({dict, list, tuple, set, frozenset})
# Known by name: whoever has one has paid for the import.
_PLAIN_BY_NAME: Final = frozenset({("decimal", "Decimal"), ("fractions", "Fraction")})
_SECRETS: Final = frozenset({"Secret", "SecretBytes", "SecretStr"})
# A model's answer may be large; what it used is told all the same.
_USAGE: Final = frozenset({"llm_output", "response_metadata", "token_usage", "usage_metadata"})
_RESERVE: Final = 100
# What a schema gives, as an example or by default, may be a secret if it is one of these.
_GIVEN: Final = (str, list, dict)


class Copier:
    """Makes one redacted copy; the parts of one event share one, and so its bounds.

    *size* is the bytes that the copies keep, roughly.
    """

    def __init__(self, redactor: Redactor, *, nodes: int = NODES) -> None:
        self.size = 0
        self._redactor = redactor
        self._has_reserve = nodes == NODES
        self._nodes = nodes
        self._characters = CHARACTERS
        self._path: set[int] = set()

    def copy(self, value: Any) -> Any:
        """Return *value* with secrets masked, sharing nothing with it that can be changed.

        Raises:
            BaseException: Whatever the redactor, or code of the payload, raises.
        """
        kind = type(value)
        self._nodes -= 1
        if kind is str:
            return self.text(value)
        if kind in _PLAIN:
            self.size += _PLAIN_SIZE
            return value
        if kind not in _CONTAINERS:
            if (kind.__module__, kind.__qualname__) in _PLAIN_BY_NAME:
                return value
            if issubclass(kind, str) and not issubclass(kind, Enum):
                return self.text(value)
            if not _SECRETS.isdisjoint(base.__name__ for base in kind.__mro__):
                return MASK
            if issubclass(kind, Enum | PurePath):
                return self._named(value)
        if id(value) in self._path:
            return "[cycle]"
        if self._nodes < 0 or len(self._path) >= DEPTH:
            return CUT
        self._path.add(id(value))
        try:
            made = self._copy(value, kind)
        finally:
            self._path.discard(id(value))
        self.size += shallow_size(made)
        return made

    def text(self, value: str) -> str:
        """Return a text cut to size, with its length said, and redacted."""
        length = str.__len__(value)
        limit = min(TEXT, self._characters)
        if length <= limit:
            self._characters -= length
            return self._redact(str.__str__(value))
        self._characters -= limit
        start = ""
        if limit > 2 * _MARGIN:
            start = self._redact(str.__getitem__(value, slice(limit)))[:-_MARGIN]
        return f"{start}… [cut, {length} characters]"

    def error(self, error: BaseException) -> Exception:
        """Return a stand-in for *error* with its text redacted."""
        if type(error).__str__ not in _PLAIN_TEXTS:
            return stand_in(error, self.text(str(error)))
        # Its arguments may be large, and say what they are by their keys.
        arguments = self.copy(error.args)
        if len(arguments) == 1:
            show = repr if isinstance(error, KeyError) else str
            return stand_in(error, show(arguments[0]))
        return stand_in(error, str(arguments or ""))

    def _redact(self, text: str) -> str:
        redacted = self._redactor.redact(text)
        if type(redacted) is not str:
            raise TypeError("A redactor's redact() returned something else than a text.")
        self.size += str.__sizeof__(redacted)
        return redacted

    def _named(self, value: Enum | PurePath) -> Any:
        # Neither can be changed: they pass unless there is something to hide.
        inner = value.value if isinstance(value, Enum) else str(value)
        if not isinstance(inner, str):
            return value if type(inner) in _PLAIN else _withheld(type(value))
        text = self.text(inner)
        is_own = isinstance(value, Enum) or type(value).__module__.startswith("pathlib")
        return value if is_own and text == inner else text

    def _copy(self, value: Any, kind: Any) -> Any:
        if kind is dict:
            return self._mapping(value)
        if kind not in _CONTAINERS:
            if issubclass(kind, BaseException):
                return self.error(value)
            if issubclass(kind, dict | Mapping):
                return self._mapping(value)
        if issubclass(kind, list):
            return self._items(list.__getitem__(value, slice(ITEMS)), list.__len__(value))
        if issubclass(kind, tuple):
            return self._tuple(value, kind)
        if issubclass(kind, set | frozenset):
            return self._set(value, kind)
        if issubclass(kind, deque):
            return self._items(list(islice(value, ITEMS)), len(value))
        fields = fields_of(value)
        if fields is None:
            return _withheld(kind)
        extra = getattr(value, "__pydantic_extra__", None) if is_model(kind) else None
        return rebuilt(
            value,
            self._fields(fields, aliases_of(kind)),
            None if extra is None else self._mapping(extra),
        )

    def _value(self, key: str, value: Any) -> Any:
        """Return a copy of what stands under *key*; a switch, or nothing at all, is no secret."""
        if value is None or value is True or value is False or not self._hides(key, value):
            if self._nodes <= 0 and self._has_reserve and key in _USAGE:
                reserve = Copier(self._redactor, nodes=_RESERVE)
                kept = reserve.copy(value)
                self.size += reserve.size
                return kept
            return self.copy(value)
        if is_schema(value):
            return self._schema(value)
        self._nodes -= 1
        return MASK

    def _hides(self, key: str, value: Any) -> bool:
        is_number = _is_number(value) or (
            type(value) in (list, tuple) and value and all(map(_is_number, value[:ITEMS]))
        )
        return hides_number(self._redactor, key) if is_number else self._redactor.hides(key)

    def _schema(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of a schema of what is hidden, without the values that it gives."""
        return {
            key: MASK if each and key in SCHEMA_VALUES and type(each) in _GIVEN else self.copy(each)
            for key, each in value.items()
        }

    def _mapping(self, value: Mapping[Any, Any]) -> dict[Any, Any]:
        pairs = list(islice(value.items(), ITEMS))
        keys = keys_of_record(pairs, self._redactor.hides)
        copy: dict[Any, Any] = {}
        for key, each in pairs:
            if self._nodes <= 0:
                break
            name = self._key(key)
            if name in copy:
                name = f"{name} ({len(copy)})"
            text = keys.get(key) or _text_of(key)
            if text is None:
                copy[name] = self.copy(each)
            elif key == "required" and type(each) is list:
                # The names of a schema's fields, two of which are no pair.
                copy[name] = self._items(each[:ITEMS], len(each), {})
            else:
                copy[name] = self._value(text, each)
        if len(copy) < len(value):
            copy["…"] = f"[cut, {len(value)} items]"
        return copy

    def _fields(
        self, fields: Mapping[str, Any], aliases: Mapping[str, Sequence[str]]
    ) -> dict[str, Any]:
        hides = self._redactor.hides
        keys = dict(keys_of_record(fields.items(), hides))
        for name in aliases.keys() & fields.keys() - keys.keys():
            keys[name] = next(filter(hides, aliases[name]), name)
        return {name: self._value(keys.get(name, name), each) for name, each in fields.items()}

    def _key(self, key: Any) -> Any:
        copy = self.copy(key)
        if type(copy) is str:
            return copy
        try:
            hash(copy)
        except TypeError:
            return _withheld(type(key))
        return copy

    def _items(
        self, values: Sequence[Any], length: int, keys: Mapping[int, str] | None = None
    ) -> list[Any]:
        if keys is None:
            keys = keys_of_items(values, length, self._redactor.hides)
        copies: list[Any] = []
        for place, value in enumerate(values):
            if self._nodes <= 0:
                break
            copies.append(self._value(keys[place], value) if place in keys else self.copy(value))
        return cut_off(copies, length)

    def _tuple(self, value: tuple[Any, ...], kind: Any) -> tuple[Any, ...]:
        values = tuple.__getitem__(value, slice(ITEMS))
        length = tuple.__len__(value)
        names = getattr(kind, "_fields", None)
        if isinstance(names, tuple) and len(names) == length == len(values):
            fields = self._fields(dict(zip(names, values, strict=True)), {})
            return tuple.__new__(kind, fields.values())
        return tuple(self._items(values, length))

    def _set(self, value: Any, kind: type) -> Any:
        copies = self._items(list(islice(value, ITEMS)), len(value), {})
        try:
            return frozenset(copies) if issubclass(kind, frozenset) else set(copies)
        except TypeError:
            return copies


def _text_of(key: Any) -> str | None:
    """Return what *key* says: of several words in a row the last one."""
    kind = type(key)
    if issubclass(kind, str):
        return str.__str__(key)
    if issubclass(kind, bytes):
        return bytes.decode(key, "latin-1")
    if kind is tuple and key:
        return _text_of(key[-1])
    return _text_of(key.value) if issubclass(kind, Enum) else None


def _is_number(value: Any) -> bool:
    return issubclass(type(value), int | float)


_PLAIN_TEXTS: Final = (BaseException.__str__, KeyError.__str__)


def _withheld(kind: type) -> str:
    return f"[withheld: {kind.__module__}.{kind.__qualname__}]"
