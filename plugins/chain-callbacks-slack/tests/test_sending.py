"""What Slack's answers mean, on both ways to it, and that no failure tells a secret."""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any

import pytest
from pydantic import SecretStr

from chain_callbacks_slack import SlackSettings
from chain_callbacks_slack.message import Message
from chain_callbacks_slack.sending import RefusedError, SendingError, UnreachableError, Way

WEBHOOK_PATH = "B000/c4n4ry-of-a-webhook"
TOKEN = "xoxb-c4n4ry-of-a-token"  # noqa: S105 - a canary

MESSAGE = Message("text", [])
WAYS = pytest.mark.parametrize("way", ["webhook", "token"])


def settings(way: str, url: str, **changes: Any) -> SlackSettings:
    values: dict[str, Any] = {"webhook_url": SecretStr(f"{url}/services/{WEBHOOK_PATH}")}
    if way == "token":
        values = {"token": SecretStr(TOKEN), "channel": "C042", "api_url": f"{url}/api/"}
    return SlackSettings(**{**values, **changes})


@pytest.fixture
def nowhere() -> str:
    """The URL of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


@WAYS
def test_message_that_slack_takes_needs_no_waiting(slack: Any, way: str) -> None:
    """A message is sent with one request; the same client sends the next one."""
    sender = Way(settings(way, slack.url))
    assert [0.0, 0.0] == [sender.send(MESSAGE, 10) for _ in range(2)]
    assert ["text", "text"] == slack.texts


@WAYS
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "0"}, 1.0),
        ({"Retry-After": "999999999"}, 3600.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "inf"}, 30.0),
        ({"Retry-After": "-5"}, 30.0),
        ({}, 30.0),
    ],
)
def test_rate_limit_says_how_long_to_wait(
    slack: Any, way: str, headers: dict[str, str], expected: float
) -> None:
    """On either way a 429 is no failure: it gives the seconds that Slack asks for, in bounds."""
    slack.replies.append((429, headers, '{"ok": false, "error": "ratelimited"}'))
    assert expected == Way(settings(way, slack.url)).send(MESSAGE, 10)
    assert len(slack.received) == 1


def test_rate_limit_may_come_with_status_200(slack: Any) -> None:
    """The Web API may say in words that it was asked too often."""
    slack.replies.append((200, {}, '{"ok": false, "error": "rate_limited"}'))
    assert Way(settings("token", slack.url)).send(MESSAGE, 10) == 30


@pytest.mark.parametrize(
    ("way", "reply", "kind", "reason"),
    [
        (
            "webhook",
            (404, "no_service"),
            RefusedError,
            "Slack refused it with 'no_service' (HTTP 404)",
        ),
        ("webhook", (403, f"<p>{WEBHOOK_PATH}"), RefusedError, "Slack refused it (HTTP 403)"),
        ("webhook", (308, ""), RefusedError, "Slack refused it (HTTP 308)"),
        ("webhook", (500, f"<p>{WEBHOOK_PATH}"), UnreachableError, "Slack failed (HTTP 500)"),
        ("webhook", (408, ""), UnreachableError, "Slack failed (HTTP 408)"),
        (
            "token",
            (200, '{"ok": false, "error": "invalid_auth"}'),
            RefusedError,
            "Slack refused it with 'invalid_auth' (HTTP 200)",
        ),
        (
            "token",
            (200, '{"ok": false, "error": "internal_error"}'),
            UnreachableError,
            "Slack failed with 'internal_error' (HTTP 200)",
        ),
        ("token", (200, f'{{"error": "{TOKEN}"}}'), RefusedError, "Slack refused it (HTTP 200)"),
        ("token", (200, "{}"), RefusedError, "Slack refused it (HTTP 200)"),
        ("token", (200, "[1]"), RefusedError, "AttributeError"),
        ("token", (502, f"<p>{TOKEN}"), UnreachableError, "Slack failed (HTTP 502)"),
    ],
)
def test_refusal_is_told_from_a_failure_that_passes(
    slack: Any, way: str, reply: tuple[int, str], kind: type[SendingError], reason: str
) -> None:
    """What Slack will never take is refused; what it may take later is not; the reason is short."""
    status, body = reply
    slack.replies.append((status, {}, body))
    with pytest.raises(kind) as caught:
        Way(settings(way, slack.url)).send(MESSAGE, 10)
    assert reason == str(caught.value)
    assert len(slack.received) == 1


@WAYS
def test_refused_connection_may_pass(nowhere: str, way: str) -> None:
    """Where nobody listens, the class of the failure is the reason, and nothing is tried again."""
    with pytest.raises(UnreachableError, match=r"\AURLError \(ConnectionRefusedError\)\Z"):
        Way(settings(way, nowhere)).send(MESSAGE, 10)


@WAYS
def test_answer_that_does_not_come_in_time_may_pass(slack: Any, way: str) -> None:
    """The seconds of the call bound the wait for an answer."""
    slack.answers.clear()
    with pytest.raises(UnreachableError, match=r"\ATimeoutError\Z"):
        Way(settings(way, slack.url)).send(MESSAGE, 0.05)


@pytest.fixture
def told(slack: Any, nowhere: str) -> list[SlackSettings]:
    """Settings with which every message fails, each in its own way."""
    slack.replies.extend([(500, {}, WEBHOOK_PATH + TOKEN)] * 2)
    return [
        settings("webhook", slack.url),
        settings("token", slack.url),
        settings("webhook", nowhere),
        settings("token", nowhere),
        settings("webhook", "", webhook_url=SecretStr(f"http://[{WEBHOOK_PATH}")),
        settings("webhook", "", webhook_url=SecretStr(f"http://\u2603/{WEBHOOK_PATH}\u2603")),
        settings("webhook", "", webhook_url=SecretStr(f"http://127.0.0.1:{WEBHOOK_PATH}")),
        settings("token", slack.url, token=SecretStr(f"{TOKEN}\n\u2603")),
        settings("token", slack.url, token=SecretStr(f"{TOKEN}\nX-Header: 1")),
    ]


def test_failure_tells_no_secret(
    told: list[SlackSettings],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever fails, its text, its frames with their locals, its causes and the logs are clean."""
    caplog.set_level(logging.DEBUG)
    seen = ""
    for each in told:
        way = Way(each)
        with pytest.raises(SendingError) as caught:
            way.send(MESSAGE, 10)
        error = caught.value
        assert error.__context__ is None
        assert error.__cause__ is None
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        # The first frame is this test's, whose locals hold what was sent.
        frames.stack = traceback.StackSummary.from_list(frames.stack[1:])
        seen += "".join(frames.format()) + f"{error!r} {vars(way)} {way}"
    seen += caplog.text + "".join(capfd.readouterr())
    assert "RefusedError" in seen
    assert "c4n4ry" not in seen
