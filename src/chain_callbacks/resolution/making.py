"""Making a handler: a provider is called with its settings, and nothing that it raises escapes."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from ..dispatch.handler_class import class_of, events_of
from ..errors import BrokenPluginError, HandlerSettingsError, HandlerSignatureError
from ..handler import BaseCallbackHandler
from .handler_settings import RawSettings


class Failure(NamedTuple):
    """Why there is no handler, and what was raised."""

    reason: str
    cause: BaseException | None = None


def call(
    provider: Callable[..., Any], given: RawSettings, *, takes_keywords: bool, source: str
) -> Any:
    """Return the handler that *provider* makes, or why it makes none."""
    try:
        arguments, keywords = given.for_provider(
            provider, takes_keywords=takes_keywords, source=source
        )
    except (HandlerSettingsError, KeyboardInterrupt):
        raise
    except BaseException as error:
        return Failure(f"reading its settings raised {type(error).__name__}", error)
    return _made(provider, arguments, keywords)


def _made(
    provider: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    try:
        handler = provider(*arguments, **keywords)
        refused = why_not_a_handler(handler)
        if refused is not None:
            return Failure(
                f"it returns {refused.kind}, not one with methods of the event table, such as "
                "on_chain_start"
            )
        class_of(handler)
    except KeyboardInterrupt:
        raise
    except HandlerSettingsError:
        # Its own were read: one that it raises itself may quote what it was given.
        return Failure("making it raised HandlerSettingsError")
    except HandlerSignatureError as error:
        return Failure(str(error))
    except BaseException as error:
        return Failure(f"making it raised {type(error).__name__}", error)
    return handler


def blaming(
    broken: BrokenPluginError, cause: BaseException | None, given: RawSettings
) -> BrokenPluginError:
    """Return *broken* with *cause*, which it holds only where that tells no setting."""
    if cause is not None and given.has_values:
        # Its text may quote a setting, and its frames hold them: what is told is where it was.
        broken.add_note("".join(traceback.format_tb(cause.__traceback__)).rstrip())
    else:
        broken.__cause__ = cause
    return broken


class Refused(NamedTuple):
    """What something is that is not a handler, and what to pass instead."""

    kind: str
    advice: str


def why_not_a_handler(value: object) -> Refused | None:
    """Return why *value* cannot be a handler; None if it can."""
    if isinstance(value, BaseCallbackHandler):
        return None
    if isinstance(value, type):
        name = value.__qualname__
        return Refused(f"the class {name}", f"Pass an instance: {name}().")
    if inspect.iscoroutine(value):
        value.close()
        return Refused("a coroutine", "Pass what it returns.")
    if not events_of(value):
        return Refused(
            f"an object of type {type(value).__qualname__}",
            "Pass a name, or an object with methods of the event table, such as on_chain_start.",
        )
    return None
