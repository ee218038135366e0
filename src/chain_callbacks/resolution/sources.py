"""From what a caller passes as callbacks to a tuple of items, each with where it came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from ..dispatch.manager import CallbackManager
from ..dispatch.routes import Listener
from ..dispatch.run import AsyncRun, Run
from ..errors import NotAHandlerError
from ..policies import UNSTATED, Local, Policy, WithPolicy
from .making import why_no_handler
from .names import Entry, parse_entry, parse_list


class Item(NamedTuple):
    """One thing that was passed: an entry of text, a handler object, or a manager's listener."""

    content: Entry | Listener | object
    source: str
    policy: Policy = UNSTATED
    is_local: bool = False


class Attachments:
    """The callbacks of a constructor, or of ``with_config``: fixed, and the key of a cache.

    Objects are checked here, before anything runs; what a name means is asked at the first run,
    for the plugin may be installed by then.

    Raises:
        NotAHandlerError: One of them is no handler.
        InvalidNameError: A text is no name.
    """

    __slots__ = ("callbacks", "items", "source")

    def __init__(self, callbacks: Any, source: str) -> None:
        # A copy: what the caller does to its list later is nothing to us.
        self.callbacks = tuple(callbacks) if isinstance(callbacks, list | tuple) else callbacks
        self.source = source
        self.items = tuple(items_of(self.callbacks, source))


class Layered(NamedTuple):
    """Callbacks bound by ``with_config``, and those of the call, which come after them."""

    bound: Attachments
    runtime: Any


def items_of(callbacks: Any, source: str) -> Iterable[Item]:
    """Give the items of *callbacks*: None, a name, a handler, a manager, or a list of them.

    Raises:
        NotAHandlerError: One of them is none of these; it says which.
        InvalidNameError: A text is no name.
    """
    if callbacks is None:
        return
    if isinstance(callbacks, str):
        for entry in parse_list(callbacks, source=source):
            yield Item(entry, source)
    elif isinstance(callbacks, list | tuple):
        for position, value in enumerate(callbacks):
            yield from _items(value, f"{source}[{position}]", position + 1)
    else:
        yield from _items(callbacks, source, 1)


def _items(value: Any, source: str, position: int) -> Iterable[Item]:
    policy, is_local = UNSTATED, False
    while isinstance(value, Local | WithPolicy):
        if isinstance(value, WithPolicy):
            # What stands further out was said later.
            policy = value.policy.replaced(policy)
        else:
            is_local = True
        value = value.handler
    if isinstance(value, str):
        entry = parse_entry(value, source=source, position=position)
        yield Item(entry, source, policy, is_local)
    elif isinstance(value, CallbackManager):
        for listener in value.here.listeners:
            stated = listener.policy.replaced(policy)
            yield Item(listener, source, stated, is_local)
    else:
        refuse(value, source)
        yield Item(value, source, policy, is_local)


def refuse(value: Any, source: str) -> None:
    """Raise unless *value* is a handler.

    Raises:
        NotAHandlerError: As it says, with *source* and what to do.
    """
    if isinstance(value, Run | AsyncRun):
        reason = "pass run.get_child(), the manager for what is nested in it"
        raise NotAHandlerError(kind="a run", source=source, reason=reason)
    if isinstance(value, list | tuple | dict | set):
        raise NotAHandlerError(
            kind=f"a {type(value).__name__}",
            source=source,
            reason="callbacks are one name, one handler, a manager, or a flat list of them",
        )
    why = why_no_handler(value)
    if why is not None:
        kind = "a class" if isinstance(value, type) else f"of type {type(value).__qualname__}"
        raise NotAHandlerError(kind=kind, source=source, reason=why)


def key_of(callbacks: Any) -> Any:
    """Return what *callbacks* of a call are cached by: names by value, objects by identity.

    Whoever caches by it keeps the objects alive, so that no id is used twice.
    """
    if isinstance(callbacks, list | tuple):
        if len(callbacks) == 1 and callbacks[0].__class__ not in _BY_VALUE:
            return (id(callbacks[0]),)  # The ordinary case: one handler.
        return tuple([_key_of(each) for each in callbacks])
    return callbacks if callbacks.__class__ is str else (_key_of(callbacks),)


def _key_of(value: Any) -> Any:
    if isinstance(value, Local):
        return (Local, _key_of(value.handler))
    if isinstance(value, WithPolicy):
        return (WithPolicy, _key_of(value.handler), value.policy)
    return value if isinstance(value, str) else id(value)


_BY_VALUE: Final = frozenset({str, Local, WithPolicy})


RUNTIME: Final = 'config["callbacks"]'
