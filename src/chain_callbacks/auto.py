"""``import chain_callbacks.auto``: from now on hosts are bridged, by this project's bridges.

LangChain's and LangGraph's runs, for instance, are heard by the handlers that the environment
names, once ``chain-callbacks-langchain`` is installed. Hosts that are imported later are bridged
when they are. ``CHAIN_CALLBACKS_HOSTS`` adds other distributions' bridges, and takes ours out.
"""

from __future__ import annotations

from .hosts.activation import activate

activate()
