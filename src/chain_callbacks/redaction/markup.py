"""Credentials in XML and HTML: in an element that has their name, or beside their name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from .carriers import is_name_of_secret, may_name, role_of
from .places import NamesSecret, Place, Span, name_of
from .values import Values

_CLOSING: Final = r"</(?P<prefix>(?:[\w.-]{1,40}:)?)(?P<name>[\w.-]{1,60})\s*+>"
_TAG: Final = r"<[A-Za-z][\w:.-]{0,60}+\s++[^<>]{1,1000}+>"
_ATTRIBUTE: Final = r"(?P<key>[\w:.-]{1,60}+)\s*+=\s*+(?=[\"'])"
# An element with a name, after which one with the value comes.
_NAMED: Final = r"<(?P<key>[A-Za-z][\w.-]{0,40}+)>\s*+(?P<name>[\w .-]{1,48})</(?P=key)>"
_CONTENT: Final = r"\s*+(?:<[A-Za-z][\w.-]{0,40}+>)?+\s*+(?P<content>[^<>\s][^<>]{0,4000}+)</"
_VALUE: Final = "content"
"""What an element of HTML has its value in."""


class _Patterns:
    def __init__(self) -> None:
        self.closing = re.compile(_CLOSING)
        self.tag = re.compile(_TAG)
        self.attribute = re.compile(_ATTRIBUTE)
        self.named = re.compile(_NAMED)
        self.content = re.compile(_CONTENT)


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()


def spans_in_elements(text: str, names_secret: NamesSecret, values: Values) -> Iterator[Span]:
    """Yield the contents of elements that are called as credentials are, or follow their name."""
    if "</" not in text:
        return
    names = {name for _, name in set(_patterns().closing.findall(text))}
    if any(map(may_name, names)):
        for found in _patterns().named.finditer(text):
            if is_name_of_secret(found["key"], found["name"].strip(), names_secret):
                yield from _content(text, found.end())
    if any(map(names_secret, names)):
        yield from _elements(text, names_secret, values)


def spans_in_tags(text: str, names_secret: NamesSecret, values: Values) -> Iterator[Span]:
    """Yield the values of tags that name a credential: an attribute, or what the tag is around."""
    for tag in _patterns().tag.finditer(text):
        found = _patterns().attribute.finditer(text, tag.start(), tag.end())
        fields = [Place(each["key"], each.start(), each.end(), "=") for each in found]
        name = name_of(text, fields, names_secret)
        if not name:
            continue
        for field in fields:
            if role_of(field.key) == "value" or field.key == _VALUE:
                yield from values.spans(field._replace(key=name))
        if not tag[0].endswith("/>"):
            yield from _content(text, tag.end())


def _elements(text: str, names_secret: NamesSecret, values: Values) -> Iterator[Span]:
    done: dict[str, int] = {}
    for found in _patterns().closing.finditer(text):
        if not names_secret(found["name"]):
            continue
        tag = f"<{found['prefix']}{found['name']}"
        opening = text.rfind(tag, done.get(tag, 0), found.start())
        done[tag] = found.end()
        start = text.find(">", opening, found.start()) + 1
        if opening < 0 or not start or text[start - 2] == "/":
            continue
        if values.may_be_credential(text[start : found.start()]):
            yield Span(start, found.start())


def _content(text: str, at: int) -> Iterator[Span]:
    """Yield what stands between two tags, the first of which may be at *at*."""
    found = _patterns().content.match(text, at)
    if found is not None:
        yield Span(*found.span("content"))
