"""Which runs are sent to Slack, when, and that nothing is lost; the test is the core's worker."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from chain_callbacks import BaseCallbackHandler, CallbackManager
from chain_callbacks_slack import SlackHandler, SlackSettings
from chain_callbacks_slack.sending import RefusedError, SendingError, UnreachableError

Make = Callable[..., SlackHandler]

WEBHOOK_PATH = "B000/c4n4ry-of-a-webhook"
TOKEN = "xoxb-c4n4ry-of-a-token"  # noqa: S105 - a canary

CONTENT = "c4n4ry of a prompt"
ALERT = "Run `job` failed with `ValueError`"


class InlineSlackHandler(SlackHandler):
    """Is told by the caller, so that a test needs no worker to see what the core brings."""

    delivery = "inline"


@pytest.fixture
def make_handler(slack: Any, clock: Any) -> Make:
    """Make a handler that speaks to the stand-in through a webhook, or with ``token=True``."""

    def make(
        *, token: bool = False, kind: type[SlackHandler] = SlackHandler, **settings: Any
    ) -> SlackHandler:
        way: dict[str, Any] = {"webhook_url": SecretStr(f"{slack.url}/services/{WEBHOOK_PATH}")}
        if token:
            way = {"token": SecretStr(TOKEN), "channel": "C042", "api_url": f"{slack.url}/api/"}
        return kind(SlackSettings(**{**way, **settings}), clock=clock, sleep=clock.sleep)

    return make


def fail(handler: SlackHandler, number: int, error: Exception | None = None, **facts: Any) -> None:
    """Tell *handler* of a root run that failed, as the core's worker does."""
    handler.on_chain_error(
        error or ValueError(CONTENT),
        run_id=UUID(int=number),
        **{"name": "job", "origin": ("job",), "tags": [CONTENT], **facts},
    )


def work(handler: SlackHandler, clock: Any, seconds: float) -> list[SendingError]:
    """Call ``deliver`` when it asks for that, and a second after it failed; return its failures."""
    until, failures = clock.now + seconds, []
    while True:
        try:
            wait = handler.deliver()
        except SendingError as error:
            failures.append(error)
            wait = 1.0
        if wait is None or clock.now + wait > until:
            clock.now = until
            return failures
        clock.now += max(wait, 0.001)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "chain_callbacks"]


def counted(texts: list[str]) -> int:
    """Return how many failures the messages tell of."""
    numbers = [re.match(r"([\d,]+) more", text) for text in texts]
    return sum(int(found[1].replace(",", "")) if found else 1 for found in numbers)


def test_handler_is_queued_and_asks_for_no_content() -> None:
    """The core's worker tells it of facts alone."""
    assert issubclass(SlackHandler, BaseCallbackHandler)
    assert (SlackHandler.delivery, SlackHandler.content) == ("queued", "none")


# What the core brings.


@pytest.mark.parametrize("kind", ["chain", "llm", "tool", "retriever", "embeddings"])
def test_root_error_of_each_kind_is_one_message(make_handler: Make, slack: Any, kind: Any) -> None:
    """A root run of any kind that fails is told once, through the webhook, without its payload."""
    handler = make_handler(kind=InlineSlackHandler)
    manager = CallbackManager([handler], tags=[CONTENT], metadata={"user": CONTENT})
    run = manager.run(kind, "job", [CONTENT])
    run.start(*run.payload)
    run.fail(ValueError(CONTENT))
    assert handler.flush(5) == 0
    assert [f"/services/{WEBHOOK_PATH}"] == [each.path for each in slack.received]
    assert [ALERT] == slack.texts
    assert slack.received[0].body["unfurl_links"] is False
    assert CONTENT not in str(slack.received)


