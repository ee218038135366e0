"""``import chain_callbacks.auto``: every host that is installed here is bridged from now on.

LangChain's and LangGraph's runs, for instance, are heard by the handlers that the environment
names, once ``chain-callbacks-langchain`` is installed. Hosts that are imported later are bridged
when they are.
"""

from __future__ import annotations

from .hosts.activation import activate

activate()
