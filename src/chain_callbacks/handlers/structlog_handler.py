"""The handler ``structlog``: one line an event, for people on a terminal, else as JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..dispatch.identity import source
from ..events import EVENTS, EventSpec, on_custom_event, on_llm_end, on_retry
from ..forks import no_fork
from ..text import escaped
from .lines import Line, LineHandler
from .rendering import (
    is_terminal,
    retry_of,
    shown,
    shown_error,
    usage_of,
    write_line,
)

if TYPE_CHECKING:
    from .settings import StructlogSettings

_MOST_CHARACTERS: Final = 1000
_LEVELS: Final = ("debug", "info", "warning", "error")
_BY_EVENT: Final[Mapping[str, str]] = {
    "on_retry": "warning",
    "on_custom_event": "info",
    "on_interrupt": "info",
    "on_resume": "info",
}
_BY_PHASE: Final[Mapping[str, str]] = {
    "start": "debug",
    "during": "debug",
    "end": "info",
    "error": "error",
}


def _level_of(spec: EventSpec[...]) -> str:
    return _BY_EVENT.get(spec.name, _BY_PHASE[spec.phase])


class StructlogHandler(LineHandler):
    """Logs each event of a run, tokens excepted, as one structured line.

    A line has ``event`` (the handler's method without ``on_``: ``chain_start``, ``llm_end``),
    ``run_type``, ``run_name``, ``run_id``, ``parent_run_id`` and ``root_run_id``; at the end
    ``duration_ms``, a ``status`` other than ``ok``, the tokens that a model used, and of an error
    its class, its id, and ``origin``, the way down to the run it began in. Starts are DEBUG, ends
    INFO, errors ERROR, a cancelled run is INFO. Payloads, the text of errors and the users' tags
    appear only with the policy ``content``: ``redacted``, or ``full``.

    Where the program has configured structlog before the first event, the lines go through its
    pipeline, as those of a logger called ``chain_callbacks``. Otherwise, and where the setting
    ``renderer`` chooses one, they go to stderr through a pipeline of our own. No configuration,
    structlog's or ``logging``'s, is changed.
    """

    settings_model = "chain_callbacks.handlers.settings:StructlogSettings"
    sends_to = "stderr"
    content = "none"

    def __init__(self, settings: StructlogSettings | None = None) -> None:
        self._renderer = "auto" if settings is None else settings.renderer
        level = "debug" if settings is None else settings.level
        self._levels = frozenset(_LEVELS[_LEVELS.index(level) :])
        # Here and not at the first event, whose run would look slow by the time that it takes.
        self._structlog = import_module("structlog")
        self._logger: Any = None
        self.mute(*(name for name, spec in EVENTS.items() if _level_of(spec) not in self._levels))

    def tell(self, line: Line) -> None:
        """Log one event."""
        level = _level_of(line.spec)
        if line.spec.phase == "error" and line.status != "error":
            level = "info"
        if level not in self._levels:
            return
        fields = {**_identity(line), **_outcome(line)}
        if line.tags:
            fields["tags"] = [escaped(tag) for tag in line.tags]
        if line.content != "none":
            fields.update(_content(line))
        if self._logger is None:
            self._logger = self._make_logger()
        with no_fork():  # The program's own pipeline may write to a stream.
            getattr(self._logger, level)(line.spec.name.removeprefix("on_"), **fields)

    def _make_logger(self) -> Any:
        structlog = self._structlog
        if self._renderer == "auto" and structlog.is_configured():
            return structlog.get_logger("chain_callbacks")
        # Each argument is given: what is left out comes from the global configuration.
        return structlog.wrap_logger(
            _Stderr(),
            processors=[_begin_line, _Render(structlog, self._renderer)],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            context_class=dict,
            cache_logger_on_first_use=True,
        )


def _identity(line: Line) -> dict[str, Any]:
    # `name` and `message` would be refused by a pipeline that ends in `logging` and its `extra`.
    fields = {"run_type": line.run_type}
    if line.spec is on_custom_event:
        fields["custom_event"] = escaped(str(line.payload[0]))
    else:
        fields["run_name"] = escaped(str(line.name))
    fields["run_id"] = str(line.run_id)
    if line.parent_run_id is not None:
        fields["parent_run_id"] = str(line.parent_run_id)
    fields["root_run_id"] = str(line.root_run_id)
    return fields


def _outcome(line: Line) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if line.duration is not None:
        fields["duration_ms"] = round(line.duration * 1000, 3)
    if line.status not in (None, "ok"):
        fields["status"] = line.status
    if line.spec.phase == "error":
        fields["error"] = escaped(type(line.payload[0]).__name__)
        fields["error_id"] = str(line.error_id)
        if not line.is_origin and line.origin:
            fields["origin"] = escaped(" > ".join(line.origin))
    elif line.spec is on_llm_end:
        fields.update(usage_of(line.payload[0]))
    elif line.spec is on_retry:
        fields.update(retry_of(line.payload[0]))
    return fields


def _content(line: Line) -> dict[str, Any]:
    if line.spec.phase == "error":
        return {"error_text": shown_error(line.payload[0], _MOST_CHARACTERS)}
    return {
        name: shown(value, _MOST_CHARACTERS)
        for name, value in zip(line.spec.positional, line.payload, strict=True)
        if name in line.spec.content
    }


def _begin_line(
    _logger: Any, level: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    now = datetime.fromtimestamp(source.wall() / 1e9, UTC)
    timestamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = event_dict.pop("event")
    return {"timestamp": timestamp, "level": level, "event": event, **event_dict}


class _Render:
    """Chooses the renderer at each line, because ``sys.stderr`` may be another one by then."""

    def __init__(self, structlog: Any, renderer: str) -> None:
        self._renderer = renderer
        self._json = structlog.processors.JSONRenderer()
        self._plain = structlog.dev.ConsoleRenderer(colors=False, sort_keys=False)
        # On Windows structlog refuses colours where colorama is not installed.
        has_colours = sys.platform != "win32"
        self._coloured = structlog.dev.ConsoleRenderer(colors=has_colours, sort_keys=False)

    def __call__(self, logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> Any:
        watched = is_terminal(sys.stderr)
        if self._renderer == "json" or (self._renderer == "auto" and not watched):
            return self._json(logger, method, event_dict)
        plain = not watched or os.environ.get("NO_COLOR")
        render = self._plain if plain else self._coloured
        return render(logger, method, event_dict)


class _Stderr:
    """What the pipeline ends in."""

    def msg(self, message: str) -> None:
        write_line(message)

    debug = info = warning = error = msg