def test_error_that_climbs_a_tree_is_told_once_with_its_origin(
    make_handler: Make, slack: Any
) -> None:
    """The root is told, the runs below it are not, and the message says where it began."""
    handler = make_handler(kind=InlineSlackHandler)
    with (
        pytest.raises(KeyError),
        CallbackManager([handler]).run("chain", "RunnableSequence", 1) as root,
        root.manager().run("chat_model", "FakeListChatModel", [[]]),
    ):
        raise KeyError
    handler.flush(5)
    (request,) = slack.received
    assert f"Run `{root.id}`" in json.dumps(request.body)
    assert "`RunnableSequence &gt; FakeListChatModel`" in json.dumps(request.body)


def test_nothing_is_told_of_what_recovered_or_was_cancelled(make_handler: Make, slack: Any) -> None:
    """A child's error that its root survives, an interrupt, a cancellation: no alert."""
    handler = make_handler(kind=InlineSlackHandler)
    with CallbackManager([handler]).run("chain", "job", 1) as root:
        with pytest.raises(ValueError, match="x"), root.manager().run("tool", "step", "x"):
            raise ValueError("x")
        root.end("recovered")
    for error in (KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(), GeneratorExit()):
        run = CallbackManager([handler]).run("chain", "job", 1)
        run.start(*run.payload)
        run.fail(error)
    handler.flush(5)
    assert slack.received == []


