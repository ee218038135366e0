"""What a text costs: in proportion to its length, and no short cut misses a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chain_callbacks import DefaultRedactor
from chain_callbacks.redaction import services, texts

HOSTILE = 100_000
REDACTOR = DefaultRedactor()

UNITS = [
    *("a", "A", "Aa", "1", "_", "-", ".", "@", ":", "=", '"', "'", "\\", "\n", " ", "é", "{", "["),
    *("://", "://a:", "://a@", "a ", "a@", "&a", "&a=", ",;", "--aa ", '"\\', "sk-", "hf_", "SG."),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY", "eyJ", "eyJ."),
    *("eyJaaaaaaaa.", "eyJaaaaaaaa-", "eyJaaaaaaaa_", "bearer ", "bearer 1", "basic ", "basic A"),
    *("password=", 'password="', 'password="\\"', 'password=\\"', "password={", 'password=("'),
    *("password='''", 'password="""', "password: ", "cookie:", "api key:", "password=&a", "token"),
    *("Authorization: ", "Authorization: a, ", "token1= ", "token==", "token=>", "token?=", "::"),
    *("token={", "token=[", "token=(", "token=f(", "token=a.", 'token="a"+', "token=await "),
    *("token: str = ", "token: a[", "token: a<", "token: a|", "token: the ", "token=a or ", "a="),
    *("password: a ", "password: a b1 ", "password: **", "password: &a ", "password: !a ", "# "),
    *("password:\n", "password:\n ", "- password:\n", "password: |\n", "password: |\n x\n", "\r"),
    *(
        "password:\\n ",
        "\\npassword: |\\n",
        "  password:\n",
        "\n\n",
        "\\n",
        "`password`:",
        "**a**:",
    ),
    *(
        "--password ",
        "--password a ",
        "-password\n",
        "--password, ",
        "--password\n- ",
        "curl -u a:",
    ),
    *(
        "machine a login b password ",
        '["a",',
        '("a",',
        '["password","x"],',
        '["a","b"',
        "[(",
        "'a',",
    ),
    *("</password>", "<password>", "<a>", "</a>", '<a b="', "<name>password</name><value>", "<!["),
    *('<a name="password" value="x">', '<name="password" ', "name: password\nvalue: ", "{name:"),
    *(
        '{"name":"password","value":',
        "name=password value=",
        "- name: password\n",
        "value=",
        "(name=",
    ),
    *(
        'password: {"type":"string"}',
        "password:\n  type: string\n",
        "default: ",
        '"token":"","logprob":',
    ),
    *(
        "if a:\n",
        "def a",
        ";\n",
        ") {",
        "import a\n",
        'required: ["a","b"],',
        "{{",
        "${",
        "<a",
        "%(",
    ),
]


@pytest.mark.parametrize("prefix", ["", "password=", "password={", "https://a:", "password: |\n "])
@pytest.mark.parametrize("unit", UNITS)
def test_hostile_text_is_redacted_in_linear_time(unit: str, prefix: str) -> None:
    """What patterns stumble over, five times as long as what a view scans, does not hang.

    A quadratic way takes minutes for it, a linear one a fraction of a second.
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


# A lazy repeat up to an end that may be the end of the text reads each character once; a key is
# cut to 200 characters before its words are looked for, and a class has at most as many.
EXPECTED = {
    "keys._words_in": ["MAX_REPEAT"],
    "services._searches[0][0]": ["MIN_REPEAT"],
    "values._patterns.literal": ["MIN_REPEAT"] * 2,
}


def test_no_pattern_can_take_back_what_it_read_without_a_bound(
    patterns: dict[str, re.Pattern[str]],
) -> None:
    """Every repeat is bounded or possessive, but for those that read each character once."""
    found = {name: unbounded(parser.parse(each.pattern)) for name, each in patterns.items()}
    assert EXPECTED == {name: repeats for name, repeats in found.items() if repeats}


class Plain(texts._Finder):
    """Looks at each key of a text, whatever it is."""

    def _places_of(self, keys: set[str]) -> Iterable[int]:
        found = re.finditer(rf"(?<![\w-]){texts._patterns().key.pattern}", self._text)
        return [each.start() for each in found]


def without_short_cuts(text: str) -> str:
    """Return what the redactor makes of a text if each pattern is tried everywhere."""
    for search in services._searches():
        text = search.pattern.sub(search.replacement, text)
    with patch.object(texts, "_Finder", Plain):
        return texts.mask_values(text, REDACTOR.hides, REDACTOR.hides_number)


PIECES = [
    *("sk", "xoxb", "gho", "hf", "sk_live", "lsv2_pt", "github_pat", "AKIA", "AIza", "ya29", "SG"),
    *("hooks.slack.com/", "discordapp.com/api/webhooks/", "eyJ", "dapi", "12345678", ":AA"),
    *("bearer", "BA\u017f\u0131C", "basic", "://", "@", "-----BEGIN ", "PRIVATE KEY-----"),
    *("password", "apiKey", "api", "key", "id", "--token", "--", "x", "é", "the ", "0af" * 8),
    *("-", "_", ".", ":", "=", ">", ":=", " ", " " * 8, "\t", "\n", '"', "'", "\\", "]", "{", "&"),
    *("name", "value", "<", "</", "\\n", "[", "(", ")", "}", ",", "|", "#", "*", "`", "type"),
    *("a1B2" * 4, "A1B2" * 4, "a" * 100, "a" * 101, "é" * 12, "-" * 12, "\ud800"),
]


@example("password" + " " * 8 + "= x")
@example("password" + " " * 9 + "= x")
@example("password" + " " * 8 + "?= x")
@example("password" + '"' * 6 + ": x")
@example("password" + '"' * 7 + ": x")
@example("a-" * 46 + "password=x")
@example("a-" * 46 + "password1=x")
@example("\\npassword=x")
@example("\\nnpassword=x")
@example("api key: x")
@example("a.api.key: x")
@example("a1=a2=a3=a4=a5=a6=a7=a8=token=b token=c")
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join))
@settings(max_examples=500)
def test_no_short_cut_changes_what_is_masked(text: str) -> None:
    """What is looked for only where a hint of it was found is found as if there were no hints."""
    assert without_short_cuts(text) == REDACTOR.redact(text)
