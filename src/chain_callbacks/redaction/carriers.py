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
LONGEST_NAME: Final = 48
"""Characters of what can be the name of a credential; what is longer says more."""

# A user's name and password, as one argument.
_LOGIN: Final = "password"
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
    last = words_of(key[:LONGEST_NAME])[-1:]
    if not last:
        return None
    return "name" if last[0] in _NAMING else "value" if last[0] in _VALUING else None


def names_secret(name: Any, hides: Hides) -> bool:
    """Tell whether *name*, of whatever type, is the name of something that *hides* hides."""
    return type(name) is str and len(name) <= LONGEST_NAME and hides(name)


def may_name(key: str) -> bool:
    """Tell whether what a record has under *key* may say what its value is."""
    return key == "type" or role_of(key) == "name"


def is_name_of_secret(key: str, value: Any, hides: Hides) -> bool:
    """Tell whether a record with *value* under *key* is that of a secret."""
    if key == "type":
        return bool(value == "password")
    return role_of(key) == "name" and names_secret(value, hides)


def keys_of_record(fields: Iterable[tuple[Any, Any]], hides: Hides) -> Mapping[Any, str]:
    """Return what the values of a record stand under, where another field of it says so.

    In ``{"name": "Authorization", "value": "x"}`` that is ``{"value": "Authorization"}``.
    """
    values = []
    found = None
    is_of_a_model = False
    for key, value in fields:
        if type(key) is not str:
            continue
        if role_of(key) == "value":
            values.append(key)
        elif found is None and is_name_of_secret(key, value, hides):
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
        is_secret = names_secret(items[0], hides) and not _are_names(items, hides)
        return {1: items[0]} if is_secret else {}
    if any(type(each) is not str for each in items):
        return {}
    return _keys_of_arguments(items, hides) or (
        _keys_of_headers(items, hides) if length % 2 == 0 else {}
    )


def _are_names(pair: Sequence[Any], hides: Hides) -> bool:
    """Tell whether both of a pair name something: two credentials, or two classes."""
    if type(pair[1]) is not str or _patterns().name.fullmatch(pair[1]) is None:
        return False
    return names_secret(pair[1], hides) or all(map(_patterns().type.fullmatch, pair))


def _keys_of_arguments(items: Sequence[str], hides: Hides) -> dict[int, str]:
    found = {}
    is_curl = items[0].endswith("curl")
    for place, (option, value) in enumerate(pairwise(items), start=1):
        if is_curl and option in ("-u", "--user") and ":" in value:
            found[place] = _LOGIN
        name = _patterns().option.fullmatch(option)
        if name is not None and not value.startswith("-") and names_secret(name[1], hides):
            found[place] = name[1]
    return found


def _keys_of_headers(items: Sequence[str], hides: Hides) -> dict[int, str]:
    names = items[::2]
    patterns = _patterns()
    # A list of names, such as those of columns, has nothing but names in it.
    if all(map(patterns.name.fullmatch, items)) or not all(map(patterns.header.fullmatch, names)):
        return {}
    pairs = enumerate(zip(names, items[1::2], strict=False))
    return {
        2 * n + 1: name
        for n, (name, value) in pairs
        if names_secret(name, hides) and patterns.name.fullmatch(value) is None
    }


class _Patterns:
    def __init__(self) -> None:
        self.name = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,80}")
        self.type = re.compile(r"[A-Z][a-z]{1,40}(?:[A-Z][a-z]{0,40}){1,12}")
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
