"""What the commands write, and how: safe text, JSON, emphasis for a terminal."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

from ..handlers.rendering import is_terminal, write_line
from ..text import one_line

_BOLD: Final = "\x1b[1m"
_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"


def say(text: str = "") -> None:
    """Write *text* and a newline to stdout, at once: what handlers write must not overtake it."""
    write_line(text, sys.stdout)


def say_data(data: Any) -> None:
    """Write *data* to stdout as indented JSON."""
    say(json.dumps(data, indent=2))


def complain(program: str, text: str) -> None:
    """Write *text* to stderr as one line that says which program it is of."""
    write_line(f"{program}: {one_line(text)}")


def bold(text: str) -> str:
    """Return *text* as it stands out on a terminal."""
    return _styled(text, _BOLD)


def dim(text: str) -> str:
    """Return *text* as it stands back on a terminal."""
    return _styled(text, _DIM)


def _styled(text: str, style: str) -> str:
    if not is_terminal(sys.stdout) or os.environ.get("NO_COLOR"):
        return text
    return f"{style}{text}{_RESET}"
