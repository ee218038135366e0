"""The command line, ``chain-callbacks``."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
