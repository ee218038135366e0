"""What a value stands under, beside a mapping's key: in a record, a pair, headers, arguments.

The rules are for payloads and for texts: both ask them what stands under which key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal

from .keys import words_of

Hides = Callable[[str], bool]

# `{"name": "Authorization", "value": ...}`, `{"ParameterKey": ..., "ParameterValue": ...}`.
_NAMING: Final = frozenset(
    {"attribute", "field", "header", "id", "k", "key", "label", "name", "option", "param"}
    | {"parameter", "property", "setting", "title", "var", "variable"}
)
_VALUING: Final = frozenset({"v", "val", "value", "values"})
_LONGEST_NAME: Final = 64

_JSON_TYPES: Final = frozenset(
    {"array", "boolean", "integer", "null", "number", "object", "string"}
    # Of an API's way to authenticate, in OpenAPI.
    | {"apikey", "http", "oauth2", "openidconnect", "mutualtls"}
)
_SCHEMA_ROOTS: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "properties", "enum", "const"})
SCHEMA_VALUES: Final = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords under which a schema has values of what it describes."""
_SCHEMA_WORDS: Final = (
    frozenset(
        """
    $anchor $comment $defs $id $ref $schema additionalProperties allOf anyOf bearerFormat
    contentEncoding contentMediaType definitions dependentRequired deprecated description
    discriminator else exclusiveMaximum exclusiveMinimum externalDocs flows format if in items
    maxItems maxLength maxProperties maximum minItems minLength minProperties minimum multipleOf
    name not nullable oneOf openIdConnectUrl pattern patternProperties prefixItems properties
    propertyNames readOnly required schema scheme strict then title type unevaluatedProperties
    uniqueItems writeOnly xml
    """.split()  # noqa: SIM905  One word a line would be a page.
    )
    | SCHEMA_VALUES
)


@lru_cache(maxsize=2048)
def role_of(key: str) -> Literal["name", "value"] | None:
    """Tell whether a field of a record that is called *key* has the record's name, or its value."""
    last = words_of(key[:_LONGEST_NAME])[-1:]
    if not last:
        return None
    return "name" if last[0] in _NAMING else "value" if last[0] in _VALUING else None


def is_name_of_secret(value: Any, hides: Hides) -> bool:
    """Tell whether *value*, which names something, names what is hidden."""
    return type(value) is str and len(value) <= _LONGEST_NAME and hides(value)


def keys_of_record(fields: Iterable[tuple[Any, Any]], hides: Hides) -> Mapping[Any, str]:
    """Return what the values of a record stand under, where another field of it says so.

    In ``{"name": "Authorization", "value": "x"}`` that is ``{"value": "Authorization"}``.
    """
    values = []
    found = None
    is_of_a_model = False
    for key, value in fields:
        role = role_of(key) if type(key) is str else None
        if role == "value":
            values.append(key)
        elif role == "name" and found is None and is_name_of_secret(value, hides):
            found = value
        elif key == "logprob":
            is_of_a_model = True
    if is_of_a_model:
        return {"token": "text"}  # How likely a model's token was.
    return {} if found is None else dict.fromkeys(values, found)


def keys_of_items(items: Sequence[Any], length: int, hides: Hides) -> Mapping[int, str]:
    """Return what items of a list stand under, by their places, where others say so.

    *items* are the first of *length*. In ``["--token", "x"]``, ``["Authorization", "x"]`` and
    ``["Host", "x", "Authorization", "y"]`` the key of the last item stands before it.
    """
    if len(items) < 2 or type(items[0]) is not str:
        return {}
    if length == 2 and not items[0].startswith("-"):
        is_secret = is_name_of_secret(items[0], hides) and not _is_name_too(items[1], hides)
        return {1: items[0]} if is_secret else {}
    if any(type(each) is not str for each in items):
        return {}
    return _keys_of_arguments(items, hides) or (
        _keys_of_headers(items, hides) if length % 2 == 0 else {}
    )


def _is_name_too(value: Any, hides: Hides) -> bool:
    return is_name_of_secret(value, hides) and _patterns().name.fullmatch(value) is not None


def _keys_of_arguments(items: Sequence[str], hides: Hides) -> dict[int, str]:
    found = {}
    for place, (option, value) in enumerate(pairwise(items), start=1):
        name = _patterns().option.fullmatch(option)
        if name is not None and not value.startswith("-") and is_name_of_secret(name[1], hides):
            found[place] = name[1]
    return found


def _keys_of_headers(items: Sequence[str], hides: Hides) -> dict[int, str]:
    names = items[::2]
    patterns = _patterns()
    # A list of names, such as those of columns, has nothing but names in it.
    if all(map(patterns.name.fullmatch, items)) or not all(map(patterns.header.fullmatch, names)):
        return {}
    return {2 * n + 1: name for n, name in enumerate(names) if is_name_of_secret(name, hides)}


class _Patterns:
    def __init__(self) -> None:
        self.name = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,40}")
        self.header = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")
        self.option = re.compile(r"--?([A-Za-z][\w-]{0,60})")


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


def is_schema(value: Any) -> bool:
    """Tell whether *value* describes other values, as JSON Schema does, and is none."""
    if type(value) is not dict or not value:
        return False
    if not all(type(key) is str and (key in _SCHEMA_WORDS or key[:2] == "x-") for key in value):
        return False
    kinds = value.get("type")
    kinds = kinds if type(kinds) is list and kinds else [kinds]
    if all(type(kind) is str and kind.lower() in _JSON_TYPES for kind in kinds):
        return True
    return kinds == [None] and not _SCHEMA_ROOTS.isdisjoint(value)
