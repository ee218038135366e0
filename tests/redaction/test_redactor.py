"""The redactor that is there: its keys, its texts, and what it returns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chain_callbacks import DefaultRedactor

REDACTOR = DefaultRedactor()


def test_extra_keys_are_compared_by_their_words_too() -> None:
    """An organisation's own keys are hidden in every spelling, and usage stays."""
    own = DefaultRedactor(("employee id", "tokens"))
    keys = ("employee_id", "employeeId", "EMPLOYEE-ID", "employeeid")
    assert [True] * 4 == [own.hides(key) for key in keys]
    assert not own.hides("employee")
    assert not own.hides("input_tokens")


def test_what_stands_under_an_extra_key_is_masked_in_a_text_with_its_numbers() -> None:
    """In JSON, too, where a number under another key is shown."""
    own = DefaultRedactor(("employee id",))
    assert "employeeId=[redacted]" == own.redact("employeeId=17")
    assert '{"employeeId": [redacted], "token": 17}' == own.redact(
        '{"employeeId": 17, "token": 17}'
    )


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    """No text makes the redactor fail."""
    assert isinstance(REDACTOR.redact(text), str)
    assert isinstance(REDACTOR.hides(text), bool)


class Label(str):
    """A text of a class of its own."""

    __slots__ = ()


def test_what_was_redacted_is_a_plain_text() -> None:
    """A subclass of text is not handed on, also where there is nothing to mask."""
    assert {str} == {type(REDACTOR.redact(Label(text))) for text in ("name", "two words", "a: b")}
