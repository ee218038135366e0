"""The conversions that are installed: how handlers of another framework are told of our events."""

from __future__ import annotations

import logging

from ..dispatch.adapters import Conversion, conversions
from ..errors import BrokenPluginError
from . import plugins
from .index import index
from .ownership import CONVERSIONS

log = logging.getLogger("chain_callbacks")


def find_conversion(package: str) -> Conversion | None:
    """Return this project's conversion for handlers of *package*; None where none is installed."""
    for candidate in index().others.get(CONVERSIONS, {}).get(package, ()):
        if not candidate.is_first_party:
            continue
        try:
            return plugins.load(candidate, source="")
        except BrokenPluginError as error:
            log.warning("%s\nIts handlers are told in our own types.", error)
    return None


conversions.find = find_conversion
