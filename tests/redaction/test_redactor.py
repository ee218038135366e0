"""What the default redactor takes for a secret, in keys and in texts, and what it leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import copy
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chain_callbacks.redaction import MASK, DefaultRedactor, redactor
from chain_callbacks.redaction.redactor import _SHORTEST, _patterns

REDACTOR = DefaultRedactor()
CANARY = "c4nary-Xq7Zp0"
HOSTILE = 300_000


def test_extra_keys_are_compared_by_their_words_too() -> None:
    """An organisation's own keys are hidden in every spelling, and usage stays."""
    own = DefaultRedactor(("employee id", "tokens"))
    assert [True] * 4 == [
        own.hides(key) for key in ("employee_id", "employeeId", "EMPLOYEE-ID", "employeeid")
    ]
    assert not own.hides("employee")
    assert not own.hides("input_tokens")
    assert "employeeId=[redacted]" == own.redact("employeeId=17")


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
    secret: str, around: str
) -> None:
    """A well-known form of a secret is enough, and what is around it stays."""
    assert around.format(MASK) == REDACTOR.redact(around.format(secret))


def test_a_private_key_is_masked_to_its_end_or_to_the_end_of_the_text() -> None:
    """A block that was cut is masked as far as it goes."""
    block = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc==\n-----END RSA PRIVATE KEY-----"
    assert f"a {MASK} b" == REDACTOR.redact(f"a {block} b")
    assert f"a {MASK}" == REDACTOR.redact(f"a {block[:45]}")


TEXTS = {
    "password=§": "password=[redacted]",
    "password = §, user=bob": "password = [redacted], user=bob",
    "password: '§ §'": "password: '[redacted]'",
    "api key: § it is": "api key: [redacted] it is",
    'x = "password=§"': 'x = "password=[redacted]"',
    'password = """§"§"""': 'password = "[redacted]"',
    'password="a token=§" x': 'password="[redacted]" x',
    "f(token=§)": "f(token=[redacted]",
    "password=SecretStr('§')": "password=[redacted]",
    "run --password § --token-limit 5": "run --password [redacted] --token-limit 5",
    "Bearer § ok": "Bearer [redacted] ok",
    "basic dXNlcjpwYXNz": "basic [redacted]",
    "Authorization: Bearer §": "Authorization: [redacted]",
    'curl -H "Authorization: AWS4 a=§, b=§" host': 'curl -H "Authorization: [redacted]" host',
    "Cookie: a=§; b=§\nHost: x": "Cookie: [redacted]\nHost: x",
    "https://user:§@host/x": "https://[redacted]@host/x",
    "postgres://user:a@§@host/x": "postgres://[redacted]@host/x",
    "redis://:a/§@host": "redis://[redacted]@host",
    "https://§@host/x": "https://[redacted]@host/x",
    "https://h/x?token=§&y=2&api_key=§#z": "https://h/x?token=[redacted]&y=2&api_key=[redacted]",
    "Server=x;Password=§;Database=y": "Server=x;Password=[redacted];Database=y",
    "<password>§</password><user>bob</user>": "<password>[redacted]</password><user>bob</user>",
    '{"password": "a\\"§", "x": 1}': '{"password": "[redacted]", "x": 1}',
    '{"token":"§","usage":5}': '{"token":"[redacted]","usage":5}',
    '{\\"password\\": \\"a\'§\\", \\"x\\": 1}': '{\\"password\\": \\"[redacted]\\", \\"x\\": 1}',
    '{"auth": {"a": {"b": "}§"}, "c": "§"}, "d": 2}': '{"auth": "[redacted]", "d": 2}',
    '{"auth": ["§", "§"], "d": 2}': '{"auth": "[redacted]", "d": 2}',
    '{"auth": ["§", "§': '{"auth": "[redacted]"',
    '{"password": "§': '{"password": "[redacted]"',
}