def test_handler_takes_what_a_foreign_manager_brings(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """LangChain's own arguments are enough."""
    handler = make_handler()
    run_id = UUID(int=1)
    handler.on_llm_error(ValueError(), run_id=run_id, parent_run_id=None, tags=[], response=None)
    handler.on_tool_error(ValueError(), run_id=run_id, parent_run_id=run_id)
    work(handler, clock, 0)
    assert ["Run `run` failed with `ValueError`"] == slack.texts


# What is sent, and when.


def test_storm_of_equal_errors_is_one_message_and_one_digest(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """1,000 equal errors in ten seconds: one message at once, one with the count a window later."""
    handler, began = make_handler(), clock.now
    for number in range(1_000):
        clock.now = began + number / 100
        fail(handler, number, ValueError(f"{CONTENT} {number}"))
        handler.deliver()
    assert [ALERT] == slack.texts
    work(handler, clock, 3_600)
    assert [ALERT, "999 more runs failed like `job` with `ValueError`"] == slack.texts
    assert handler.deliver() is None


def test_token_posts_to_the_channel(make_handler: Make, slack: Any, clock: Any) -> None:
    """With a token, the same messages go through the Web API to the channel."""
    handler = make_handler(token=True)
    for number in range(3):
        fail(handler, number)
    work(handler, clock, 60)
    assert [ALERT, "2 more runs failed like `job` with `ValueError`"] == slack.texts
    for request in slack.received:
        assert request.path == "/api/chat.postMessage"
        assert f"Bearer {TOKEN}" == request.authorization
        assert request.body["channel"] == "C042"
        assert [block["type"] for block in request.body["blocks"]] == [
            "section",
            "section",
            "section",
            "context",
        ]


def test_digest_seconds_is_the_length_of_a_window(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """The setting says when what is counted is told."""
    handler = make_handler(digest_seconds=300)
    for number in range(2):
        fail(handler, number)
    assert handler.deliver() == 300
    work(handler, clock, 299)
    assert len(slack.received) == 1
    work(handler, clock, 1)
    assert len(slack.received) == 2


def test_errors_of_other_classes_and_origins_are_told_one_by_one(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """The texts of errors group nothing and part nothing; classes and origins do."""
    handler = make_handler()
    fail(handler, 1, KeyError("a"))
    fail(handler, 2, KeyError("b"))
    fail(handler, 3, KeyError("a"), origin=("job", "tool"))
    fail(handler, 4, TypeError("a"))
    work(handler, clock, 59)
    assert [
        "Run `job` failed with `KeyError`",
        "Run `job` failed with `KeyError`",
        "Run `job` failed with `TypeError`",
    ] == slack.texts


def test_one_message_a_second_at_most(make_handler: Make, slack: Any, clock: Any) -> None:
    """Messages that are due together leave in order, a second apart, and nobody sleeps."""
    handler, began = make_handler(), clock.now
    for number in range(3):
        fail(handler, number, name=f"n{number}", origin=(f"n{number}",))
    for second in range(3):
        clock.now = began + second
        expected = None if second == 2 else 1.0
        assert expected == handler.deliver()
        assert len(slack.received) == second + 1
        clock.now += 0.25
        assert (None if second == 2 else 0.75) == handler.deliver()
        assert len(slack.received) == second + 1
    assert [f"Run `n{number}` failed with `ValueError`" for number in range(3)] == slack.texts
    assert clock.slept == []


def test_one_error_is_one_alert(make_handler: Make, slack: Any, clock: Any) -> None:
    """Several runs that were left by the same error are told of once."""
    handler = make_handler()
    for number in range(3):
        fail(handler, number, name=f"n{number}", origin=(), error_id=UUID(int=99))
    work(handler, clock, 120)
    assert len(slack.received) == 1


def test_time_is_that_of_the_failure(make_handler: Make, slack: Any, clock: Any) -> None:
    """A message says when the run failed, however long it waited since."""
    handler = make_handler()
    fail(handler, 1, started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), duration=55.0)
    work(handler, clock, 0)
    assert "at 2026-01-02 03:05:00 UTC" in json.dumps(slack.received[0].body)


def test_service_names_the_application(make_handler: Make, slack: Any, clock: Any) -> None:
    """The label of the settings is in the notification and in the message."""
    handler = make_handler(service="billing")
    for number in range(2):
        fail(handler, number)
    work(handler, clock, 60)
    assert [
        f"{ALERT} in `billing`",
        "1 more run failed like `job` with `ValueError` in `billing`",
    ] == slack.texts
    for request in slack.received:
        assert "*Service*\\n`billing`" in json.dumps(request.body["blocks"])


def test_nothing_hostile_and_nothing_of_the_payload_is_sent(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """Texts of errors and tags stay here; names can mention nobody, in a digest neither."""
    hostile = "<!channel> @here <https://evil.example|click>`"
    cls = type(hostile, (Exception,), {})
    for token in (False, True):
        handler = make_handler(token=token)
        for number in range(2):
            fail(handler, number, cls(CONTENT), name=hostile, origin=(hostile,))
        for number in range(300):
            fail(handler, 1_000 + number, cls(CONTENT), origin=(hostile, str(number)))
        handler.flush(60)
        clock.now += 3_600
    assert len(slack.received) == 2 * 7
    sent = json.dumps([each.body for each in slack.received], ensure_ascii=False)
    assert not re.search(r"<|>|@here", sent)
    assert "c4n4ry" not in sent


# What goes wrong.


@pytest.mark.parametrize("token", [False, True])
def test_rate_limit_holds_the_message_for_as_long_as_slack_asks(
    make_handler: Make,
    slack: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
    token: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """After a 429 nothing is sent until the time has come, then all of it in order; no failure."""
    slack.replies.append((429, {"Retry-After": "7"}, "rate_limited"))
    handler = make_handler(token=token)
    for name in ("first", "second"):
        fail(handler, len(name), name=name, origin=(name,))
    assert handler.deliver() == 7
    clock.now += 6
    assert handler.deliver() == 1
    assert len(slack.received) == 1
    clock.now += 1
    assert [] == work(handler, clock, 10)
    refused, *taken = slack.received
    assert refused == taken[0]
    assert [
        "Run `first` failed with `ValueError`",
        "Run `second` failed with `ValueError`",
    ] == slack.texts[1:]
    assert (logged(caplog), clock.slept) == ([], [])


def test_nothing_is_lost_while_slack_is_down(
    start_slack: Any, make_handler: Make, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What failed meanwhile is told when Slack is back: the first, then how many more there are."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    handler = make_handler(webhook_url=SecretStr(f"http://127.0.0.1:{port}/{WEBHOOK_PATH}"))
    failures = []
    for number in range(10):
        fail(handler, number)
        failures += work(handler, clock, 30)
    assert {UnreachableError} == {type(each) for each in failures}
    slack = start_slack(port)
    assert [] == work(handler, clock, 120)
    assert [ALERT, "9 more runs failed like `job` with `ValueError`"] == slack.texts
    (line,) = logged(caplog)
    assert "could not send a message: URLError (ConnectionRefusedError). " in line


def test_refusal_is_said_once_and_not_retried(
    make_handler: Make, slack: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Slack's code is in one line of the log; each message is tried once, and the next one sent."""
    refusal = (200, {}, '{"ok": false, "error": "invalid_auth"}')
    slack.replies.extend([refusal, refusal])
    handler = make_handler(token=True)
    for name in ("first", "second", "third"):
        fail(
            handler,
            len(name),
            name=name,
            origin=(name,),
            error_id=UUID(bytes=name.zfill(16).encode()),
        )
    failures = work(handler, clock, 600)
    assert [RefusedError, RefusedError] == [type(each) for each in failures]
    assert [f"Run `{name}` failed with `ValueError`" for name in ("first", "second", "third")] == (
        slack.texts
    )
    (line,) = logged(caplog)
    assert "Slack refused it with 'invalid_auth' (HTTP 200)" in line


def test_secrets_are_in_no_log_or_repr(
    make_handler: Make,
    slack: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """However much the host logs, the token, the webhook and the texts of errors stay unseen."""
    caplog.set_level(logging.DEBUG)
    handlers = [make_handler(), make_handler(token=True)]
    for handler in handlers:
        slack.replies.append((500, {}, WEBHOOK_PATH + TOKEN))
        fail(handler, 1)
        assert len(work(handler, clock, 5)) == 1
    assert len(slack.received) == 4
    seen = caplog.text + "".join(capfd.readouterr())
    seen += "".join(f"{handler!r} {handler} {vars(handler)}" for handler in handlers)
    assert "could not send a message" in seen
    assert "c4n4ry" not in seen


# The end, forks and threads.


def test_flush_sends_what_is_held_due_or_not(make_handler: Make, slack: Any, clock: Any) -> None:
    """At the end of a process a pending digest is sent, and no second is kept between messages."""
    handler = make_handler()
    for number in range(5):
        fail(handler, number)
    fail(handler, 9, origin=("other",))
    handler.deliver()
    assert handler.flush(5) == 0
    assert counted(slack.texts) == 6
    assert slack.texts[0] == ALERT
    assert clock.slept == []
    assert handler.deliver() is None


def test_flush_of_many_sorts_is_a_few_messages(make_handler: Make, slack: Any) -> None:
    """Hundreds of sorts are told within the budget: a few one by one, the rest in one message."""
    handler = make_handler()
    for number in range(300):
        fail(handler, number, origin=("job", f"step {number}"))
    assert handler.flush(5) == 0
    assert [*[ALERT] * 5, "295 more runs failed in other ways"] == sorted(
        slack.texts, key=lambda text: "other" in text
    )


def test_flush_waits_as_slack_asks_where_that_is_in_time(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """A 429 during a flush is waited out within the budget; the message is sent once more."""
    slack.replies.append((429, {"Retry-After": "2"}, "rate_limited"))
    handler = make_handler()
    fail(handler, 1)
    assert handler.flush(5) == 0
    assert [ALERT, ALERT] == slack.texts
    assert clock.slept == [2.0]


def test_flush_says_how_much_is_left_where_slack_asks_for_more(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """Where the wait is longer than the budget, nothing is waited for and nothing is lost."""
    slack.replies.append((429, {"Retry-After": "30"}, "rate_limited"))
    handler = make_handler()
    for number in range(3):
        fail(handler, number)
    assert handler.flush(5) == 2
    assert handler.flush(0) == 2
    assert len(slack.received) == 1
    work(handler, clock, 120)
    assert counted(slack.texts[1:]) == 3
    assert clock.slept == []


def test_flush_counts_what_is_left_and_raises_what_was_refused(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """A refused message does not stop the others; a Slack that is not there does, for now."""
    slack.replies.extend([(404, {}, "no_service"), (200, {}, "ok"), (503, {}, "")])
    handler = make_handler()
    for number in range(3):
        fail(handler, number, origin=(f"n{number}",))
    assert handler.flush(5) == 1
    slack.replies.append((404, {}, "no_service"))
    with pytest.raises(RefusedError):
        handler.flush(5)
    assert len(slack.received) == 4
    assert handler.flush(5) == 0


def test_flush_beside_a_worker_that_hangs_ends_in_time(make_handler: Make, slack: Any) -> None:
    """While another thread waits for Slack, a flush keeps to its budget and counts that message."""
    handler = make_handler()
    fail(handler, 1)
    slack.answers.clear()
    worker = threading.Thread(target=handler.deliver)
    worker.start()
    try:
        assert slack.asked.wait(10)
        assert handler.flush(0.05) == 1
        assert handler.deliver() == 1, "A second worker does not wait either."
    finally:
        slack.answers.set()
        worker.join()
    assert handler.flush(5) == 0
    assert [ALERT] == slack.texts


def test_flush_of_a_slack_that_does_not_answer_ends_in_time(slack: Any) -> None:
    """The budget bounds each request, however long the setting `timeout` is."""
    slack.answers.clear()
    settings = SlackSettings(webhook_url=SecretStr(f"{slack.url}/x"), timeout=30)
    handler = SlackHandler(settings)
    fail(handler, 1)
    began = time.monotonic()
    assert handler.flush(0.1) == 1
    assert time.monotonic() - began < 5


def test_after_a_fork_nothing_of_the_parent_is_sent_or_locked(
    make_handler: Make, slack: Any, clock: Any
) -> None:
    """The child forgets what is held, and its locks are free whoever held the parent's."""
    handler = make_handler()
    fail(handler, 1)
    holder = threading.Thread(target=lambda: (handler._lock.acquire(), handler._sending.acquire()))
    holder.start()
    holder.join()
    handler.after_fork()
    assert handler.deliver() is None
    fail(handler, 2, KeyError())
    work(handler, clock, 120)
    assert ["Run `job` failed with `KeyError`"] == slack.texts


def test_threads_lose_and_double_nothing(make_handler: Make, slack: Any) -> None:
    """Events, deliveries and flushes from many threads at once add up."""
    handler = make_handler()

    def tell(first: int) -> None:
        for number in range(first, first + 250):
            fail(handler, number)
            if number % 50 == 0:
                handler.deliver()
            if number % 100 == 99:
                handler.flush(5)

    threads = [threading.Thread(target=tell, args=(1_000 * each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert handler.flush(5) == 0
    assert counted(slack.texts) == 1_000


def test_handler_works_on_after_it_was_closed(make_handler: Make, slack: Any, clock: Any) -> None:
    """A run that fails after ``close`` is told all the same, and no thread was ever started."""
    handler, before = make_handler(), {*threading.enumerate()}
    for number in range(2):
        fail(handler, number, origin=(f"n{number}",))
        handler.flush(5)
        handler.close()
        handler.close()
    assert len(slack.received) == 2
    started = {*threading.enumerate()} - before
    assert all("process_request" in each.name for each in started), "Those are the stand-in's."


def test_settings_hide_their_secrets() -> None:
    """Neither form of a settings object shows a credential."""
    settings = SlackSettings(token=SecretStr(TOKEN), channel="C042")
    assert TOKEN not in f"{settings} {settings!r} {settings.model_dump()}"
