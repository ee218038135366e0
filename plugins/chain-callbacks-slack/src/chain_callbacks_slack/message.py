"""The messages: names, counts, times and ids, escaped for Slack and within its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from .failure import Failure, cut
from .tally import Tally

_ESCAPES: Final = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "`": "'",  # It would end the code span that the text stands in.
        "@": "@\N{WORD JOINER}",  # A bare `@here` is a mention wherever names are linked.
    }
)


class Message(NamedTuple):
    """What is sent: *text* for notifications and old clients, *blocks* (Block Kit) for the rest."""

    text: str
    blocks: Sequence[dict[str, Any]]


def failed_run(failure: Failure, *, service: str | None) -> Message:
    """Return the message about a root run that was left by an exception."""
    title, error = literal(failure.name), literal(failure.error_class)
    return Message(
        text=f"Run {title} failed with {error}{_in(service)}",
        blocks=[
            _section(f":rotating_light: *Run failed:* {title}"),
            _facts({"Error": error, "Duration": _readable(failure.duration)}, service),
            _section(f"*Began in*\n{literal(failure.began)}"),
            _context(f"Run {literal(str(failure.run_id))} at {_moment(failure.failed_at)}"),
        ],
    )


def more_failures(like: Failure, tally: Tally, *, service: str | None) -> Message:
    """Return the digest of failures of the same class and origin as *like*."""
    title, error, runs = literal(like.name), literal(like.error_class), _runs(tally.count)
    return Message(
        text=f"{runs} failed like {title} with {error}{_in(service)}",
        blocks=[
            _section(f":rotating_light: *{runs} failed:* {title}"),
            _facts({"Error": error, **_span(tally)}, service),
            _section(f"*Began in*\n{literal(like.began)}"),
            _context(_some_of(tally)),
        ],
    )


def other_failures(tally: Tally, *, service: str | None) -> Message:
    """Return the digest of failures of too many sorts to tell of each."""
    runs = _runs(tally.count)
    classes = [f"{literal(name)} {count:,}" for name, count in tally.classes.most_common()]
    unnamed = tally.count - tally.classes.total()
    if unnamed:
        classes.append(f"other classes {unnamed:,}")
    return Message(
        text=f"{runs} failed in other ways{_in(service)}",
        blocks=[
            _section(f":rotating_light: *{runs} failed*, in more ways than are told one by one"),
            _facts(_span(tally), service),
            _section("*Errors*\n" + "\n".join(classes)),
            _context(_some_of(tally)),
        ],
    )


def literal(text: str) -> str:
    """Return *text* as a code span: one line, with no markup, mention, link or emoji in it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"`{line.translate(_ESCAPES) or '?'}`"


def _in(service: str | None) -> str:
    return f" in {literal(cut(service))}" if service else ""


def _runs(count: int) -> str:
    return f"{count:,} more {'run' if count == 1 else 'runs'}"


def _span(tally: Tally) -> dict[str, str]:
    return {"First": _moment(tally.first_at), "Last": _moment(tally.last_at)}


def _some_of(tally: Tally) -> str:
    shown = ", ".join(literal(str(run_id)) for run_id in tally.run_ids)
    rest = tally.count - len(tally.run_ids)
    return f"Runs {shown} and {rest:,} more" if rest else f"Runs {shown}"


def _moment(at: datetime | None) -> str:
    return "unknown" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _readable(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    milliseconds = round(seconds * 1000)
    if milliseconds < 1:
        return "under 1 ms"
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s"


def _facts(facts: Mapping[str, str], service: str | None) -> dict[str, Any]:
    told = {**facts, **({"Service": literal(cut(service))} if service else {})}
    return {"type": "section", "fields": [_mrkdwn(f"*{k}*\n{v}") for k, v in told.items()]}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Mapping[str, Any]:
    # Verbatim: Slack makes no links out of what looks like a URL, a channel or a name.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
