"""Names, and whatever else our own `callbacks` take, in LangChain's configs.

LangChain takes lists of its handlers, and managers. Before it looks at a config, what is neither is
put into one that stands for it, at the two places where every config and every list passes. What
LangChain's own handlers are in stays as it was given.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from chain_callbacks import BaseCallbackHandler as OurHandler
from chain_callbacks import CallbackManager, Local
from chain_callbacks.policies import WithPolicy

_OURS: Final = (str, CallbackManager, Local, WithPolicy, OurHandler)
_WRAPPED: Final = "__chain_callbacks_langchain__"


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
    if hasattr(original, _WRAPPED):
        return

    @functools.wraps(original)
    def ensure_config(*configs: Any, **keywords: Any) -> Any:
        if any(map(_has_ours, configs)) or (keywords and _has_ours(keywords.get("config"))):
            configs = tuple(map(_admit, configs))
            keywords = {name: _admit(value) for name, value in keywords.items()}
        return original(*configs, **keywords)

    _replace(original, ensure_config)


def _has_ours(config: Any) -> bool:
    if not config:
        return False
    callbacks = config.get("callbacks")
    return callbacks is not None and admitted(callbacks) is not callbacks


def _admit(config: Any) -> Any:
    if not isinstance(config, Mapping) or config.get("callbacks") is None:
        return config
    return {**config, "callbacks": admitted(config["callbacks"])}


def admit_in_managers() -> None:
    """Have `_configure` admit names: lists that are given to a model or a tool without a config."""
    module = sys.modules["langchain_core.callbacks.manager"]
    original = module.__dict__.get("_configure")
    if original is None or hasattr(original, _WRAPPED):
        return

    @functools.wraps(original)
    def configure(
        kind: Any,
        inheritable_callbacks: Any = None,
        local_callbacks: Any = None,
        *rest: Any,
        **more: Any,
    ) -> Any:
        if inheritable_callbacks is not None:
            inheritable_callbacks = admitted(inheritable_callbacks)
        if local_callbacks is not None:
            local_callbacks = admitted(local_callbacks)
        return original(kind, inheritable_callbacks, local_callbacks, *rest, **more)

    _replace(original, configure)


def _replace(original: Callable[..., Any], wrapper: Callable[..., Any]) -> None:
    setattr(wrapper, _WRAPPED, True)
    for module in tuple(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if isinstance(names, dict):
            for name, value in tuple(names.items()):
                if value is original:
                    names[name] = wrapper
