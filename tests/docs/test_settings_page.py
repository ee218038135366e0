"""The page of settings says what the models say."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_settings_is_current():
    """`python docs/settings_table.py` would change nothing."""
    script = runpy.run_path(str(DOCS / "settings_table.py"))

    assert (DOCS / "reference" / "settings.md").read_text("utf-8") == script["page"]()
