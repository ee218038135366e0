"""Bodies and events as plain JSON values, whatever objects a client has for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_ABSENT: Final = object()


def plain(value: Any) -> Any:
    """Return *value* as JSON: a client's objects become dicts without their unset fields.

    Anything else, such as an iterator or a file, is left out and stays unread.
    """
    found = _plain(value)
    return None if found is _ABSENT else found


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        pairs = ((key, _plain(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not _ABSENT}
    if isinstance(value, list | tuple):
        return [item for item in map(_plain, value) if item is not _ABSENT]
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        return _ABSENT
    return dump(mode="json", exclude_unset=True, by_alias=True, warnings=False)


def parsed(body: bytes | str) -> Any:
    """Return the JSON value of *body*; None if it is not valid JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class EventLines:
    """Reads server-sent events from bytes as they arrive: those whose data is a JSON object."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def read(self, received: bytes) -> list[Any]:
        """Return the events that *received* completes."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        found = []
        for line in lines:
            text = line.rstrip(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[5:].strip())
            elif not text and self._data:
                event = parsed(b"\n".join(self._data))
                self._data = []
                if isinstance(event, Mapping):
                    found.append(event)
        return found
