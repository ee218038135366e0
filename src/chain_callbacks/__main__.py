"""``python -m chain_callbacks``: the command line, with the working directory off the path."""

from __future__ import annotations

import os
import sys


def _distrust_the_working_directory() -> None:
    """Take out what ``-m`` put first: whoever can write there could replace a dependency.

    What was imported before this line runs, Python's own start and this package, has been looked
    up there; ``python -P -m chain_callbacks`` closes that too.
    """
    if sys.flags.safe_path or not sys.path:
        return
    try:
        is_here = sys.path[0] in ("", os.getcwd())  # noqa: PTH109  As Python itself wrote it.
    except OSError:  # The working directory was removed.
        is_here = True
    if is_here:
        del sys.path[0]


if __name__ == "__main__":
    _distrust_the_working_directory()

    from .cli import main

    sys.exit(main())
