"""Putting a function in the place of one of LangChain's, in every module that has it by now."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

_WRAPPED: Final = "__chain_callbacks_langchain__"


def is_replaced(function: Callable[..., Any]) -> bool:
    """Tell whether *function* is a wrapper of ours."""
    return hasattr(function, _WRAPPED)


def replace_everywhere(original: Callable[..., Any], wrapper: Callable[..., Any]) -> None:
    """Put *wrapper* in the place of *original*, also where it was imported by name."""
    setattr(wrapper, _WRAPPED, True)
    for module in tuple(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if isinstance(names, dict):
            for name, value in tuple(names.items()):
                if value is original:
                    names[name] = wrapper
