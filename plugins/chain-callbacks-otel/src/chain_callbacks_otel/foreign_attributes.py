"""Reading the attributes of a span that somebody else made: JSON in texts, lists in flat keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


DETAILS: Final = "gen_ai.client.inference.operation.details"
"""The event that holds what else are attributes of the span, by the conventions from 1.37 on."""

Attributes = Mapping[str, Any]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of *span*, and those that it states in events of its details."""
    found: dict[str, Any] = {}
    for event in span.events:
        if event.name == DETAILS:
            found.update(event.attributes or {})
    found.update(span.attributes or {})
    return found


def first(attributes: Attributes, names: Iterable[str]) -> Any:
    """Return the first of the attributes that is there; None where none is."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return value
    return None


def read(value: Any) -> Any:
    """Return what the JSON in *value* says; *value* itself where it is no JSON."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def text_of(value: Any) -> str:
    """Return *value* as text: as it is, or as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def records(attributes: Attributes, prefix: str) -> list[dict[str, Any]]:
    """Return the list that stands in flat keys: ``prefix.0.role``, ``prefix.1.role``."""
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.startswith(prefix + "."):
            _put(tree, name[len(prefix) + 1 :].split("."), value)
    return [each for each in listed(tree) if isinstance(each, dict)]


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *way, last = path
    for step in way:
        below = tree.setdefault(step, {})
        if not isinstance(below, dict):
            return  # A key is both a value and the beginning of another one: it is no list.
        tree = below
    tree[last] = value


def listed(tree: Any) -> Iterator[Any]:
    """Yield the values of a dict whose keys are numbers, in their order; of anything else none."""
    if isinstance(tree, dict):
        for key in sorted((each for each in tree if each.isdecimal()), key=int):
            yield tree[key]
