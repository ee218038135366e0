"""The pages that are made by a script say what the code and the data say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from benchmarks import page as page_of_numbers
from benchmarks import traces

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("events_table.py", "reference/events.md"),
        ("settings_table.py", "reference/settings.md"),
        ("truth_table.py", "reference/resolution.md"),
    ],
)
def test_generated_page_is_current(script, page):
    """Running the script would change nothing."""
    made = runpy.run_path(str(DOCS / script))["page"]()

    assert made == (DOCS / page).read_text("utf-8")


def test_page_of_numbers_and_its_pictures_are_current():
    """They show the numbers that the repository keeps: `python -m benchmarks.page` writes them."""
    folder = DOCS / "explanation"
    made = page_of_numbers.made()

    assert made == {name: (folder / name).read_text("utf-8") for name in made}


def test_page_of_the_comparison_is_current():
    """It shows what the repository keeps: `python -m benchmarks.traces` measures and writes it."""
    assert traces.page() == traces.PAGE.read_text("utf-8")
