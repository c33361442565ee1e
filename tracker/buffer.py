"""A bounded buffer of events that wait for the writer thread, with exact counts at all times."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from tracker.flat_events import WIDTH, FlatEvents


class Stats(NamedTuple):
    """Numbers of one process since it started; `accepted = stored + dropped + queued` at all times."""

    accepted: int
    stored: int
    dropped: int
    queued: int


class Buffer:
    """At most `size` events. The host's threads extend `values` by an event's, without the lock: that is atomic, and
    every other change is the writer thread's. The numbers are changed under `lock`; `gone` is notified when events have
    left. `room` is how many may wait now: 0 once the database has turned out to be unusable.

    The values lie one after the other in one list, see FlatEvents. Python's garbage collector runs for every 700 new
    objects that stay and may hold others, and holds up requests: with an object an event, for a tenth of a millisecond
    each time, and in the end for the 20 ms that all objects of the host take.
    """

    def __init__(self, size: int) -> None:
        self.size = self.room = size
        self.values: list[Any] = []
        self.lock = threading.Lock()
        self.gone = threading.Condition(self.lock)
        self._stored = self._dropped = 0
        self._left = self._goal = 0  # events that have left; the number that somebody waits for

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self.values) // WIDTH

    def lose(self) -> None:
        """Count an event that is not taken."""
        with self.lock:
            self._dropped += 1

    def counts(self) -> Stats:
        """The four numbers; the lock is held."""
        queued = self.waiting
        return Stats(self._stored + self._dropped + queued, self._stored, self._dropped, queued)

    def first(self, most: int) -> FlatEvents:
        """The oldest events, without removing them; for the writer thread, with the lock held."""
        return FlatEvents(self.values[: most * WIDTH])

    def take(self, number: int, stored: int) -> None:
        """Remove the oldest events: `stored` of them were stored, the rest is lost. The lock is held."""
        del self.values[: number * WIDTH]
        self._stored += stored
        self._dropped += number - stored
        self._left += number
        self.gone.notify_all()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for events to leave."""
        return self._left < self._goal

    def await_all(self) -> int:
        """The goal for `await_goal` to wait for all events that are here now. The lock is held."""
        goal = self._left + self.waiting
        self._goal = max(self._goal, goal)
        return goal

    def await_goal(self, goal: int, timeout: float) -> bool:
        """Wait until the goal is reached; False if `timeout` seconds were not enough. The lock is held."""
        return self.gone.wait_for(lambda: self._left >= goal, timeout)
