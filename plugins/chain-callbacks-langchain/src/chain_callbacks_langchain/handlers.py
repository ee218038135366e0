"""The handlers in LangChain's lists, and what becomes of the events that they are listed for.

LangChain finds the bridge by itself, and those that stand for names are written in code. An event
is passed on to our runs once, however many of them are in the list, with the entries of all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from langchain_core.tracers.context import register_configure_hook

from chain_callbacks import CallbackManager, ChainCallbacksError
from chain_callbacks.events import EVENTS, RunType
from chain_callbacks.hosts import (
    SUPPRESSED,
    Gate,
    Run,
    check_callbacks,
    manager_at,
    own_scope,
    run_at,
    silent_manager,
)

from .dispatching import Event, Listed, Receiver, call_the_bridge_apart, receivers
from .tree import Place, own_id, tree

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler

log = logging.getLogger("chain_callbacks")


class Bridge(Listed):
    """The one bridge of a process; LangChain finds it by a hook, in every run."""


class Named(Listed):
    """Stands for names of handlers wherever LangChain takes a handler; made by ``named()``."""

    def __init__(self, *entries: Any) -> None:
        self.entries = entries

    def __deepcopy__(self, _memo: object) -> Named:
        return self  # A copy of a config means the same handlers.

    def __repr__(self) -> str:
        return f"named({', '.join(map(repr, self.entries))})"


def named(*entries: Any) -> BaseCallbackHandler:
    """Return a LangChain handler that stands for *entries*, good wherever LangChain takes one.

    ``named("structlog", "-slack")`` in a config, in ``with_config`` or in the constructor of a
    model or a tool: the names join, or leave, at the runs that LangChain tells it of, and all that
    is nested in them.

    Args:
        entries: Names as at run time, ``policy(...)`` and ``Local(...)`` of them, or handlers.

    Raises:
        InvalidNameError: A text is no name.
        NotAHandlerError: One of them is neither a name nor a handler.
    """
    check_callbacks(entries, "named()")
    attach_bridge()
    return Named(*entries)


_STARTS: Final[Mapping[str, RunType]] = {
    "on_chain_start": "chain",
    "on_llm_start": "llm",
    "on_chat_model_start": "chat_model",
    "on_tool_start": "tool",
    "on_retriever_start": "retriever",
}
_ENDS: Final = ("on_chain_end", "on_llm_end", "on_tool_end", "on_retriever_end")
_ERRORS: Final = ("on_chain_error", "on_llm_error", "on_tool_error", "on_retriever_error")
_DURING: Final = (
    "on_llm_new_token",
    "on_text",
    "on_retry",
    "on_agent_action",
    "on_agent_finish",
    "on_custom_event",
)
_NOTHING: Final[frozenset[object]] = frozenset()
_SAME_START: Final[Mapping[str, RunType]] = {"prompt": "prompt", "parser": "parser"}


def _payload_of(event: Event) -> tuple[Any, ...]:
    """Return the payload of an event, which LangChain gives by position or by keyword."""
    names = EVENTS[event.name].positional[len(event.arguments) :]
    return (*event.arguments, *map(event.keywords.get, names))


def _keywords_of(event: Event) -> Mapping[str, Any]:
    names = EVENTS[event.name].keywords
    return {name: event.keywords[name] for name in names if event.keywords.get(name) is not None}


Opened = tuple[Run, tuple[Any, ...], Mapping[str, Any]]
"""A run of ours, and the payload and the keywords of an event of it."""


def _opened(event: Event) -> Opened | None:
    """Return a run that is to be started; None where nobody listens to it."""
    keywords = event.keywords
    run_id: UUID = keywords["run_id"]
    outside = own_scope()
    if outside is SUPPRESSED or tree.open(run_id) is not None:
        return None
    scope, around = tree.where(keywords.get("parent_run_id"))
    applied: frozenset[object] = _NOTHING if around is None else around.applied
    joining = [each for each in event.listed if each.entries and each not in applied]
    entries = [entry for each in joining for entry in each.entries] if joining else None
    manager = manager_at(scope, entries)
    serialized, *payload = _payload_of(event)
    run_type = _SAME_START.get(keywords.get("run_type") or "", _STARTS[event.name])
    run: Run | None = None
    if manager is not None and not manager.is_silent:
        run = run_at(
            manager,
            run_type,
            _name_of(serialized, keywords, run_type),
            run_id=own_id(run_id),
            tags=keywords.get("tags"),
            metadata=keywords.get("metadata"),
            id_path=tuple((serialized or {}).get("id") or ()),
            told_already=frozenset(map(id, event.others)),
        )
    tree.add(
        Place(
            run_id,
            run or _handed_down(manager),
            outside=outside,
            parent=around,
            applied=applied.union(joining) if joining else applied,
        )
    )
    if run is None:
        return None
    return run, tuple(payload), _keywords_of(event)


def _handed_down(manager: CallbackManager | None) -> CallbackManager:
    return silent_manager() if manager is None else manager


def _name_of(serialized: Any, keywords: Mapping[str, Any], run_type: str) -> str:
    known = serialized if isinstance(serialized, Mapping) else {}
    id_path = known.get("id") or ("",)
    return str(keywords.get("name") or known.get("name") or id_path[-1] or run_type)


def _open_or_pass(event: Event) -> Opened | None:
    try:
        return _opened(event)
    except (ChainCallbacksError, BaseExceptionGroup):
        raise  # A name cannot be used, and nothing has run yet.
    except Exception:
        log.exception("A run of LangChain's could not be bridged. It goes on without handlers.")
        return None


def _start(event: Event) -> None:
    opened = _open_or_pass(event)
    if opened is None:
        return
    run, payload, kept = opened
    try:
        run.start(payload, kept)
    except BaseException as error:
        _fail(event, error)
        raise


async def _astart(event: Event) -> None:
    opened = _open_or_pass(event)
    if opened is None:
        return
    run, payload, kept = opened
    try:
        await run.astart(payload, kept)
    except BaseException as error:
        await _afail(event, error)
        raise


def _ended(event: Event) -> Run | None:
    """Return our run, which ends; None where nobody listens to it, or where it ended before."""
    place = tree.end(event.keywords["run_id"])
    return None if place is None else place.run


def _end(event: Event) -> None:
    run = _ended(event)
    if run is not None:
        run.end(*_payload_of(event))


async def _aend(event: Event) -> None:
    run = _ended(event)
    if run is not None:
        await run.aend(*_payload_of(event))


def _failing(event: Event, error: BaseException) -> tuple[list[Run], Run | None]:
    """Return our runs that *error* ends: those inside that get no end of their own, and the run."""
    place = tree.end(event.keywords["run_id"])
    if place is None:
        return [], None
    if isinstance(error, Exception):
        return [], place.run  # A nested run that goes on has its own end.
    return [each.run for each in tree.abandoned(place) if each.run is not None], place.run


def _about_error(event: Event) -> Mapping[str, Any]:
    # The event is the start, where a handler refused it.
    return _keywords_of(event) if event.name in _ERRORS else {}


def _fail(event: Event, error: BaseException) -> None:
    nested, run = _failing(event, error)
    for each in nested:
        each.fail(error)
    if run is None:
        return
    if isinstance(error, GeneratorExit):
        run.end(event.keywords.get("response"), status="closed")
    else:
        run.fail(error, keywords=_about_error(event))


async def _afail(event: Event, error: BaseException) -> None:
    nested, run = _failing(event, error)
    for each in nested:
        await each.afail(error)
    if run is None:
        return
    if isinstance(error, GeneratorExit):
        await run.aend(event.keywords.get("response"), status="closed")
    else:
        await run.afail(error, keywords=_about_error(event))


def _receive_error(event: Event) -> None:
    _fail(event, *_payload_of(event))


async def _areceive_error(event: Event) -> None:
    await _afail(event, *_payload_of(event))


def _opened_before(event: Event) -> Opened | None:
    """Return the run of an event between start and end; None where nobody listens to it."""
    place = tree.open(event.keywords["run_id"])
    if place is None or place.run is None:
        return None
    return place.run, _payload_of(event), _keywords_of(event)


def _tell(event: Event) -> None:
    opened = _opened_before(event)
    if opened is not None:
        run, payload, kept = opened
        run.tell(EVENTS[event.name], payload, kept)


async def _atell(event: Event) -> None:
    opened = _opened_before(event)
    if opened is not None:
        run, payload, kept = opened
        await run.atell(EVENTS[event.name], payload, kept)


receivers.update(dict.fromkeys(_STARTS, Receiver(_start, _astart, _fail, _afail)))
receivers.update(dict.fromkeys(_ENDS, Receiver(_end, _aend)))
receivers.update(dict.fromkeys(_ERRORS, Receiver(_receive_error, _areceive_error)))
receivers.update(dict.fromkeys(_DURING, Receiver(_tell, _atell)))


def attach_bridge() -> None:
    """Have LangChain find the bridge; once a process."""
    if _attached:
        return
    call_the_bridge_apart()
    _attached.append(True)
    # A context variable whose default is the bridge would put it into every run, also where nobody
    # listens. With its class known, LangChain never puts a second one into a list.
    register_configure_hook(cast("Any", Gate(Bridge())), inheritable=True, handle_class=Bridge)


_attached: Final[list[bool]] = []
