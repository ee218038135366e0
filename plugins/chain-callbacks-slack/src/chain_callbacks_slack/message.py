"""The message about a failed run: names, times and ids, escaped for Slack and cut to its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

# Slack takes 3,000 characters in a section's text and 2,000 in a field. Escaping makes five of one,
# so the longest, a path of six names, stays under 2,500.
_LONGEST: Final = 60
_NAMES_SHOWN: Final = 6

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


def failed_run(
    *,
    name: str,
    error_class: str,
    duration: float | None,
    run_id: UUID,
    origin: Sequence[str],
    service: str | None,
) -> Message:
    """Return the message about a root run that was left by an exception.

    *duration* is in seconds; *origin* has the names of the runs from the root to where the
    exception began.
    """
    title, error = literal(_cut(name)), literal(_cut(error_class))
    facts = {"Error": error, "Duration": _readable(duration)}
    if service:
        facts["Service"] = literal(_cut(service))
    began = literal(_path(origin or (name,)))
    return Message(
        text=f"Run {title} failed with {error}" + (f" in {facts['Service']}" if service else ""),
        blocks=[
            _section(f":rotating_light: *Run failed:* {title}"),
            {"type": "section", "fields": [_mrkdwn(f"*{k}*\n{v}") for k, v in facts.items()]},
            _section(f"*Began in*\n{began}"),
            {"type": "context", "elements": [_mrkdwn(f"Run {literal(str(run_id))}")]},
        ],
    )


def literal(text: str) -> str:
    """Return *text* as a code span: one line, with no markup, mention, link or emoji in it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"`{line.translate(_ESCAPES) or '?'}`"


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _path(names: Sequence[str]) -> str:
    shown = [_cut(name) for name in (*names[:1], *names[1:][1 - _NAMES_SHOWN :])]
    if len(names) > _NAMES_SHOWN:
        # The ends say most: what was called, and where it broke.
        shown[1] = f"… {len(names) - _NAMES_SHOWN + 1:,} more …"
    return " > ".join(shown)


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


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Mapping[str, Any]:
    # Verbatim: Slack makes no links out of what looks like a URL, a channel or a name.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
