"""What a message looks like, and that no name can make it look like anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from chain_callbacks_slack.message import Message, failed_run, literal

RUN_ID = UUID("01890000-0000-7000-8000-000000000000")


def message(**changes: Any) -> Message:
    facts: dict[str, Any] = {
        "name": "RunnableSequence",
        "error_class": "RateLimitError",
        "duration": 1.234,
        "run_id": RUN_ID,
        "origin": ("RunnableSequence", "FakeListChatModel"),
        "service": None,
    }
    return failed_run(**{**facts, **changes})


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "text" in value and isinstance(value["text"], str):
            yield value["text"]
        value = [*value.values()]
    if isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_message_says_what_failed_how_and_where() -> None:
    """The blocks have a title, the facts, the place in the tree and the run's id."""
    assert [
        ":rotating_light: *Run failed:* `RunnableSequence`",
        "*Error*\n`RateLimitError`",
        "*Duration*\n1.2 s",
        "*Service*\n`billing`",
        "*Began in*\n`RunnableSequence &gt; FakeListChatModel`",
        f"Run `{RUN_ID}`",
    ] == [*texts(message(service="billing").blocks)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain_name", "`plain_name`"),
        ("a & b <c>", "`a &amp; b &lt;c&gt;`"),
        ("<!channel> <@U1> <#C1>", "`&lt;!channel&gt; &lt;@\u2060U1&gt; &lt;#C1&gt;`"),
        ("@here", "`@\u2060here`"),
        ("&lt;!here&gt;", "`&amp;lt;!here&amp;gt;`"),
        ("a`*b*`c", "`a'*b*'c`"),
        ("two\nlines\r\n> quote\t", "`two lines &gt; quote`"),
        ("right\u202eto left\u200b\x1b[31m", "`right to left [31m`"),
        ("\ud800", "`?`"),
        ("", "`?`"),
    ],
)
def test_text_is_literal(text: str, expected: str) -> None:
    """Markup, mentions, line breaks, terminal and direction controls have no effect."""
    assert expected == literal(text)


def test_every_text_of_a_hostile_message_is_escaped_and_fits() -> None:
    """Names of any length and content break no limit of Slack, and none can mention anybody."""
    hostile = "<!channel>&`*" * 10_000
    built = message(
        name=hostile, error_class=hostile, service=hostile, origin=[hostile] * 1_000, duration=1e9
    )
    found = [built.text, *texts(built.blocks)]
    assert all(len(text) <= 3_000 for text in found)
    fields = built.blocks[1]["fields"]
    assert len(fields) <= 10
    assert all(len(field["text"]) <= 2_000 for field in fields)
    assert not any("<" in text or ">" in text for text in found)
    assert "(130,000 characters)" in built.text


def test_all_markup_is_verbatim() -> None:
    """Slack links nothing by itself: each text object says so."""
    blocks = str(message(service="x").blocks)
    assert blocks.count("'mrkdwn'") == blocks.count("'verbatim': True") == 6


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ((), "RunnableSequence"),
        (("a",), "a"),
        (tuple("abcdef"), "a &gt; b &gt; c &gt; d &gt; e &gt; f"),
        (tuple("abcdefgh"), "a &gt; … 3 more … &gt; e &gt; f &gt; g &gt; h"),
    ],
)
def test_long_path_keeps_its_ends(origin: tuple[str, ...], expected: str) -> None:
    """Of a deep tree the root and the innermost names are shown, and how many are not."""
    assert f"*Began in*\n`{expected}`" in [*texts(message(origin=origin).blocks)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "unknown"),
        (0.0, "under 1 ms"),
        (0.0421, "42 ms"),
        (0.9999, "1.0 s"),
        (59.94, "59.9 s"),
        (59.9999, "1 min 0 s"),
        (754.2, "12 min 34 s"),
    ],
)
def test_duration_is_readable(seconds: float | None, expected: str) -> None:
    """Milliseconds, seconds or minutes, whichever a person would say."""
    assert f"*Duration*\n{expected}" in [*texts(message(duration=seconds).blocks)]
