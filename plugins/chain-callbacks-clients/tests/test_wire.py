"""Bodies and events as plain JSON values, whatever a client has for them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, Field

from chain_callbacks_clients import plain
from chain_callbacks_clients.wire import EventLines, parsed

EVENTS = (
    b": a comment\n"
    b'event: word\ndata: {"word": "gr\xc3\xbcn"}\n\n'
    b'data: {"lines":\r\ndata: 2}\r\n\r\n'
    b"data: [DONE]\n\n"
    b"data: {no JSON\n\n"
    b'\n\ndata:{"word": "last"}\n\n'
    b'data: {"word": "never complete"}\n'
)


class Tool(BaseModel):
    name: str
    schema_: dict[str, int] | None = Field(default=None, alias="schema")
    note: str = "the default"


@pytest.mark.parametrize("size", [1, 2, 7, len(EVENTS)])
def test_events_are_the_same_however_their_bytes_are_cut(size: int) -> None:
    """Objects alone are events: comments, other values and what is incomplete are not."""
    lines = EventLines()
    pieces = [EVENTS[start : start + size] for start in range(0, len(EVENTS), size)]

    found = [event for piece in pieces for event in lines.read(piece)]

    assert [{"word": "grün"}, {"lines": 2}, {"word": "last"}] == found


def test_plain_shows_a_clients_objects_as_they_are_sent() -> None:
    """Fields by their alias, without those that were never set."""
    tool = Tool.model_validate({"name": "weather", "schema": {"type": 1}})

    assert {"tools": [{"name": "weather", "schema": {"type": 1}}], "top_p": 0.5} == plain(
        {"tools": (tool,), "top_p": 0.5}
    )


def test_plain_leaves_what_can_be_read_once_unread() -> None:
    """An iterator, a class and any other object are left out, wherever they stand."""

    def words() -> Iterator[str]:
        yield "one"

    stream = words()

    assert {"messages": ["Hi"]} == plain(
        {"messages": ["Hi", stream], "format": Tool, "file": EVENTS}
    )
    assert plain(stream) is None
    assert ["one"] == list(stream)


def test_plain_values_are_themselves() -> None:
    """JSON has them."""
    value = {"a": [None, True, 1, 1.5, "text"]}
    assert value == plain(value) == json.loads(json.dumps(value))


@pytest.mark.parametrize("body", [b"{no JSON", "", b"\xff", "[" * 100_000])
def test_body_that_is_no_json_is_none(body: bytes | str) -> None:
    """What a server sends raises nothing, however deep it is nested."""
    assert parsed(body) is None
