"""The handlers that LangChain knows: the bridge, which it finds by itself, and those named in code.

Either passes on to our runs what LangChain tells it. Where several stand in one list, the first
passes the events on, and the names of all are folded in together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
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

from .dispatching import is_waited_for, told_beside
from .tree import Place, tree

log = logging.getLogger("chain_callbacks")


class Told(BaseCallbackHandler):
    """A handler of LangChain's that passes events on; it holds the names that join there."""

    raise_error = True
    """What leaves our runs was raised on purpose, by a guard or for a name that nobody knows."""
    run_inline = True
    """Without it LangChain moves each event to another thread, under asynchronous code."""

    entries: tuple[Any, ...] = ()


class Bridge(Told):
    """The one bridge of a process; LangChain finds it by a hook, in every run."""


class Named(Told):
    """Stands for names of handlers wherever LangChain takes a handler; made by ``named()``."""

    def __init__(self, *entries: Any) -> None:
        self.entries = entries

    def __deepcopy__(self, _memo: object) -> Named:
        return self  # What it stands for is one: a copy of a config means the same handlers.

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


class _Start(NamedTuple):
    """How a start event of LangChain's becomes a run of ours, and what is kept of its keywords."""

    run_type: RunType
    keywords: tuple[str, ...] = ()


_STARTS: Final = {
    "on_chain_start": _Start("chain"),
    "on_llm_start": _Start("llm", ("invocation_params", "options")),
    "on_chat_model_start": _Start("chat_model", ("invocation_params", "options")),
    "on_tool_start": _Start("tool", ("inputs", "tool_call_id")),
    "on_retriever_start": _Start("retriever"),
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


def _opened(
    teller: Told, event: str, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Run, tuple[Any, ...], Mapping[str, Any]] | None:
    """Return a run that is to be started, and the payload of its start; None where it is silent."""
    run_id: UUID = keywords["run_id"]
    outside = own_scope()
    if outside is SUPPRESSED or tree.open(run_id) is not None:
        return None
    scope, around = tree.where(keywords.get("parent_run_id"))
    applied: frozenset[object] = _NOTHING if around is None else around.applied
    told_already: frozenset[int] = frozenset()
    joining = [teller] if teller.entries and teller not in applied else []
    beside = told_beside()
    if len(beside) > 1:
        ours = [each for each in beside if isinstance(each, Told)]
        joining = [each for each in ours if each.entries and each not in applied]
        if len(ours) < len(beside):
            told_already = frozenset(id(each) for each in beside if not isinstance(each, Told))
    entries = [entry for each in joining for entry in each.entries] if joining else None
    manager = manager_at(scope, entries)
    start = _STARTS[event]
    serialized, *payload = arguments
    run_type = _SAME_START.get(keywords.get("run_type") or "", start.run_type)
    run: Run | None = None
    if manager is not None and not manager.is_silent:
        run = run_at(
            manager,
            run_type,
            _name_of(serialized, keywords, run_type),
            run_id=run_id,
            tags=keywords.get("tags"),
            metadata=keywords.get("metadata"),
            id_path=tuple((serialized or {}).get("id") or ()),
            told_already=told_already,
        )
    tree.add(
        Place(
            run_id,
            run or _handed_down(manager),
            outside=outside,
            parent=around,
            teller=teller,
            applied=applied.union(joining) if joining else applied,
        )
    )
    if run is None:
        return None
    kept = {name: keywords[name] for name in start.keywords if keywords.get(name) is not None}
    return run, tuple(payload), kept


def _handed_down(manager: CallbackManager | None) -> CallbackManager:
    return silent_manager() if manager is None else manager


def _name_of(serialized: Any, keywords: Mapping[str, Any], run_type: str) -> str:
    known = serialized if isinstance(serialized, Mapping) else {}
    id_path = known.get("id") or ("",)
    return str(keywords.get("name") or known.get("name") or id_path[-1] or run_type)


def _open_or_pass(
    teller: Told, event: str, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Run, tuple[Any, ...], Mapping[str, Any]] | None:
    try:
        return _opened(teller, event, arguments, keywords)
    except (ChainCallbacksError, BaseExceptionGroup):
        raise  # A name cannot be used, and nothing has run yet.
    except Exception:
        log.exception("A run of LangChain's could not be bridged. It goes on unheard.")
        return None


def _start(teller: Told, event: str, *arguments: Any, **keywords: Any) -> None:
    opened = _open_or_pass(teller, event, arguments, keywords)
    if opened is None:
        return
    run, payload, kept = opened
    try:
        run.start(payload, kept)
    except BaseException as error:
        tree.end(run.id, teller)
        run.fail(error)
        raise


async def _astart(teller: Told, event: str, *arguments: Any, **keywords: Any) -> None:
    opened = _open_or_pass(teller, event, arguments, keywords)
    if opened is None:
        return
    run, payload, kept = opened
    try:
        await run.astart(payload, kept)
    except BaseException as error:
        tree.end(run.id, teller)
        await run.afail(error)
        raise


def _end(teller: Told, _event: str, output: Any = None, **keywords: Any) -> None:
    place = tree.end(keywords["run_id"], teller)
    if place is not None and place.run is not None:
        place.run.end(output)


async def _aend(teller: Told, _event: str, output: Any = None, **keywords: Any) -> None:
    place = tree.end(keywords["run_id"], teller)
    if place is not None and place.run is not None:
        await place.run.aend(output)


def _fail(teller: Told, event: str, error: BaseException, **keywords: Any) -> None:
    place = tree.end(keywords["run_id"], teller)
    if place is None:
        return
    for each in _without_an_end(place, error):
        each.fail(error)
    if place.run is None:
        return
    if isinstance(error, GeneratorExit):
        place.run.end(keywords.get("response"), status="closed")
    else:
        place.run.fail(error, keywords=_about_error(event, keywords))


async def _afail(teller: Told, event: str, error: BaseException, **keywords: Any) -> None:
    place = tree.end(keywords["run_id"], teller)
    if place is None:
        return
    for each in _without_an_end(place, error):
        await each.afail(error)
    if place.run is None:
        return
    if isinstance(error, GeneratorExit):
        await place.run.aend(keywords.get("response"), status="closed")
    else:
        await place.run.afail(error, keywords=_about_error(event, keywords))


def _without_an_end(place: Place, error: BaseException) -> list[Run]:
    if isinstance(error, Exception):
        return []  # A sibling that goes on has its own end.
    return [each.run for each in tree.abandoned(place) if each.run is not None]


def _about_error(event: str, keywords: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: keywords[name] for name in EVENTS[event].keywords if name in keywords}


def _tell(teller: Told, event: str, *arguments: Any, **keywords: Any) -> None:
    told = _told_during(teller, event, arguments, keywords)
    if told is not None:
        run, payload, kept = told
        run.tell(EVENTS[event], payload, kept)


async def _atell(teller: Told, event: str, *arguments: Any, **keywords: Any) -> None:
    told = _told_during(teller, event, arguments, keywords)
    if told is not None:
        run, payload, kept = told
        await run.atell(EVENTS[event], payload, kept)


def _told_during(
    teller: Told, event: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[Run, tuple[Any, ...], Mapping[str, Any]] | None:
    place = tree.open(keywords["run_id"])
    if place is None or place.teller is not teller or place.run is None:
        return None
    spec = EVENTS[event]
    # A synchronous manager of LangChain's says the token by name, an asynchronous one by place.
    payload = (*arguments, *(keywords[name] for name in spec.positional[len(arguments) :]))
    return place.run, payload, {k: keywords[k] for k in spec.keywords if k in keywords}


_Passes = Callable[..., None]
_Apasses = Callable[..., Coroutine[Any, Any, None]]


class _Event:
    """The method for an event: one to be awaited where LangChain awaits it, else a plain one."""

    def __init__(self, name: str, passes: _Passes, apasses: _Apasses) -> None:
        self._name, self._passes, self._apasses = name, passes, apasses

    def __get__(self, handler: Told | None, owner: type | None = None) -> Any:
        # A partial, for it is asked for, and called, at every event: a function of Python's that
        # hands on what it is given costs more than all the rest of this class.
        return partial(self._apasses if is_waited_for() else self._passes, handler, self._name)


for _names, _passes, _apasses in (
    (_STARTS, _start, _astart),
    (_ENDS, _end, _aend),
    (_ERRORS, _fail, _afail),
    (_DURING, _tell, _atell),
):
    for _name in _names:
        setattr(Told, _name, _Event(_name, _passes, _apasses))


def attach_bridge() -> None:
    """Have LangChain find the bridge; once a process."""
    if _attached:
        return
    _attached.append(True)
    # A context variable whose default is the bridge would put it into every run, heard or not. The
    # class is told so that LangChain never puts a second one into a list.
    register_configure_hook(cast("Any", Gate(Bridge())), inheritable=True, handle_class=Bridge)


_attached: Final[list[bool]] = []
