"""From the operator's word to the options of the delivery."""

from __future__ import annotations

import logging
import threading
from importlib import import_module
from typing import TYPE_CHECKING

from ..delivery.flush import flush_on_sigterm
from ..dispatch.options import options
from ..errors import SettingsError
from ..redaction import DefaultRedactor, Redactor, Several
from . import environment as env

if TYPE_CHECKING:
    from .settings import Settings

log = logging.getLogger("chain_callbacks")

_SETTING = f"{env.NAMES}_REDACTOR"


def apply(word: Settings) -> None:
    """Have everything delivered as the operator wants it.

    Raises:
        SettingsError: The organisation's redactor cannot be had; nothing is shown without it.
    """
    redactor: Redactor = DefaultRedactor(word.redact_keys)
    if word.redactor is not None:
        redactor = Several(redactor, _load(word.redactor))
    options.redactor = redactor
    options.exit_timeout = word.exit_timeout
    options.is_inline = word.is_inline
    if word.is_flushed_on_sigterm:
        if threading.current_thread() is threading.main_thread():
            flush_on_sigterm()
        else:
            log.warning(
                "%s_FLUSH_ON_SIGTERM has no effect: the first run is in another thread than the "
                "main one. Call chain_callbacks.flush_on_sigterm() in the main thread.",
                env.NAMES,
            )


def _load(path: str) -> Redactor:
    module, _, name = path.partition(":")
    problem = None
    try:
        found = getattr(import_module(module), name)
        redactor = found() if isinstance(found, type) else found
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Nothing that it says is known to be harmless.
        problem = f"loading {path!r} raised {type(error).__name__}"
    else:
        if all(callable(getattr(redactor, each, None)) for each in ("hides", "redact")):
            return redactor  # type: ignore[no-any-return]
        problem = f"{path!r} has no methods hides(key) and redact(text)"
    raise SettingsError(problems=(f"{_SETTING}: {problem}; write `module:name`",))
