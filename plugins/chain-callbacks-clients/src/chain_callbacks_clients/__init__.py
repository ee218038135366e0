"""What plugins for the clients of model vendors share: one translation, and two faces on it.

A plugin says, in a ``Vendor``, how its vendor's requests, answers and stream events read as ours.
From that come the native chat model (``ClientChatModel``) and the client as a host
(``watch``, ``watch_all``): the calls that a program makes of it are chat-model runs.
"""

from __future__ import annotations

from .chat_models import ClientChatModel
from .errors import MissingKeyError, NoAnswerError
from .hooks import watch, watch_all
from .translation import Endpoint, Piece, Reader, Vendor
from .usage import UsageSoFar, usage_of
from .wire import plain

__all__ = [
    "ClientChatModel",
    "Endpoint",
    "MissingKeyError",
    "NoAnswerError",
    "Piece",
    "Reader",
    "UsageSoFar",
    "Vendor",
    "plain",
    "usage_of",
    "watch",
    "watch_all",
]
