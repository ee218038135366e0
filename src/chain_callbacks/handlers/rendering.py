"""What handlers that print have in common: safe text, token usage, and a line on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from ..forks import no_fork
from ..text import escaped

_USAGE: Final = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
}


def shown(value: Any, limit: int) -> str:
    """Return *value* as safe text of at most *limit* characters, a longer one with its length."""
    return _shown(str if isinstance(value, str) else repr, value, limit)


def shown_error(error: BaseException, limit: int) -> str:
    """Return the text of *error* as ``shown`` does."""
    return _shown(str, error, limit)


def _shown(render: Callable[[Any], str], value: Any, limit: int) -> str:
    try:
        text = render(value)
    except Exception:
        return f"[unprintable: {type(value).__qualname__}]"
    if len(text) <= limit:
        return escaped(text)
    return f"{escaped(text[:limit])}... [{len(text)} characters]"


def usage_of(response: Any) -> dict[str, int]:
    """Return the tokens that a model's answer says it used, in LangChain's three names.

    The messages know best; else what the provider put in ``llm_output``. Empty if neither says.
    """
    found: dict[str, int] = {}
    for generations in getattr(response, "generations", None) or ():
        for generation in generations:
            message = getattr(generation, "message", None)
            for name, count in _counts(getattr(message, "usage_metadata", None)).items():
                found[name] = found.get(name, 0) + count
    if found:
        return found
    output = getattr(response, "llm_output", None)
    if not isinstance(output, Mapping):
        return {}
    return _counts(output.get("token_usage") or output.get("usage"))


def _counts(usage: Any) -> dict[str, int]:
    if not isinstance(usage, Mapping):
        return {}
    counts = {}
    for name, aliases in _USAGE.items():
        for alias in aliases:
            if isinstance(usage.get(alias), int):
                counts[name] = usage[alias]
                break
    return counts


def retry_of(state: Any) -> dict[str, Any]:
    """Return what a retry's state says: the ``attempt`` that failed, the class of its ``error``."""
    found: dict[str, Any] = {}
    attempt = getattr(state, "attempt_number", None)
    if isinstance(attempt, int):
        found["attempt"] = attempt
    try:
        error = state.outcome.exception(timeout=0)
    except Exception:
        return found
    if isinstance(error, BaseException):
        found["error"] = escaped(type(error).__name__)
    return found


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person is likely to watch *stream*; a closed one has no watcher."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def write_line(text: str, stream: TextIO | None = None) -> None:
    """Write one line, in one piece, to *stream* or to what ``sys.stderr`` is now.

    Characters that the encoding lacks are escaped. Without a console there is no ``sys.stderr``,
    and nothing is written.
    """
    stream = stream or sys.stderr
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None)
    if encoding:
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    with no_fork():
        stream.write(f"{text}\n")
        stream.flush()
