"""How LangChain's events reach the bridge: apart from the handlers that it shares a list with.

In LangChain's dispatch the handlers of one list depend on each other. One that raises keeps those
after it from the event; one that is `run_inline` keeps all that are not from the start of an
asynchronous text model. So the bridge only stands in the lists, by which LangChain hands it down.
Before LangChain dispatches an event, the bridge's handlers are taken out and called from here, and
the others are called as they would be without it.

Which model calls a client is in no context at all: that is read from the frames of the model.
"""

from __future__ import annotations

import copy
import functools
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final, NamedTuple
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    BaseRunManager,
    CallbackManagerForLLMRun,
)
from langchain_core.callbacks import manager as langchain_manager

from .replacing import is_replaced, replace_everywhere

_OF_MODELS: Final = (CallbackManagerForLLMRun, AsyncCallbackManagerForLLMRun)

_new_id: Final[Callable[[], UUID]] = getattr(langchain_manager, "uuid7", uuid.uuid4)
"""Makes the id of a run as LangChain's own managers make it, in this version of LangChain."""


class Listed(BaseCallbackHandler):
    """A handler that stands in LangChain's lists, and that LangChain's dispatch never calls."""

    entries: tuple[Any, ...] = ()
    """What joins the runs that it is listed for: names and handlers, as in our own `callbacks`."""


class Event(NamedTuple):
    """One event, as LangChain dispatches it.

    Attributes:
        name: ``on_chain_start``, say.
        arguments, keywords: What each handler is called with.
        listed: The bridge's handlers in the list.
        others: The rest of the list.
    """

    name: str
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    listed: Sequence[Listed]
    others: Sequence[Any]


class Receiver(NamedTuple):
    """What the bridge does at an event: from synchronous and from asynchronous code.

    *fail* and *afail* belong to a start: they end the run that another handler refused.
    """

    receive: Callable[[Event], None]
    areceive: Callable[[Event], Awaitable[None]]
    fail: Callable[[Event, BaseException], None] | None = None
    afail: Callable[[Event, BaseException], Awaitable[None]] | None = None


receivers: Final[dict[str, Receiver]] = {}
"""What the bridge does, by the name of the event. It does not listen to events without one."""


_NOBODY: Final[tuple[list[Listed], list[Any]]] = ([], [])


def _split(handlers: Sequence[Any]) -> tuple[list[Listed], list[Any]]:
    """Return the bridge's handlers, and the others."""
    listed = [each for each in handlers if isinstance(each, Listed)]
    return listed, [each for each in handlers if not isinstance(each, Listed)]


def _dispatch(event: Event, dispatch_to_others: Callable[[], object]) -> None:
    receiver = receivers.get(event.name)
    if receiver is None:
        dispatch_to_others()
    elif receiver.fail is None:
        try:
            receiver.receive(event)
        finally:
            dispatch_to_others()
    else:
        # A run that one of our handlers refuses has not begun: the others get no start of it.
        receiver.receive(event)
        try:
            dispatch_to_others()
        except BaseException as error:
            receiver.fail(event, error)  # LangChain issues no end of a run that did not begin.
            raise


async def _adispatch(event: Event, dispatch_to_others: Callable[[], Awaitable[Any]]) -> Any:
    receiver = receivers.get(event.name)
    if receiver is None:
        return await dispatch_to_others()
    if receiver.afail is None:
        try:
            await receiver.areceive(event)
        finally:
            await dispatch_to_others()
        return None
    await receiver.areceive(event)
    try:
        return await dispatch_to_others()
    except BaseException as error:
        await receiver.afail(event, error)
        raise


def _handling(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def handle_event(
        handlers: list[Any],
        event_name: str,
        ignore_condition_name: str | None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        # Where nobody listens, one call more for each run is all that the bridge may cost.
        listed, others = _split(handlers) if handlers else _NOBODY
        if not listed:
            original(handlers, event_name, ignore_condition_name, *args, **kwargs)
            return
        _dispatch(
            Event(event_name, args, kwargs, listed, others),
            lambda: original(others, event_name, ignore_condition_name, *args, **kwargs),
        )

    return handle_event


def _ahandling(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def ahandle_event(
        handlers: list[Any],
        event_name: str,
        ignore_condition_name: str | None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        listed, others = _split(handlers) if handlers else _NOBODY
        if not listed:
            await original(handlers, event_name, ignore_condition_name, *args, **kwargs)
            return
        await _adispatch(
            Event(event_name, args, kwargs, listed, others),
            lambda: original(others, event_name, ignore_condition_name, *args, **kwargs),
        )

    return ahandle_event


def _starting(original: Callable[..., Awaitable[list[Any]]]) -> Callable[..., Awaitable[list[Any]]]:
    """Return the method of an asynchronous manager that starts models.

    The original sorts its handlers by `run_inline`, so that no dispatch is given the whole list.
    """

    async def start(
        manager: Any, serialized: Any, batch: Sequence[Any], run_id: UUID | None, keywords: Any
    ) -> list[Any]:
        listed, others = _split(manager.handlers)
        if not listed:
            return await original(manager, serialized, batch, run_id, **keywords)
        without = copy.copy(manager)
        without.handlers = others
        started: list[Any] = []
        for item in batch:
            item_id = run_id or _new_id()
            run_id = None  # One that is given is the id of the first run alone.
            told = {
                "run_id": item_id,
                "parent_run_id": manager.parent_run_id,
                "tags": manager.tags,
                "metadata": manager.metadata,
                **keywords,
            }
            event = Event(original.__name__, (serialized, [item]), told, listed, others)
            start_others = functools.partial(
                original, without, serialized, [item], item_id, **keywords
            )
            started += await _adispatch(event, start_others)
        for each in started:
            each.handlers = manager.handlers
        return started

    return start


def call_the_bridge_apart() -> None:
    """Have LangChain's dispatch call the bridge's handlers from here.

    Raises:
        AttributeError: This version of LangChain dispatches in another way; nothing was changed.
    """
    handle, ahandle = langchain_manager.handle_event, langchain_manager.ahandle_event
    if is_replaced(handle):
        return
    start_texts = _starting(AsyncCallbackManager.on_llm_start)
    start_chats = _starting(AsyncCallbackManager.on_chat_model_start)

    # Each with the signature of the original, whose arguments have names of their own.

    @functools.wraps(AsyncCallbackManager.on_llm_start)
    async def on_llm_start(
        self: Any, serialized: Any, prompts: Any, run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        return await start_texts(self, serialized, prompts, run_id, kwargs)

    @functools.wraps(AsyncCallbackManager.on_chat_model_start)
    async def on_chat_model_start(
        self: Any, serialized: Any, messages: Any, run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        return await start_chats(self, serialized, messages, run_id, kwargs)

    AsyncCallbackManager.on_llm_start = on_llm_start  # type: ignore[method-assign]
    AsyncCallbackManager.on_chat_model_start = on_chat_model_start  # type: ignore[method-assign]
    replace_everywhere(handle, _handling(handle))
    replace_everywhere(ahandle, _ahandling(ahandle))


def model_run_id() -> UUID | None:
    """Return the id of the model's run that the calling code answers for; None where it is of none.

    The innermost of LangChain's runs tells, which may be a tool's inside of a model's.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if "run_manager" in frame.f_code.co_varnames:
            found = frame.f_locals.get("run_manager")
            if isinstance(found, BaseRunManager):
                is_model = isinstance(found, _OF_MODELS)
                return found.run_id if is_model else None
        frame = frame.f_back
    return None
