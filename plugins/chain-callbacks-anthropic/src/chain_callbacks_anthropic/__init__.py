"""Anthropic's client for chain-callbacks: a chat model, and the client's own calls as runs."""

from __future__ import annotations

from .chat_model import ChatAnthropic
from .host import instrument

__all__ = ["ChatAnthropic", "instrument"]
