"""Which runs Slack hears of, and how a message gets there."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from chain_callbacks import CallbackManager
from chain_callbacks_slack import SlackHandler, SlackSettings

Make = Callable[..., SlackHandler]

WEBHOOK_PATH = "B000/c4n4ry-of-a-webhook"
TOKEN = "xoxb-c4n4ry-of-a-token"  # noqa: S105 - a canary

CONTENT = "c4n4ry of a prompt"


def fail(handler: SlackHandler, error: BaseException | None = None, kind: Any = "chain") -> None:
    """Let a root run fail whose payload and error hold what must not leave the machine."""
    manager = CallbackManager([handler], tags=[CONTENT], metadata={"user": CONTENT})
    run = manager.run(kind, "job", [CONTENT])
    run.start(*run.payload)
    run.fail(error or ValueError(CONTENT))


@pytest.fixture
def make_handler(slack: Any) -> Iterator[Make]:
    """Make a handler that speaks to the stand-in through a webhook, or with ``token=True``."""
    made: list[SlackHandler] = []

    def make(*, token: bool = False, **settings: Any) -> SlackHandler:
        way: dict[str, Any] = {"webhook_url": SecretStr(f"{slack.url}/services/{WEBHOOK_PATH}")}
        if token:
            way = {"token": SecretStr(TOKEN), "channel": "C042", "api_url": f"{slack.url}/api/"}
        made.append(SlackHandler(SlackSettings(**{**way, **settings})))
        return made[-1]

    yield make
    slack.answers.set()
    for handler in made:
        handler.close()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "chain_callbacks"]


@pytest.mark.parametrize("kind", ["chain", "llm", "tool", "retriever", "embeddings"])
def test_root_error_of_each_kind_is_one_message(make_handler: Make, slack: Any, kind: str) -> None:
    """A root run of any kind that fails is told once, through the webhook."""
    handler = make_handler()
    fail(handler, kind=kind)
    handler.close()
    assert [f"/services/{WEBHOOK_PATH}"] == [each.path for each in slack.received]
    assert slack.received[0].body["text"] == "Run `job` failed with `ValueError`"
    assert slack.received[0].body["unfurl_links"] is False


def test_token_posts_to_the_channel(make_handler: Make, slack: Any) -> None:
    """With a token, the same message goes through the Web API to the channel."""
    handler = make_handler(token=True)
    fail(handler)
    handler.close()
    (request,) = slack.received
    assert request.path == "/api/chat.postMessage"
    assert f"Bearer {TOKEN}" == request.authorization
    assert request.body["channel"] == "C042"
    assert request.body["text"] == "Run `job` failed with `ValueError`"
    assert [block["type"] for block in request.body["blocks"]] == [
        "section",
        "section",
        "section",
        "context",
    ]


def test_error_that_climbs_a_tree_is_told_once_with_its_origin(
    make_handler: Make, slack: Any
) -> None:
    """The root is told, the runs below it are not, and the message says where it began."""
    handler = make_handler()
    with (
        pytest.raises(KeyError),
        CallbackManager([handler]).run("chain", "RunnableSequence", 1) as root,
        root.child.run("chat_model", "FakeListChatModel", [[]]),
    ):
        raise KeyError
    handler.close()
    (request,) = slack.received
    assert f"Run `{root.id}`" in json.dumps(request.body)
    assert "`RunnableSequence &gt; FakeListChatModel`" in json.dumps(request.body)


def test_nothing_is_told_of_what_recovered_or_was_cancelled(make_handler: Make, slack: Any) -> None:
    """A child's error that its root survives, an interrupt, a cancellation: no alert."""
    handler = make_handler()
    with CallbackManager([handler]).run("chain", "job", 1) as root:
        with pytest.raises(ValueError, match="x"), root.child.run("tool", "step", "x"):
            raise ValueError("x")
        root.end("recovered")
    for error in (KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(), GeneratorExit()):
        fail(handler, error)
    handler.close()
    assert slack.received == []


def test_async_run_is_told_too(make_handler: Make, slack: Any) -> None:
    """An asynchronous caller does not wait for Slack either."""
    handler = make_handler()
    slack.answers.clear()

    async def job() -> None:
        async with CallbackManager([handler]).run("chain", "job", 1):
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(job())
    slack.answers.set()
    handler.close()
    assert len(slack.received) == 1


def test_nothing_of_the_payload_is_sent(make_handler: Make, slack: Any) -> None:
    """Inputs, outputs, tags, metadata and the text of the error stay here."""
    for token in (False, True):
        handler = make_handler(token=token)
        fail(handler)
        handler.close()
    assert len(slack.received) == 2
    assert "c4n4ry of a prompt" not in str(slack.received)


def test_rate_limit_is_honoured_on_the_worker(
    make_handler: Make, slack: Any, pauses: list[float]
) -> None:
    """After a 429 the worker waits for as long as Slack asks, then delivers the message once."""
    slack.replies.append((429, {"Retry-After": "7"}, "rate_limited"))
    handler = make_handler()
    fail(handler)
    handler.close()
    refused, taken = slack.received
    assert refused == taken
    (pause,) = pauses
    assert 7 <= pause < 8.1


