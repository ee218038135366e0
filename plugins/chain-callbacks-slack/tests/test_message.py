"""What the messages look like, and that no name can make them look like anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chain_callbacks_slack.failure import Failure
from chain_callbacks_slack.message import (
    Message,
    failed_run,
    literal,
    more_failures,
    other_failures,
)
from chain_callbacks_slack.tally import Tally

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run_id(number: int) -> UUID:
    return UUID(int=0x01890000_0000_7000_8000_000000000000 + number)


def failure(number: int = 0, **changes: Any) -> Failure:
    facts: dict[str, Any] = {
        "name": "RunnableSequence",
        "error_class": "RateLimitError",
        "duration": 1.234,
        "run_id": run_id(number),
        "error_id": None,
        "failed_at": BEGAN + timedelta(seconds=number),
        "origin": ("RunnableSequence", "FakeListChatModel"),
    }
    return Failure.of(**{**facts, **changes})


def tally(*failures: Failure) -> Tally:
    counted = Tally()
    for each in failures:
        counted.add(each)
    return counted


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "text" in value and isinstance(value["text"], str):
            yield value["text"]
        value = [*value.values()]
    if isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_message_says_what_failed_how_and_where() -> None:
    """The blocks have a title, the facts, the place in the tree, the run's id and the time."""
    message = failed_run(failure(), service="billing")
    assert message.text == "Run `RunnableSequence` failed with `RateLimitError` in `billing`"
    assert [
        ":rotating_light: *Run failed:* `RunnableSequence`",
        "*Error*\n`RateLimitError`",
        "*Duration*\n1.2 s",
        "*Service*\n`billing`",
        "*Began in*\n`RunnableSequence &gt; FakeListChatModel`",
        f"Run `{run_id(0)}` at 2026-01-02 03:04:05 UTC",
    ] == [*texts(message.blocks)]


def test_digest_says_how_many_when_and_a_few_of_the_runs() -> None:
    """The blocks have the count, the class, the first and last time, the place, and three ids."""
    counted = tally(*(failure(number) for number in range(1_000)))
    message = more_failures(failure(), counted, service="billing")
    assert (
        message.text
        == "1,000 more runs failed like `RunnableSequence` with `RateLimitError` in `billing`"
    )
    assert [
        ":rotating_light: *1,000 more runs failed:* `RunnableSequence`",
        "*Error*\n`RateLimitError`",
        "*First*\n2026-01-02 03:04:05 UTC",
        "*Last*\n2026-01-02 03:20:44 UTC",
        "*Service*\n`billing`",
        "*Began in*\n`RunnableSequence &gt; FakeListChatModel`",
        f"Runs `{run_id(0)}`, `{run_id(1)}`, `{run_id(2)}` and 997 more",
    ] == [*texts(message.blocks)]


def test_digest_of_one_failure_is_in_the_singular() -> None:
    """One more run is no runs, and there are no more of them."""
    message = more_failures(failure(), tally(failure(1)), service=None)
    assert message.text == "1 more run failed like `RunnableSequence` with `RateLimitError`"
    assert f"Runs `{run_id(1)}`" in [*texts(message.blocks)]


def test_digest_of_other_failures_counts_them_by_class() -> None:
    """Five classes are named with their counts, the most frequent first; the rest is a number."""
    classes = ["A", "B", "B", "C", "D", "E", "F", "G", "F"]
    counted = tally(*(failure(number, error_class=each) for number, each in enumerate(classes)))
    message = other_failures(counted, service=None)
    assert message.text == "9 more runs failed in other ways"
    assert "*Errors*\n`B` 2\n`A` 1\n`C` 1\n`D` 1\n`E` 1\nother classes 3" in [
        *texts(message.blocks)
    ]


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


HOSTILE = "<!channel>&`*@here" * 10_000


def hostile(number: int) -> Failure:
    name = "&" * 59 + str(number) + HOSTILE
    return failure(number, name=name, error_class=name, origin=[name] * 1_000, duration=1e9)


MAKERS: list[Callable[[], Message]] = [
    lambda: failed_run(hostile(0), service=HOSTILE),
    lambda: more_failures(hostile(0), tally(*map(hostile, range(9))), service=HOSTILE),
    lambda: other_failures(tally(*map(hostile, range(9))), service=HOSTILE),
]


@pytest.mark.parametrize("make", MAKERS, ids=["failure", "digest", "others"])
def test_every_text_of_a_hostile_message_is_escaped_and_fits(make: Callable[[], Message]) -> None:
    """Names of any length and content break no limit of Slack, and none can mention anybody."""
    built = make()
    found = [built.text, *texts(built.blocks)]
    assert all(len(text) <= 3_000 for text in found)
    fields = built.blocks[1]["fields"]
    assert len(fields) <= 10
    assert all(len(field["text"]) <= 2_000 for field in fields)
    assert not any("<" in text or ">" in text or "@here" in text for text in found)
    assert "(180,000 characters)" in built.text


@pytest.mark.parametrize("make", MAKERS, ids=["failure", "digest", "others"])
def test_all_markup_is_verbatim(make: Callable[[], Message]) -> None:
    """Slack links nothing by itself: each text object says so."""
    blocks = str(make().blocks)
    assert 6 <= blocks.count("'mrkdwn'") == blocks.count("'verbatim': True")


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
    message = failed_run(failure(duration=seconds), service=None)
    assert f"*Duration*\n{expected}" in [*texts(message.blocks)]
