"""What every plugin for a vendor's client must do: a plugin's tests subclass ``ClientSuite``.

The subclass says how its vendor's server answers; the suite has the real client talk to a scripted
server on loopback, natively and as a host, synchronously and asynchronously.
"""

from __future__ import annotations

from .host import HostSuite
from .native import NativeSuite
from .vendor import QUESTION, Application, Call

__all__ = ["QUESTION", "Application", "Call", "ClientSuite"]


class ClientSuite(NativeSuite, HostSuite):
    """The promises of a vendor's plugin; a subclass answers as the vendor does."""
