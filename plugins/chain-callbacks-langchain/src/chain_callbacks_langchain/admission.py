"""Names, and whatever else our own `callbacks` take, in LangChain's configs.

LangChain takes lists of its handlers, and managers. Before it looks at a config, each entry of ours
is put into a handler that stands for it, in the one function that every config passes: LangChain's
``ensure_config``, and LangGraph's own. A config without such an entry stays as it was given.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any, Final

from chain_callbacks import BaseCallbackHandler as OurHandler
from chain_callbacks import CallbackManager, Local
from chain_callbacks.hosts import WithPolicy

from .replacing import is_replaced, replace_everywhere

_OURS: Final = (str, CallbackManager, Local, WithPolicy, OurHandler)


def admitted(callbacks: Any) -> Any:
    """Return *callbacks* with each entry of ours in a handler of LangChain's; itself without any.

    Raises:
        InvalidNameError: A text is no name.
    """
    if isinstance(callbacks, list | tuple):
        if isinstance(callbacks, list) and not any(isinstance(each, _OURS) for each in callbacks):
            return callbacks
        return [_standing_for(each) if isinstance(each, _OURS) else each for each in callbacks]
    return [_standing_for(callbacks)] if isinstance(callbacks, _OURS) else callbacks


def _standing_for(entry: Any) -> Any:
    # Not before it is needed: this module is imported in the middle of LangChain's own imports.
    from . import named

    return named(entry)


def admit_in_configs(module: str) -> None:
    """Have `ensure_config` of *module* admit what our callbacks take.

    Every call of a runnable begins there. Modules that imported it already get the new one too.
    """
    original = sys.modules[module].__dict__["ensure_config"]
    if is_replaced(original):
        return

    @functools.wraps(original)
    def ensure_config(*configs: Any) -> Any:
        for config in configs:
            if config and config.get("callbacks") is not None:
                return original(*map(_admit, configs))
        return original(*configs)

    # LangChain's own takes one, and is called several times a run: what it costs counts.
    @functools.wraps(original)
    def ensure_one_config(config: Any = None) -> Any:
        if config and config.get("callbacks") is not None:
            config = _admit(config)
        return original(config)

    takes_many = "configs" in inspect.signature(original).parameters
    replace_everywhere(original, ensure_config if takes_many else ensure_one_config)


def _admit(config: Any) -> Any:
    if not config:
        return config
    callbacks = config.get("callbacks")
    admissible = admitted(callbacks)
    return config if admissible is callbacks else {**config, "callbacks": admissible}
