"""Secrets that are known by their form, wherever they stand, and what only looks like one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_callbacks import DefaultRedactor
from chain_callbacks.redaction import MASK, services
from chain_callbacks.redaction.services import SHORTEST, mask_known_forms

SERVICES = [
    "sk-proj-a1B2c3D4e5F6g7H8i9J0",
    "sk-ant-api03-a1B2c3D4e5F6g7H8i9J0",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g",
    "ghp_a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6",
    "github_pat_11AAAAAAA0a1B2c3D4e5F6_g7H8i9J0",
    "glpat-a1B2c3D4e5F6g7H8i9J0",
    "xoxb-123456789012-a1B2c3D4e5F6",
    "sk_live_a1B2c3D4e5F6g7H8",
    "hf_a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6",
    "lsv2_pt_a1b2c3d4e5f6a7b8c9d0_a1b2c3d4e5",
    "gsk_a1B2c3D4e5F6g7H8i9J0",
    "123456789:AAa1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.a1B2c3D4e5F6-_g7",
    "hooks.slack.com/services/T00000000/B00000000/a1B2c3D4e5F6g7H8",
]


@pytest.mark.parametrize("secret", SERVICES)
@pytest.mark.parametrize("around", ["{}", "use {} now", '{{"x": "{}"}}', "https://{}", "({}),"])
def test_keys_and_tokens_of_services_are_masked_wherever_they_stand(
    redactor: DefaultRedactor, secret: str, around: str
) -> None:
    """A well-known form of a secret is enough, and what is around it stays."""
    assert around.format(MASK) == redactor.redact(around.format(secret))


def test_a_private_key_is_masked_to_its_end_or_to_the_end_of_the_text() -> None:
    """A block that was cut is masked as far as it goes."""
    block = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc==\n-----END RSA PRIVATE KEY-----"
    assert f"a {MASK} b" == mask_known_forms(f"a {block} b")
    assert f"a {MASK}" == mask_known_forms(f"a {block[:45]}")


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn-compatible-estimators and sk-folding-cube-spinner",
        "pypi-publish-action, npm_config_registry, hf_transformers_cache",
        "Basic authentication, basic understanding, Basic Knowledge",
        "the bearer understands; Bearer Authentication; a valid Bearer access_token",
        "https://user:password@host/x and ssh://git@github.com/x",
        "postgres://{user}:{password}@{host} and https://${USER}:${TOKEN}@host",
    ],
)
def test_words_and_templates_that_look_like_a_secret_are_shown(text: str) -> None:
    """Names in small letters, sentences, and places for a secret."""
    assert text == mask_known_forms(text)


@given(data=st.data())
def test_a_secret_is_hinted_at_wherever_it_stands(data: st.DataObject) -> None:
    """Whatever one of the patterns can match, one of its hints finds."""
    search = data.draw(st.sampled_from(services._searches()))
    text = data.draw(st.from_regex(search.pattern))
    assert any(mark in text and hint.search(text) for mark, hint in search.hints)


def test_a_name_too_short_for_a_service_key_is_not_looked_at() -> None:
    """The bound is that of the shortest key."""
    keys = services._searches()[1].pattern
    from re import _parser as parser  # type: ignore[attr-defined]

    assert parser.parse(keys.pattern).getwidth()[0] >= SHORTEST


class Counted:
    """Stands for a pattern, and counts how often it is tried along a whole text."""

    def __init__(self) -> None:
        self.count = 0

    def sub(self, _replacement: Any, text: str) -> str:
        self.count += 1
        return text


def test_text_without_secrets_is_not_searched_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prose, names and identifiers with the marks of all secrets cost their hints alone."""
    text = (
        "Basic facts: Anna (born 1990) met J. Bell at 12:30; a well-known, risk-averse bearer of "
        "bad_news, see https://example.com/a.b, 123e4567-e89b-12d3-a456-426614174000.\n--- x = y\n"
    )
    counted = Counted()
    searches = tuple(each._replace(pattern=counted) for each in services._searches())  # type: ignore[arg-type]
    monkeypatch.setattr(services, "_searches", lambda: searches)
    assert text == mask_known_forms(text)
    assert 0 == counted.count
