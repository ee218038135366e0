"""Which keys the default redactor takes for those of credentials; ``keys.toml`` lists them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from chain_callbacks import DefaultRedactor

KEYS: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("keys.toml").read_text(encoding="utf-8")
)
REDACTOR = DefaultRedactor()


@pytest.mark.parametrize("key", KEYS["masked"])
def test_a_key_of_a_credential_is_hidden_however_its_words_are_joined(key: str) -> None:
    """Whole words count, in every spelling."""
    assert REDACTOR.hides(key)
    assert not REDACTOR.hides_number(key)


@pytest.mark.parametrize("key", KEYS["shown"])
def test_a_key_that_counts_configures_identifies_or_describes_is_not_hidden(key: str) -> None:
    """Sessions can be grouped, and counts read, at every content level that shows them."""
    assert not REDACTOR.hides(key)
    assert not REDACTOR.hides(f"langfuse_{key}") or not key


@pytest.mark.parametrize("extra", ["session id", "session_id", "sessionId"])
def test_an_extra_key_is_hidden_with_its_numbers_whatever_it_says(extra: str) -> None:
    """An organisation that wants its sessions masked says so, and is obeyed."""
    redactor = DefaultRedactor([extra])
    for key in ("session_id", "SESSION-ID", "sessionid", "langfuse_session_id"):
        assert redactor.hides(key)
        assert redactor.hides_number(key)
    assert not redactor.hides("thread_id")


@pytest.mark.parametrize("key", ["input_tokens", "maxTokens", "tokens"])
def test_no_extra_key_hides_the_usage_of_a_model(key: str) -> None:
    """How much a call used is a fact."""
    redactor: Any = DefaultRedactor(["tokens"])
    assert not redactor.hides(key)
    assert not redactor.hides_number(key)
