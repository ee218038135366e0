"""Which texts the default redactor masks, and what in them; ``texts.toml`` lists them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from chain_callbacks import DefaultRedactor
from chain_callbacks.redaction import MASK

TEXTS: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("texts.toml").read_text(encoding="utf-8")
)
REDACTOR = DefaultRedactor()
# A text that is cut has no end of what is masked.
SECRET = re.compile(r"«(.*?)(?:»|\Z)|⟦(.*?)(?:⟧|\Z)", re.DOTALL)


@pytest.mark.parametrize("text", TEXTS["masked"])
def test_a_credential_is_masked_and_what_is_around_it_stays(text: str) -> None:
    """The value goes, to its end; its key, its quotes and its neighbours are shown."""
    given = SECRET.sub(lambda found: found[1] or found[2], text)
    expected = SECRET.sub(lambda found: MASK if found[1] else f'"{MASK}"', text)
    assert given != expected
    assert expected == REDACTOR.redact(given)


@pytest.mark.parametrize("text", TEXTS["masked"])
def test_redacting_twice_is_redacting_once(text: str) -> None:
    """What was masked before is left alone."""
    once = REDACTOR.redact(SECRET.sub(lambda found: found[1] or found[2], text))
    assert once == REDACTOR.redact(once)


@pytest.mark.parametrize("text", TEXTS["shown"])
def test_what_is_no_credential_is_shown_as_it_is(text: str) -> None:
    """Ids, counts, schemas, source code, templates and prose."""
    assert text == REDACTOR.redact(text)