@pytest.mark.parametrize("text", TEXTS)
def test_values_of_hidden_keys_in_a_text_are_masked(text: str) -> None:
    """JSON, assignments, headers, URLs, options and markup: the value goes, the rest stays."""
    assert TEXTS[text] == REDACTOR.redact(text.replace("§", CANARY))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The quick brown fox: 12:30, a=b, https://example.com:8080/@user?q=1#x",
        '{"input_tokens": 5, "token_usage": {"total_tokens": 3}}',
        '{"session_id": "s-1", "time_to_first_token": 0.2, "stop_token": "</s>"}',
        '{"token":12,"otp":-1.5e3,"secret": true}',
        "def f(token: str, password: str = None) -> None: ...",
        "basic understanding of risk-management-and-more",
        "password=[redacted]",
        '{"password": "[redacted]"}',
        "Authorization: [redacted]",
        "the author's tokenizer: fast",
    ],
)
def test_harmless_text_is_left_alone_and_so_is_what_was_redacted_before(text: str) -> None:
    """Redacting twice is redacting once."""
    assert text == REDACTOR.redact(text)


SECRET_KEYS = st.sampled_from(["password", "api_key", "accessToken", "X-Auth-Token"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(key=SECRET_KEYS, before=st.text(max_size=20), after=st.text(max_size=20), rest=JSON)
def test_a_secret_in_json_is_masked_and_the_json_still_is_one(
    key: str, before: str, after: str, rest: Any
) -> None:
    """Whatever the value has in it, its end is found and its neighbours are read as before."""
    text = json.dumps({"a": 1, key: before + CANARY + after, "z": 2})
    assert {"a": 1, key: MASK, "z": 2} == json.loads(REDACTOR.redact(text))
    nested = json.dumps({"a": 1, key: [rest, CANARY], "z": 2})
    assert {"a": 1, key: MASK, "z": 2} == json.loads(REDACTOR.redact(nested))


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    """No text makes the redactor fail."""
    assert isinstance(REDACTOR.redact(text), str)
    assert isinstance(REDACTOR.hides(text), bool)


UNITS = [
    *("a", "A", "Aa", "1", "_", "-", ".", "@", ":", "=", '"', "'", "\\", "\n", " ", "é", "{", "["),
    *("://", "://a:", "://a@", "a ", "a@", "&a", "&a=", ",;", "--aa ", '"\\', "sk-", "hf_", "SG."),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY"),
    *(
        "eyJ",
        "eyJ.",
        "eyJaaaaaaaa.",
        "eyJaaaaaaaa-",
        "eyJaaaaaaaa_",
        "bearer ",
        "basic ",
        "basic a",
    ),
    *("password=", 'password="', 'password="\\"', 'password=\\"', "password={", 'password=("'),
    *("password='''", 'password="""', "password: ", "cookie:", "api key:", "password=&a", "token"),
]


@pytest.mark.parametrize("prefix", ["", "password=", "password={", "https://a:"])
@pytest.mark.parametrize("unit", UNITS)
def test_hostile_text_is_redacted_in_linear_time(unit: str, prefix: str) -> None:
    """What patterns stumble over, fifteen times as long as what a view scans, does not hang.

    A quadratic pattern takes minutes for it, a linear one a fraction of a second.
    """
    assert REDACTOR.redact(prefix + unit * (HOSTILE // len(unit)))


REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)


def unbounded(tree: Any) -> list[str]:
    """Return the repeats without a bound that may be tried again with fewer of them."""
    found = []
    for code, argument in tree:
        if code in REPEATS and argument[1] == sre.MAXREPEAT:
            found.append(str(code))
        for part in argument if isinstance(argument, tuple | list) else (argument,):
            for each in part if isinstance(part, list) else (part,):
                if isinstance(each, parser.SubPattern):
                    found += unbounded(each)
    return found


def test_no_pattern_can_take_back_what_it_read_without_a_bound() -> None:
    """Every repeat is bounded or possessive, but for a block's lazy end.

    A lazy repeat up to an end that may be the end of the text reads each character once.
    """
    patterns = _patterns()
    compiled = {n: p for n, p in vars(patterns).items() if isinstance(p, re.Pattern)}
    compiled |= {f"line {quote}": line for quote, line in patterns.lines.items()}
    compiled |= {f"before {mark}": before for mark, before in patterns.keys_before}
    for number, search in enumerate(patterns.searches):
        compiled[f"search {number}"] = search.pattern
        compiled |= {f"hint {number} {mark}": hint for mark, hint in search.hints}
    found = {name: unbounded(parser.parse(each.pattern)) for name, each in compiled.items()}
    lazy = {"search 0": ["MIN_REPEAT"], "value": ["MIN_REPEAT"] * 2}
    assert lazy == {name: repeats for name, repeats in found.items() if repeats}


class Plain(DefaultRedactor):
    """What the default redactor is without its short cuts: each pattern is tried everywhere."""

    def redact(self, text: str, /) -> str:
        for search in _patterns().searches:
            text = search.pattern.sub(search.replacement, text)
        return self._without_values(text, _patterns())

    def _suspects(self, text: str, patterns: Any) -> Sequence[int]:
        return [found.start() for found in patterns.key.finditer(text)]


PIECES = [
    *("sk", "xoxb", "gho", "hf", "sk_live", "lsv2_pt", "github_pat", "AKIA", "AIza", "ya29", "SG"),
    *("hooks.slack.com/", "discordapp.com/api/webhooks/", "eyJ", "dapi", "12345678", ":AA"),
    *("bearer", "BA\u017f\u0131C", "basic", "://", "@", "-----BEGIN ", "PRIVATE KEY-----"),
    *("password", "apiKey", "api", "key", "id", "--token", "--", "x", "é", "the ", "0af" * 8),
    *("-", "_", ".", ":", "=", ">", ":=", " ", " " * 8, "\t", "\n", '"', "'", "\\", "]", "{", "&"),
    *("a1B2" * 4, "A1B2" * 4, "a" * 100, "a" * 101, "é" * 12, "-" * 12, "\ud800"),
]


@example("password" + " " * 8 + "= x")
@example("password" + " " * 9 + "= x")
@example("password" + '"' * 4 + ": x")
@example("password" + '"' * 5 + ": x")
@example("a-" * 46 + "password=x")
@example("a-" * 46 + "password1=x")
@example("--password x")
@example("--a" + "a-" * 26 + "password x")
@example("--aa" + "a-" * 26 + "password x")
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join))
@settings(max_examples=500)
def test_no_short_cut_changes_what_is_masked(text: str) -> None:
    """What is looked for only where a hint of it was found is found as if there were no hints."""
    assert Plain().redact(text) == REDACTOR.redact(text)


@given(data=st.data())
def test_a_secret_is_hinted_at_wherever_it_stands(data: st.DataObject) -> None:
    """Whatever one of the patterns can match, one of its hints finds."""
    search = data.draw(st.sampled_from(_patterns().searches))
    text = data.draw(st.from_regex(search.pattern))
    assert any(mark in text and hint.search(text) for mark, hint in search.hints)


def test_a_name_too_short_for_a_service_key_is_not_looked_at() -> None:
    """The bound is that of the shortest key."""
    services = _patterns().searches[1].pattern.pattern
    assert _SHORTEST == parser.parse(services).getwidth()[0]


class Label(str):
    """A text of a class of its own."""

    __slots__ = ()


def test_what_was_redacted_is_a_plain_text() -> None:
    """A subclass of text is not handed on, also where there is nothing to mask."""
    assert {str} == {type(REDACTOR.redact(Label(text))) for text in ("name", "two words", "a: b")}


class Counted:
    """Stands for a pattern, and counts how often it is tried along a whole text."""

    def __init__(self) -> None:
        self.count = 0

    def sub(self, _replacement: str, text: str) -> str:
        self.count += 1
        return text


def test_text_without_secrets_is_not_searched_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prose, names and identifiers with the marks of all secrets cost their hints alone."""
    text = (
        "Basic facts: Anna (born 1990) met J. Bell at 12:30; a well-known, risk-averse bearer of "
        "bad_news, see https://example.com/a.b, 123e4567-e89b-12d3-a456-426614174000.\n--- x = y\n"
    )
    counted = Counted()
    patterns = copy(_patterns())
    patterns.searches = tuple(each._replace(pattern=counted) for each in patterns.searches)
    monkeypatch.setattr(redactor, "_patterns", lambda: patterns)
    assert text == REDACTOR.redact(text)
    assert 0 == counted.count
    assert not REDACTOR._suspects(text, patterns)
