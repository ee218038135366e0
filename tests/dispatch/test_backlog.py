"""What waits for a queued handler: its order, its bounds, and who goes when there is no room."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_callbacks.delivery.backlog import RANKS, Backlog, rank_of
from chain_callbacks.delivery.breaker import Breaker
from chain_callbacks.events import EVENTS

RECORDS, SIZE = 6, 100
TOKEN, START, END, ERROR = range(RANKS)


class Waiting(NamedTuple):
    rank: int
    size: int
    item: int


class NaiveBacklog:
    """The promise, written down as plainly as can be: one list, searched from the front."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []

    def has_room(self, size: int, among: list[Waiting]) -> bool:
        return len(among) < RECORDS and sum(each.size for each in among) + size <= SIZE

    def put(self, new: Waiting) -> int:
        weightier = [each for each in self.waiting if each.rank > new.rank]
        if not self.has_room(new.size, weightier):
            return 1
        before = len(self.waiting)
        while not self.has_room(new.size, self.waiting):
            least = min(each.rank for each in self.waiting)
            self.waiting.remove(next(each for each in self.waiting if each.rank == least))
        self.waiting.append(new)
        return before + 1 - len(self.waiting)

    def take(self) -> int | None:
        return self.waiting.pop(0).item if self.waiting else None


PUTS = st.tuples(st.integers(0, RANKS - 1), st.integers(0, SIZE + 20))


@given(st.lists(st.one_of(PUTS, st.none()), max_size=60))
def test_backlog_does_what_a_plain_list_would(steps):
    """Whatever is put and taken: the same items wait, are dropped and come out as from a list."""
    backlog, naive = Backlog(RECORDS, SIZE), NaiveBacklog()

    for number, step in enumerate(steps, start=1):
        if step is None:
            assert naive.take() == backlog.take()
        else:
            assert naive.put(Waiting(*step, number)) == backlog.put(*step, number)
        assert len(naive.waiting) == len(backlog) <= RECORDS
        assert sum(each.size for each in naive.waiting) == backlog.total <= SIZE

    assert [each.item for each in naive.waiting] == [backlog.take() for _ in range(len(backlog))]
    assert (None, 0, 0) == (backlog.take(), len(backlog), backlog.total)


@given(st.lists(PUTS, max_size=60))
def test_backlog_gives_out_in_the_order_of_what_was_put(puts):
    """What is left comes out in its order, across all ranks."""
    backlog = Backlog(RECORDS, SIZE)

    for number, (rank, size) in enumerate(puts, start=1):
        backlog.put(rank, size, number)
    out = [backlog.take() for _ in range(len(backlog))]

    assert sorted(out) == out


@given(st.lists(PUTS, max_size=60))
def test_dropped_is_what_was_put_and_does_not_wait(puts):
    """The counts of what was dropped add up: nothing goes without being said."""
    backlog = Backlog(RECORDS, SIZE)

    dropped = sum(backlog.put(*put, "item") for put in puts)

    assert len(puts) - len(backlog) == dropped


def test_full_backlog_drops_tokens_then_starts_then_ends_then_errors():
    """The least important goes first, the oldest of it, and never for what matters less."""
    backlog = Backlog(4, SIZE)
    for rank, item in [(ERROR, "error"), (END, "end"), (START, "start"), (TOKEN, "token")]:
        backlog.put(rank, 1, item)

    left = []
    for number in range(4):
        assert backlog.put(ERROR, 1, f"new {number}") == 1
        left.append([item for lane in backlog._lanes for *_, item in lane])

    assert left == [
        ["start", "end", "error", "new 0"],
        ["end", "error", "new 0", "new 1"],
        ["error", "new 0", "new 1", "new 2"],
        ["new 0", "new 1", "new 2", "new 3"],
    ]
    assert backlog.put(END, 1, "end") == 1
    assert backlog.take() == "new 0"


def test_item_larger_than_the_bound_is_dropped_alone():
    """It would find no room in an empty queue either, so nothing makes way for it."""
    backlog = Backlog(RECORDS, SIZE)
    backlog.put(TOKEN, 10, "token")

    assert backlog.put(ERROR, SIZE + 1, "error") == 1
    assert (backlog.take(), backlog.take()) == ("token", None)


def test_nothing_makes_way_for_what_finds_no_room_all_the_same():
    """An end that is too large beside the errors takes no other end, and no token, with it."""
    backlog = Backlog(RECORDS, SIZE)
    for rank, size, item in [(ERROR, 50, "error"), (END, 10, "end"), (TOKEN, 10, "token")]:
        backlog.put(rank, size, item)

    assert backlog.put(END, 60, "large") == 1
    assert [backlog.take() for _ in range(3)] == ["error", "end", "token"]


def test_item_as_large_as_the_bound_fits_alone():
    """The bound is what may wait, itself included."""
    backlog = Backlog(RECORDS, SIZE)
    backlog.put(TOKEN, 1, "token")

    assert backlog.put(TOKEN, SIZE, "large") == 1
    assert (backlog.take(), backlog.total) == ("large", 0)


def test_flush_takes_what_was_put_before_it_and_nothing_later():
    """Everything put until now is out once what waits came later, dropped ones too."""
    backlog = Backlog(2, SIZE)
    assert backlog.last() == 0
    for rank in (END, ERROR, START):
        backlog.put(rank, 1, rank)
    asked_at = backlog.last()
    backlog.put(ERROR, 1, "later")

    assert asked_at == 2
    assert [backlog.take(asked_at), backlog.take(asked_at)] == [ERROR, None]
    assert backlog.take() == "later"


@pytest.mark.parametrize("spec", EVENTS.values(), ids=list(EVENTS))
def test_rank_follows_from_the_phase_except_for_tokens_and_texts(spec):
    """Tokens and texts matter least, then starts and what happens meanwhile, ends, and errors."""
    expected = {"start": START, "during": START, "end": END, "error": ERROR}[spec.phase]
    if spec.name in ("on_llm_new_token", "on_text"):
        expected = TOKEN

    assert expected == rank_of(spec) == rank_of(spec.unless_failed)


def test_breaker_stays_closed_below_its_number_of_failures_in_a_row():
    """A success between them begins the count again."""
    breaker = Breaker(5)

    for _ in range(3):
        for _ in range(4):
            breaker.fail(0.0)
        assert (breaker.is_open, breaker.wait(0.0)) == (False, 0.0)
        breaker.close()


def test_breaker_pauses_twice_as_long_after_each_probe_up_to_a_minute():
    """Five failures open it; each probe that fails doubles the pause, to sixty seconds at most."""
    breaker, now = Breaker(5), 1_000.0
    for _ in range(5):
        breaker.fail(now)

    pauses = []
    for _ in range(9):
        assert breaker.is_open
        pauses.append(breaker.wait(now))
        assert breaker.wait(now + pauses[-1] - 0.25) == 0.25
        now += pauses[-1]
        assert breaker.wait(now) == 0.0, "a probe may be made"
        breaker.fail(now)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_breaker_that_closes_begins_again_with_the_shortest_pause():
    """A probe that succeeds closes it, and forgets how long it was open."""
    breaker = Breaker(1)
    for _ in range(4):
        breaker.fail(0.0)
    assert breaker.pause == 8

    breaker.close()

    assert (breaker.is_open, breaker.wait(0.0)) == (False, 0.0)
    breaker.fail(0.0)
    assert breaker.wait(0.0) == 1
