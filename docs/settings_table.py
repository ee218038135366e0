"""Writes docs/reference/settings.md from the models: `python docs/settings_table.py`."""

from __future__ import annotations

from pathlib import Path

from chain_callbacks.handlers.settings import StructlogSettings
from chain_callbacks.inspection.show import kind_of
from chain_callbacks.policies import POLICIES
from chain_callbacks.resolution.core_settings import CoreSettings

PAGE = Path(__file__).parent / "reference" / "settings.md"

HEAD = """# Settings

Made from the models by `python docs/settings_table.py`. Lists are names joined by commas; an empty
variable is as one that is not set. A switch is on with `1`, `true`, `yes` or `on`.

"""


def _rows(prefix: str, model: type) -> list[str]:
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        variable = prefix.rstrip("_") if name == "callbacks" else prefix + name.upper()
        default = "required" if field.is_required() else f"`{field.default!r}`"
        kind = kind_of(field.annotation).replace("|", "or")
        rows.append(f"| `{variable}` | {kind} | {default} | {field.description or ''} |")
    return rows


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, "## The framework\n\n", "\n".join(_rows("CHAIN_CALLBACKS_", CoreSettings))]
    parts.append("\n\n## `structlog`\n\n")
    parts.append("\n".join(_rows("CHAIN_CALLBACKS_STRUCTLOG__", StructlogSettings)))
    policies = ", ".join(f"`CHAIN_CALLBACKS_<NAME>__{name.upper()}`" for name in POLICIES)
    parts.append(
        f"\n\n## Every handler\n\nThe policies {policies}: see [resolution](resolution.md). "
        "`chain-callbacks show NAME` lists the settings of any installed handler.\n"
    )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
