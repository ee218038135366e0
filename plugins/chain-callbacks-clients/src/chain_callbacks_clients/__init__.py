"""What plugins for the clients of model vendors share.

A plugin says once, in a ``Vendor``, how its vendor's requests, answers and stream events read as
messages. From that come the native chat model (``ClientChatModel``) and the client as a host: the
calls that a program makes are chat-model runs (``watch``, ``watch_all``, and ``begin`` for a client
of another build).
"""

from __future__ import annotations

from .calls import Call, begin
from .chat_models import ClientChatModel
from .errors import MissingKeyError, NoAnswerError
from .hooks import watch, watch_all
from .translation import Endpoint, Piece, Reader, Vendor
from .usage import UsageSoFar, usage_of
from .wire import plain

__all__ = [
    "Call",
    "ClientChatModel",
    "Endpoint",
    "MissingKeyError",
    "NoAnswerError",
    "Piece",
    "Reader",
    "UsageSoFar",
    "Vendor",
    "begin",
    "plain",
    "usage_of",
    "watch",
    "watch_all",
]
