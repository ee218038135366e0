"""What is kept of a failure: enough to group it and to tell it, and no more than that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from chain_callbacks_slack.failure import Failure

RUN_ID = UUID(int=1)


def failure(**changes: Any) -> Failure:
    facts: dict[str, Any] = {
        "name": "job",
        "error_class": "ValueError",
        "origin": ("job", "model"),
        "run_id": RUN_ID,
        "error_id": None,
        "failed_at": datetime(2026, 1, 2, tzinfo=UTC),
        "duration": 1.0,
    }
    return Failure.of(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"run_id": UUID(int=2), "duration": 9.0}, True),
        ({"error_class": "KeyError"}, False),
        ({"origin": ("job", "tool")}, False),
        ({"origin": ("job > model",)}, False),
        ({"origin": ()}, False),
    ],
)
def test_sort_is_class_and_origin(changes: dict[str, Any], is_same: object) -> None:
    """Failures are of one sort if the class of the error and the whole path to it are equal."""
    assert is_same is (failure().group == failure(**changes).group)


def test_paths_that_look_the_same_when_cut_are_two_sorts() -> None:
    """What is left out of a long path, or of a long name, still tells two sorts apart."""
    deep = [failure(origin=(*"abc", middle, *"efgh")) for middle in "xy"]
    long = [failure(origin=("n" * 100 + end,)) for end in "xy"]
    for first, second in (deep, long):
        assert first.began == second.began
        assert first.group != second.group


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ((), "job"),
        (("a",), "a"),
        (tuple("abcdef"), "a > b > c > d > e > f"),
        (tuple("abcdefgh"), "a > … 3 more … > e > f > g > h"),
    ],
)
def test_long_path_keeps_its_ends(origin: tuple[str, ...], expected: str) -> None:
    """Of a deep tree the root and the innermost names are kept, and how many are not."""
    assert expected == failure(origin=origin).began


def test_names_of_any_length_take_little_room() -> None:
    """What is kept does not grow with the names of the program."""
    huge = "n" * 1_000_000
    kept = failure(name=huge, error_class=huge, origin=[huge] * 100)
    assert kept.name == f"{'n' * 60}… (1,000,000 characters)"
    assert len(f"{kept.name}{kept.error_class}{kept.began}") < 1_000


def test_error_is_known_by_its_id_or_by_its_run() -> None:
    """Where nobody gave the error an id, each run that fails is an error of its own."""
    error_id = UUID(int=7)
    assert error_id == failure(error_id=error_id).key
    assert RUN_ID == failure().key
