"""What is said at once, what is counted, and when that is told; without a network or a clock."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from chain_callbacks_slack.digest import Digest
from chain_callbacks_slack.failure import Failure

ALERT = "Run `job` failed with `ValueError`"


def failure(number: int, **changes: Any) -> Failure:
    facts: dict[str, Any] = {
        "name": "job",
        "error_class": "ValueError",
        "origin": ("job",),
        "run_id": UUID(int=number),
        "error_id": None,
        "failed_at": datetime(2026, 1, 2, tzinfo=UTC),
        "duration": 1.0,
    }
    return Failure.of(**{**facts, **changes})


def distinct(number: int) -> Failure:
    return failure(number, origin=("job", f"step {number}"))


def more(count: int) -> str:
    return f"{count:,} more {'run' if count == 1 else 'runs'} failed like `job` with `ValueError`"


@pytest.fixture
def digest(clock: Any) -> Digest:
    return Digest(window=60, clock=clock, groups=200)


def tell(digest: Digest, *, is_all: bool = False) -> list[str]:
    """Take out and settle whatever is due; return the texts."""
    told = []
    while (pending := digest.take(is_all=is_all)) is not None:
        digest.settle(pending)
        told.append(pending.message.text)
    return told


def test_first_is_due_at_once_and_more_after_the_window(digest: Digest, clock: Any) -> None:
    """A failure of a new sort is told at once; what follows is counted until its window ends."""
    digest.add(failure(1))
    assert digest.seconds_left() == 0
    assert [ALERT] == tell(digest)
    assert digest.seconds_left() is None
    clock.now += 10
    for number in (2, 3):
        digest.add(failure(number))
    assert [] == tell(digest)
    assert digest.seconds_left() == 50
    clock.now += 50
    assert [more(2)] == tell(digest)
    assert digest.seconds_left() is None


def test_storm_of_hours_is_one_digest_a_window(digest: Digest, clock: Any) -> None:
    """While failures of a sort go on, each window is one message with its own count."""
    told = []
    for second in range(3 * 3600):
        digest.add(failure(second))
        told += tell(digest)
        clock.now += 1
    assert ALERT == told[0]
    assert len(told) == 3 * 60
    assert {more(60)} == {*told[1:]}


def test_quiet_window_ends_the_group(digest: Digest, clock: Any) -> None:
    """After a window without failures the next one is told at once, and the state is gone."""
    digest.add(failure(1))
    tell(digest)
    clock.now += 60
    assert [] == tell(digest)
    assert not digest._groups
    digest.add(failure(2))
    assert [ALERT] == tell(digest)
    clock.now += 60
    digest.add(failure(3))
    assert [ALERT] == tell(digest), "It ends by its time, whoever asks first."


@pytest.mark.parametrize(
    "changes", [{"error_class": "KeyError"}, {"origin": ("job", "tool")}, {"origin": ("other",)}]
)
def test_other_class_or_origin_is_told_by_itself(digest: Digest, changes: dict[str, Any]) -> None:
    """What is of another class, or began elsewhere, waits for no window of something else."""
    digest.add(failure(1))
    digest.add(failure(2, **changes))
    assert len(tell(digest)) == 2


def test_error_that_is_told_of_twice_counts_once(digest: Digest, clock: Any) -> None:
    """One error is one failure, whichever runs it left and however often that is told."""
    for number in range(3):
        digest.add(failure(number, error_id=UUID(int=99)))
        digest.add(failure(7))
        digest.add(failure(7))
    assert [ALERT] == tell(digest)
    clock.now += 60
    assert [more(1)] == tell(digest)


def test_messages_come_in_the_order_of_their_time(digest: Digest, clock: Any) -> None:
    """What is due for longest is first: nothing that is new can hold up a digest for ever."""
    digest.add(failure(1))
    tell(digest)
    digest.add(failure(2))
    for number in (3, 4):
        clock.now += 40
        digest.add(failure(number, name=f"n{number}", origin=(f"n{number}",)))
    assert [
        "Run `n3` failed with `ValueError`",
        more(1),
        "Run `n4` failed with `ValueError`",
    ] == tell(digest)


def test_what_is_given_back_is_due_as_before_with_what_failed_since(
    digest: Digest, clock: Any
) -> None:
    """A message that could not be sent loses nothing: neither its place nor a count."""
    digest.add(failure(1))
    alert = digest.take()
    assert alert is not None
    digest.add(failure(2))
    assert digest.take() is None
    assert len(digest) == 2
    digest.give_back(alert)
    assert [ALERT] == tell(digest)
    clock.now += 60
    counted = digest.take()
    assert counted is not None
    digest.add(failure(3))
    digest.give_back(counted)
    assert len(digest) == 1
    assert [more(2)] == tell(digest)


def test_more_sorts_than_are_kept_are_one_digest(digest: Digest, clock: Any) -> None:
    """Beyond the bound failures have one message a window with their count; none is lost."""
    for number in range(1_000):
        digest.add(distinct(number))
    assert len(digest) == 201
    assert len(tell(digest)) == 200
    assert digest.seconds_left() == 60
    clock.now += 60
    assert ["800 more runs failed in other ways"] == tell(digest)
    digest.add(distinct(1_000))
    assert [ALERT] == tell(digest), "There is room again."


def test_group_that_is_over_makes_room_at_once(clock: Any) -> None:
    """A new sort is told at once as soon as one of those that are kept has been quiet."""
    digest = Digest(window=60, clock=clock, groups=2)
    digest.add(distinct(0))
    tell(digest)
    clock.now += 10
    digest.add(distinct(1))
    tell(digest)
    told = []
    for now in (59, 60, 69, 70):
        clock.now = 1_000 + now
        digest.add(distinct(now))
        told.append(tell(digest))
    assert [[], [ALERT], [], [ALERT]] == told


def test_fold_leaves_a_few_messages_that_count_everything(digest: Digest, clock: Any) -> None:
    """To tell everything soon, the longest due keep their messages and one has the rest."""
    for number in range(100):
        digest.add(distinct(number))
    tell(digest)
    for number in range(100, 300):
        clock.now += 0.125
        digest.add(failure(number, origin=("job", f"step {number % 100}")))
    digest.fold(5)
    assert len(digest) == 6
    assert [*[more(2)] * 5, "190 more runs failed in other ways"] == sorted(
        tell(digest, is_all=True), key=lambda text: "other" in text
    )
    assert tell(digest, is_all=True) == []


def test_fold_counts_alerts_that_were_not_told(digest: Digest) -> None:
    """A first failure that finds no place of its own is counted, too."""
    for number in range(8):
        digest.add(distinct(number))
    digest.fold(5)
    assert [*[ALERT] * 5, "3 more runs failed in other ways"] == sorted(
        tell(digest, is_all=True), key=lambda text: "other" in text
    )


def test_memory_is_flat_however_many_sorts_there_are(digest: Digest) -> None:
    """A hundred thousand errors of as many sorts take no more room than the first thousands."""
    tracemalloc.start()
    try:
        for number in range(5_000):
            digest.add(distinct(number))
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5_000, 100_000):
            digest.add(distinct(number))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000
    assert len(digest) == 201
