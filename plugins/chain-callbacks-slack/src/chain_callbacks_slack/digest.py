"""What is to be said, and when: the first of a sort at once, more of it in a digest a window.

It sends nothing. Its caller serialises the calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from uuid import UUID

from .failure import Failure
from .message import Message, failed_run, more_failures, other_failures
from .tally import Tally

_ERRORS_REMEMBERED: Final = 1_000


class _Group:
    """Failures of one sort.

    Attributes:
        like: The first of them; None for the group of all that has no place of its own.
        first: The same until it was told.
        more: Those that are only counted.
        due: When it may tell what it has; with nothing to tell, when it is over.
    """

    __slots__ = ("due", "first", "like", "more")

    def __init__(self, like: Failure | None, due: float) -> None:
        self.like = self.first = like
        self.more = Tally()
        self.due = due

    @property
    def messages(self) -> int:
        """How many there are to send."""
        return (self.first is not None) + (self.more.count > 0)

    def is_over(self, now: float) -> bool:
        return not self.messages and self.due <= now


class Pending(NamedTuple):
    """A message that was taken out; it is given back, or settled."""

    message: Message
    group: _Group
    first: Failure | None
    more: Tally
    due: float


class Digest:
    """Groups failures by class of error and origin; says what to send, in order of its time.

    A window of *window* seconds by *clock* begins with each message of a group. What fails in it is
    counted, and told at its end in one message; a window without failures ends the group. At most
    *groups* are kept: what else fails is counted in one more. Memory does not grow with failures.
    """

    def __init__(
        self,
        *,
        window: float,
        clock: Callable[[], float],
        service: str | None = None,
        groups: int = 200,
    ) -> None:
        self._window = window
        self._clock = clock
        self._service = service
        self._capacity = groups
        self._groups: dict[int, _Group] = {}
        self._others = _Group(None, -math.inf)
        self._told: dict[UUID, None] = {}
        self._taken = 0
        self._full_until = -math.inf

    def add(self, failure: Failure) -> None:
        """Take in a failure; the same error, told of a second time, is none."""
        if failure.key in self._told:
            return
        self._told[failure.key] = None
        if len(self._told) > _ERRORS_REMEMBERED:
            del self._told[next(iter(self._told))]
        now = self._clock()
        group = self._groups.get(failure.group)
        if group is not None and not group.is_over(now):
            group.more.add(failure)
            return
        if len(self._groups) >= self._capacity and now >= self._full_until:
            self._forget_what_is_over(now)
            # Whatever has a message now is over a window after that was sent, at the earliest.
            self._full_until = now + self._window
            for each in self._groups.values():
                if not each.messages:
                    self._full_until = min(self._full_until, each.due)
        if group is not None or len(self._groups) < self._capacity:
            self._groups[failure.group] = _Group(failure, now)
            return
        if self._others.is_over(now):
            self._others.due = now + self._window
        self._others.more.add(failure)

    def take(self, *, is_all: bool = False) -> Pending | None:
        """Take out the message that is due for longest; with *is_all*, one that is not due too.

        What fails meanwhile is counted, and due after the window that begins when this is settled.
        """
        now = self._clock()
        self._forget_what_is_over(now)
        group = min(self._telling(), key=lambda each: each.due, default=None)
        if group is None or (group.due > now and not is_all):
            return None
        first, more, due = group.first, Tally(), group.due
        if first is not None:
            group.first = None
            message = failed_run(first, service=self._service)
        else:
            group.more, more = more, group.more
            message = (
                other_failures(more, service=self._service)
                if group.like is None
                else more_failures(group.like, more, service=self._service)
            )
        group.due = math.inf
        self._taken += 1
        return Pending(message, group, first, more, due)

    def give_back(self, pending: Pending) -> None:
        """Put back what could not be sent: it is due as it was, with what failed since."""
        group = pending.group
        group.first = pending.first
        pending.more.merge(group.more)
        group.more = pending.more
        group.due = pending.due
        self._taken -= 1

    def settle(self, pending: Pending) -> None:
        """Note that a message was sent, or will never be: the group's next window begins."""
        pending.group.due = self._clock() + self._window
        self._taken -= 1

    def fold(self, groups: int) -> None:
        """Leave messages to *groups* groups; count what the rest have to say in one digest."""
        telling = sorted(self._telling(), key=lambda each: each.due)
        for group in telling[groups:]:
            if group is not self._others:
                if group.first is not None:
                    self._others.more.add(group.first)
                self._others.more.merge(group.more)
                group.first, group.more = None, Tally()
                self._others.due = min(self._others.due, group.due)
                group.due = self._clock() + self._window

    def seconds_left(self) -> float | None:
        """Return the seconds until a message is due, None where there is none to send."""
        due = min((each.due for each in self._telling()), default=None)
        return None if due is None else max(0.0, due - self._clock())

    def __len__(self) -> int:
        """Return how many messages are to be sent, one that was taken out included."""
        return self._taken + sum(each.messages for each in self._telling())

    def _telling(self) -> Iterator[_Group]:
        return (each for each in (*self._groups.values(), self._others) if each.messages)

    def _forget_what_is_over(self, now: float) -> None:
        for key in [key for key, each in self._groups.items() if each.is_over(now)]:
            del self._groups[key]
