"""The error that a span ended with, as an exception that handlers can be told of."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

from .foreign_attributes import Attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_CANCELLED: Final = ("CancelledError", "KeyboardInterrupt", "SystemExit")


class SpanError(Exception):
    """An error that a span tells of; its class bears the name that the span states.

    Attributes:
        type_name: The error's class, with its module where the span states it, or its code.
        stacktrace: The traceback as the span has it; empty where it has none.
    """

    type_name = "error"
    stacktrace = ""


def error_of(span: ReadableSpan, attributes: Attributes) -> BaseException | None:
    """Return the exception that left what *span* stands for; None where none did."""
    has_failed = span.status.status_code is StatusCode.ERROR
    type_name = attributes.get("error.type")
    if not has_failed and type_name is None:
        return None
    event = _last_exception(span)
    type_name = str(event.get("exception.type") or type_name or "Error")
    message = event.get("exception.message")
    if message is None:
        message = span.status.description or attributes.get("error.message")
    arguments = () if message is None else (str(message),)
    name = type_name.rpartition(".")[2]
    if name == "GeneratorExit":
        return GeneratorExit(*arguments)
    if name in _CANCELLED:
        return asyncio.CancelledError(*arguments)
    error = _class_named(name)(*arguments)
    error.type_name = type_name
    error.stacktrace = str(event.get("exception.stacktrace") or "")
    return error


def _last_exception(span: ReadableSpan) -> Attributes:
    for event in reversed(span.events):
        if event.name == "exception":
            return event.attributes or {}
    return {}


@lru_cache(maxsize=256)
def _class_named(name: str) -> type[SpanError]:
    """Return a class of the error's name, since that is what handlers show of an error."""
    if not name.isidentifier():
        return SpanError  # An HTTP status, or a code of the provider's.
    members: dict[str, Any] = {"__module__": __name__, "__doc__": SpanError.__doc__}
    return type(name, (SpanError,), members)
