"""Hands the settings over to delivery: the one place where its options are set."""

from __future__ import annotations

import logging
import threading
from importlib import import_module
from typing import Final

from ..delivery.lifecycle import flush_on_sigterm
from ..delivery.options import options
from ..dispatch.views import in_force
from ..errors import SettingsError
from ..forks import no_fork
from ..redaction import DefaultRedactor, Redactor, Several
from .settings import VARIABLES, Settings, settings

log = logging.getLogger("chain_callbacks")


class _Applied:
    """The settings that delivery goes by."""

    settings: Settings | None = None


_applied: Final = _Applied()


def applied_settings() -> Settings:
    """Return the settings as they are now, after handing delivery what it needs of them.

    Raises:
        SettingsError: One that enforces something is wrong; the redactor cannot be loaded.
    """
    current = settings()
    if current is not _applied.settings:
        redactor: Redactor = DefaultRedactor(current.redact_keys)
        if current.redactor is not None:
            redactor = Several(redactor, _load(current.redactor))
        in_force.redactor = redactor
        options.exit_timeout = current.exit_timeout
        options.is_inline = current.delivery == "inline"
        if current.flush_on_sigterm:
            _flush_on_sigterm()
        _applied.settings = current
    return current


def _flush_on_sigterm() -> None:
    if threading.current_thread() is threading.main_thread():
        flush_on_sigterm()
    else:
        log.warning(
            "%s has no effect: the first run is in another thread than the main one. Call "
            "chain_callbacks.flush_on_sigterm() in the main thread.",
            VARIABLES["flush_on_sigterm"],
        )


def _load(path: str) -> Redactor:
    module, _, name = path.partition(":")
    try:
        with no_fork():
            found = getattr(import_module(module), name)
            redactor = found() if isinstance(found, type) else found
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Its text may quote anything.
        reason = f"loading {path!r} raised {type(error).__name__}"
    else:
        if all(callable(getattr(redactor, each, None)) for each in ("hides", "redact")):
            return redactor  # type: ignore[no-any-return]
        reason = f"{path!r} has no methods hides(key) and redact(text)"
    raise SettingsError(problems=(f"{VARIABLES['redactor']}: {reason}",))