@pytest.mark.parametrize(
    ("token", "reply", "reason"),
    [
        (False, (404, {}, "no_service"), "Slack refused it with 'no_service' (HTTP 404)"),
        (False, (500, {}, f"<p>{WEBHOOK_PATH}"), "Slack refused it (HTTP 500)"),
        (True, (200, {}, '{"error": "not_in_channel"}'), "with 'not_in_channel' (HTTP 200)"),
        (True, (502, {}, f"<p>{TOKEN}"), "Slack refused it (HTTP 502)"),
    ],
)
def test_refusal_is_logged_once_and_the_next_message_is_sent(
    make_handler: Make,
    slack: Any,
    caplog: pytest.LogCaptureFixture,
    token: bool,  # noqa: FBT001 - pytest passes it by name
    reply: Any,
    reason: str,
) -> None:
    """Each sort of refusal is one line with Slack's own code; more of it is one count."""
    slack.replies.extend([reply, reply])
    handler = make_handler(token=token)
    for _ in range(3):
        fail(handler)
    handler.close()
    assert len(slack.received) == 3
    first, last = logged(caplog)
    assert reason in first
    assert last == "The slack handler lost messages: 2 not taken."


def test_dead_server_costs_no_more_than_the_budget(
    make_handler: Make, slack: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Where Slack never answers, runs go on at once, closing ends in time and says what is lost."""
    slack.answers.clear()
    handler = make_handler(timeout=30)
    began = time.monotonic()
    for _ in range(3):
        fail(handler)
    handler.close(timeout=0.05)
    assert time.monotonic() - began < 5
    assert logged(caplog) == ["The slack handler lost messages: 3 not sent in time."]
    handler.close(timeout=0.05)
    assert len(logged(caplog)) == 1, "What is given up is not lost a second time."


def test_secrets_are_in_no_log_repr_or_error(
    make_handler: Make,
    slack: Any,
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever fails, and however much the host logs, the token and the webhook stay unseen."""
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    handlers = [
        make_handler(),
        make_handler(token=True),
        make_handler(webhook_url=SecretStr(f"{nowhere}/{WEBHOOK_PATH}")),
        make_handler(webhook_url=SecretStr(f"http://[{WEBHOOK_PATH}")),
        make_handler(webhook_url=SecretStr(f"http://\u2603/{WEBHOOK_PATH}\u2603")),
        make_handler(token=True, api_url=nowhere),
        SlackHandler(SlackSettings(token=SecretStr(f"{TOKEN}\n\u2603"), channel="C042")),
    ]
    for handler in handlers:
        slack.replies.append((500, {}, WEBHOOK_PATH + TOKEN))
        fail(handler)
        handler.close()
        slack.replies.clear()
    assert len(logged(caplog)) == 7
    assert "URLError (ConnectionRefusedError)" in caplog.text
    assert pauses, "A connection that was refused is tried again."
    seen = caplog.text + "".join(capfd.readouterr())
    seen += "".join(f"{handler!r} {handler} {vars(handler)}" for handler in handlers)
    assert "c4n4ry" not in seen


def test_handler_works_on_after_it_was_closed(make_handler: Make, slack: Any) -> None:
    """A handler that is closed leaves no thread; a run that fails later is told all the same."""
    handler = make_handler()
    for count in (1, 2):
        fail(handler)
        handler.close()
        handler.close()
        assert count == len(slack.received)
        assert "chain-callbacks-slack" not in {thread.name for thread in threading.enumerate()}


def test_slack_that_does_not_answer_in_time_is_a_failure(
    make_handler: Make, slack: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The setting `timeout` bounds the wait for one answer, and the message is not sent twice."""
    slack.answers.clear()
    handler = make_handler(timeout=1)
    fail(handler)
    handler.close()
    (line,) = logged(caplog)
    assert "could not send a message: TimeoutError. " in line
    assert len(slack.received) == 1


def test_handler_takes_what_a_foreign_manager_brings(make_handler: Make, slack: Any) -> None:
    """LangChain's own arguments are enough."""
    handler = make_handler()
    run_id = CallbackManager().run("chain", "job", 1).id
    handler.on_llm_error(ValueError(), run_id=run_id, parent_run_id=None, tags=[], response=None)
    handler.on_tool_error(ValueError(), run_id=run_id, parent_run_id=run_id)
    handler.close()
    (request,) = slack.received
    assert request.body["text"] == "Run `run` failed with `ValueError`"


def test_service_names_the_application(make_handler: Make, slack: Any) -> None:
    """The label of the settings is in the notification and in the message."""
    handler = make_handler(service="billing")
    fail(handler)
    handler.close()
    (request,) = slack.received
    assert request.body["text"] == "Run `job` failed with `ValueError` in `billing`"
    assert "*Service*\\n`billing`" in json.dumps(request.body["blocks"])


def test_settings_hide_their_secrets() -> None:
    """Neither form of a settings object shows a credential."""
    settings = SlackSettings(token=SecretStr(TOKEN), channel="C042")
    assert TOKEN not in f"{settings} {settings!r} {settings.model_dump()}"
