"""What every plugin for a vendor's client must do: its tests subclass ``ClientSuite``.

The subclass says how its vendor's server answers. The suite has the real client talk to a scripted
server on loopback, natively and as a host, synchronously and asynchronously.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that a failing assertion shows its values.
pytest.register_assert_rewrite(f"{__name__}.host", f"{__name__}.native", f"{__name__}.vendor")

from .host import HostSuite  # noqa: E402
from .native import NativeSuite  # noqa: E402
from .vendor import QUESTION, Application, Call  # noqa: E402

__all__ = ["QUESTION", "Application", "Call", "ClientSuite"]


class ClientSuite(NativeSuite, HostSuite):
    """The promises of a vendor's plugin; a subclass answers as the vendor does."""
