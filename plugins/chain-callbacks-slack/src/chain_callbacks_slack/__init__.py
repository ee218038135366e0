"""Tell a Slack channel of each run that failed: the handler ``slack`` of chain-callbacks."""

from __future__ import annotations

from .handler import SlackHandler
from .settings import SlackSettings

__all__ = ["SlackHandler", "SlackSettings"]
