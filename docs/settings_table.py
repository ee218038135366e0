"""Writes docs/reference/settings.md from the models: `python docs/settings_table.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_type_hints

from chain_callbacks import HandlerSettings
from chain_callbacks.handlers.settings import StructlogSettings
from chain_callbacks.inspection.show import kind_of
from chain_callbacks.policies import POLICIES
from chain_callbacks.resolution.settings import IF_WRONG, KINDS, VARIABLES, Settings

PAGE = Path(__file__).parent / "reference" / "settings.md"

HEAD = """# Settings

Made from the models by `python docs/settings_table.py`. Lists are joined by commas; an empty
variable is as one that is not set. A switch is on with `1`, `true`, `yes` or `on`.

"""
WRONG = """

A wrong value that enforces nothing costs one warning. While one that enforces something is wrong no
run starts; nor while the file cannot be read, or while `CHAIN_CALLBACKS_DISABLED` is wrong and
handlers are required. `CHAIN_CALLBACKS_STRICT=1` and `check()` raise all that is wrong.
"""


def _of_the_framework() -> Iterator[list[str]]:
    yield ["variable", "type", "default", "a wrong value", "meaning"]
    types = get_type_hints(Settings)
    for name, kind in KINDS.items():
        wrong = "no run starts" if kind.is_enforcing else "the default"
        yield [
            f"`{VARIABLES[name]}`",
            kind_of(types[name]),
            f"`{getattr(Settings(), name)!r}`",
            f"as `{IF_WRONG[name]:d}`" if name in IF_WRONG else wrong,
            kind.description,
        ]


def _of_a_handler(prefix: str, model: type[HandlerSettings]) -> Iterator[list[str]]:
    yield ["variable", "type", "default", "meaning"]
    for name, field in model.model_fields.items():
        yield [
            f"`{prefix}{name.upper()}`",
            kind_of(field.annotation),
            f"`{field.default!r}`",
            field.description or "",
        ]


def _table(rows: Iterable[list[str]]) -> str:
    head, *lines = [" | ".join(cell.replace("|", "or") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in (head, *lines)).replace(
        "|\n", "|\n" + "|---" * (head.count("|") + 1) + "|\n", 1
    )


def page() -> str:
    """Return the whole page."""
    structlog = _of_a_handler("CHAIN_CALLBACKS_STRUCTLOG__", StructlogSettings)
    parts = [HEAD, "## The framework\n\n", _table(_of_the_framework()), WRONG]
    parts += ["\n## `structlog`\n\n", _table(structlog)]
    policies = ", ".join(f"`CHAIN_CALLBACKS_<NAME>__{name.upper()}`" for name in POLICIES)
    parts.append(
        f"\n\n## Every handler\n\nThe policies {policies}: see [resolution](resolution.md). "
        "`chain-callbacks show NAME` lists the settings of any installed handler.\n"
    )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
