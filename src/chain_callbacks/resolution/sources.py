"""From what a caller passes as callbacks to a tuple of items, each with where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ..dispatch.manager import CallbackManager
from ..dispatch.routes import Listener
from ..dispatch.run import AsyncRun, Run
from ..errors import ChainCallbacksError, InvalidNameError, NotAHandlerError
from ..policies import UNSTATED, Local, Policy, WithPolicy
from .making import Refused, why_not_a_handler
from .names import Entry, parse_entry


class Item(NamedTuple):
    """One thing that was passed: an entry of text, a handler object, or a manager's listener.

    *content* is the error for what is none of these. *is_configured* says that it comes from the
    environment or its file, and not from code.
    """

    content: Entry | Listener | ChainCallbacksError | object
    text: str
    source: str
    policy: Policy = UNSTATED
    is_local: bool = False
    is_configured: bool = False


class Attachments:
    """The callbacks of a constructor, or of ``with_config``: fixed, and the key of a cache.

    Objects are checked here, before anything runs; a name is looked up at the first run, since its
    plugin may be installed by then.

    Raises:
        NotAHandlerError: One of them is no handler.
        InvalidNameError: A text is no name.
    """

    __slots__ = ("items", "source")

    def __init__(self, callbacks: Any, source: str, *, is_checked: bool = True) -> None:
        # Read now: changing the list later changes nothing here.
        self.items = tuple(items_of(callbacks, source))
        self.source = source
        for item in self.items if is_checked else ():
            if isinstance(item.content, ChainCallbacksError):
                raise item.content


class Layered(NamedTuple):
    """Callbacks bound by ``with_config``, and those of the call, which come after them."""

    bound: Attachments
    runtime: Any


def items_of(callbacks: Any, source: str) -> Iterator[Item]:
    """Yield the items of *callbacks*: None, a name, a handler, a manager, or a list of them."""
    if callbacks is None:
        return
    if isinstance(callbacks, str):
        for position, part in enumerate(callbacks.split(","), start=1):
            if part.strip():
                yield item_of(part, source, position)
    elif isinstance(callbacks, list | tuple):
        for position, value in enumerate(callbacks):
            yield from _items(value, f"{source}[{position}]", position + 1)
    else:
        yield from _items(callbacks, source, 1)


def item_of(text: str, source: str, position: int, **more: Any) -> Item:
    """Return the item of one entry of text."""
    try:
        entry = parse_entry(text, source=source, position=position)
    except InvalidNameError as error:
        return Item(error, text, source, **more)
    return Item(entry, entry.text, source, **more)


def _items(value: Any, source: str, position: int) -> Iterator[Item]:
    policy, is_local = UNSTATED, False
    while isinstance(value, Local | WithPolicy):
        if isinstance(value, WithPolicy):
            # What stands further out was said later.
            policy = value.policy.replaced(policy)
        else:
            is_local = True
        value = value.handler
    if isinstance(value, str):
        yield item_of(value, source, position, policy=policy, is_local=is_local)
    elif isinstance(value, CallbackManager):
        for listener in value.here.listeners:
            text = type(listener.handler).__qualname__
            yield Item(listener, text, source, listener.policy.replaced(policy), is_local)
    else:
        text = type(value).__qualname__
        try:
            refuse(value, source)
        except NotAHandlerError as error:
            yield Item(error, text, source)
        else:
            yield Item(value, text, source, policy, is_local)


def refuse(value: Any, source: str) -> None:
    """Raise unless *value* is a handler.

    Raises:
        NotAHandlerError: It is not; the error says what to pass instead.
    """
    refused = why_not_a_handler(value)
    if isinstance(value, Run | AsyncRun):
        refused = Refused("a run", "Pass run.get_child(), the manager for runs nested in it.")
    elif isinstance(value, list | tuple | dict | set):
        advice = "Pass a name, a handler, a manager, or a flat list of them."
        refused = Refused(f"a {type(value).__name__}", advice)
    if refused is not None:
        raise NotAHandlerError(kind=refused.kind, source=source, advice=refused.advice)


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
