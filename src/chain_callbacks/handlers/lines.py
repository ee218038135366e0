"""A handler whose events all come to one method, except tokens, which cost it nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from ..events import EVENTS, EventSpec, on_llm_new_token
from ..handler import BaseCallbackHandler, Content


class Line(NamedTuple):
    """One event with what is known of its run.

    *payload* has the positional arguments of the event. *name* is None in a custom event, whose
    own name is in the payload. *content* is how much of the payload is shown. What follows it is
    known at the end only; *duration* is in seconds.
    """

    spec: EventSpec[...]
    payload: tuple[Any, ...]
    run_id: UUID
    parent_run_id: UUID | None
    root_run_id: UUID
    depth: int
    name: str | None
    run_type: str
    tags: Sequence[str]
    content: Content
    status: str | None = None
    duration: float | None = None
    error_id: UUID | None = None
    is_origin: bool = False
    origin: tuple[str, ...] = ()


class LineHandler(BaseCallbackHandler):
    """Is told of every event but tokens through ``tell``.

    ``on_event`` would do, but a record would be made of each token.
    """

    def tell(self, line: Line) -> None:
        """Deal with one event."""
        raise NotImplementedError

    def mute(self, *names: str) -> None:
        """Stop listening to these events of this object, before it is first used.

        A method that a subclass overrides goes on listening.
        """
        for name in names:
            if getattr(type(self), name) is getattr(LineHandler, name):
                # What cannot be called is no method: no route is built, nothing is called.
                vars(self)[name] = None


def _method(spec: EventSpec[...]) -> Any:
    # A fact is computed for whoever names it; the duration of a run that goes on reads the clock.
    def tell(
        self: LineHandler,
        *payload: Any,
        run_id: UUID,
        root_run_id: UUID,
        depth: int,
        run_type: str,
        content: Content,
        parent_run_id: UUID | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        **_: Any,
    ) -> None:
        run = (spec, payload, run_id, parent_run_id, root_run_id, depth, name, run_type, tags)
        self.tell(Line(*run, content))

    def tell_end(
        self: LineHandler,
        *payload: Any,
        run_id: UUID,
        root_run_id: UUID,
        depth: int,
        run_type: str,
        content: Content,
        name: str,
        status: str | None,
        duration: float | None,
        error_id: UUID | None,
        is_origin: bool,
        origin: tuple[str, ...],
        parent_run_id: UUID | None = None,
        tags: Sequence[str] = (),
        **_: Any,
    ) -> None:
        run = (spec, payload, run_id, parent_run_id, root_run_id, depth, name, run_type, tags)
        self.tell(Line(*run, content, status, duration, error_id, is_origin, origin))

    method = tell_end if spec.phase in ("end", "error") else tell
    method.__name__ = spec.name
    method.__qualname__ = f"LineHandler.{spec.name}"
    method.__doc__ = spec.does
    return method


for _spec in EVENTS.values():
    if _spec is not on_llm_new_token:
        setattr(LineHandler, _spec.name, _method(_spec))
