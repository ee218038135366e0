"""What handlers see of a request besides its conversation, and the time to the first token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from chain_callbacks.runnables import AIMessage, AIMessageChunk, BaseMessage
from chain_callbacks.testing import deterministic
from chain_callbacks_clients import Piece
from chain_callbacks_clients.translation import Reading, invocation_params, ls_metadata


class Words:
    """An endpoint whose events have a word, or none."""

    name = "beehive.words"
    answer = "words"
    content = frozenset({"prompt"})
    is_complete = False

    def messages(self, body: Mapping[str, Any]) -> list[BaseMessage]:
        raise NotImplementedError

    def answers(self, answer: Mapping[str, Any]) -> list[AIMessage]:
        raise NotImplementedError

    def reader(self) -> Words:
        return self

    def read(self, event: Mapping[str, Any]) -> Iterable[Piece]:
        yield Piece(AIMessageChunk(event.get("word", ""), response_metadata={"id": "1"}))


def test_first_token_has_the_time_that_it_took() -> None:
    """The time is in the first piece with content, by the clock of runs, and in no other."""
    with deterministic() as clock:
        reading = Reading(Words())
        clock.advance(2)
        events: list[dict[str, str]] = [{}, {"word": "a"}, {"word": "b"}]
        pieces = [piece for event in events for piece in reading.read(event)]

    assert [{"id": "1"}, {"id": "1", "time_to_first_token": 2.001}, {"id": "1"}] == [
        piece.chunk.response_metadata for piece in pieces
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"model": "m", "temperature": 0}, {"ls_model_name": "m", "ls_temperature": 0}),
        ({"max_completion_tokens": 7, "stop": "."}, {"ls_max_tokens": 7, "ls_stop": ["."]}),
        ({"max_output_tokens": 7, "stop_sequences": ["."]}, {"ls_max_tokens": 7, "ls_stop": ["."]}),
        ({"max_tokens": None, "max_output_tokens": 8}, {"ls_max_tokens": 8}),
    ],
)
def test_metadata_names_a_request_as_other_handlers_do(
    body: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Model and settings are under LangSmith's names, whatever the vendor calls them."""
    always = {"ls_provider": "beehive", "ls_model_type": "chat"}
    assert {**always, **expected} == ls_metadata("beehive", body)


def test_invocation_params_leave_the_conversation_out() -> None:
    """Model and settings alone."""
    body = {"model": "m", "prompt": "secret", "top_p": 1}
    expected = {"_type": "beehive-chat", "model": "m", "top_p": 1}
    assert expected == invocation_params("beehive", body, frozenset({"prompt"}))
