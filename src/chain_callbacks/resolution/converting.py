"""The conversions that are installed: how handlers of another framework are told of our events."""

from __future__ import annotations

import logging

from ..dispatch.adapters import Conversion, conversions
from ..errors import BrokenPluginError
from . import plugins
from .index import CONVERSIONS, index
from .names import normalised

log = logging.getLogger("chain_callbacks")

_OWNERS = {"langchain_core": "chain-callbacks-langchain"}
"""The packages for which this project publishes the conversion: nobody else can claim one."""


def find_conversion(package: str) -> Conversion | None:
    """Return the conversion for handlers of *package*; None where none is installed."""
    for candidate in index().others.get(CONVERSIONS, {}).get(package, ()):
        owner = _OWNERS.get(package)
        if owner is not None and normalised(candidate.distribution) != owner:
            continue
        try:
            return plugins.load(candidate, source="")
        except BrokenPluginError as error:
            log.warning("%s\nIts handlers are told in our own types.", error)
    return None


conversions.find = find_conversion
