"""Events that wait for the writer thread: bounded, and counted at all times."""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import NamedTuple

from tracker.event import Event


class Stats(NamedTuple):
    """Numbers of one process since it started; `accepted = stored + dropped + queued` at all times."""

    accepted: int
    stored: int
    dropped: int
    queued: int


class Buffer:
    """At most `size` events. The host's threads append to `events`, without the lock: that is atomic, and every other
    change is the writer thread's. The numbers are changed under `lock`; `gone` is notified when events have left.

    `room` is how many may wait now: none once the database has turned out to be unusable.
    """

    def __init__(self, size: int) -> None:
        self.size = self.room = size
        self.events: deque[Event] = deque()
        self.lock = threading.Lock()
        self.gone = threading.Condition(self.lock)
        self._stored = self._dropped = 0
        self._left = self._goal = 0  # events that have left, and how many of them somebody waits for

    def lose(self) -> None:
        """Count an event that is not taken."""
        with self.lock:
            self._dropped += 1

    def counts(self) -> Stats:
        """The four numbers; the lock is held."""
        queued = len(self.events)
        return Stats(self._stored + self._dropped + queued, self._stored, self._dropped, queued)

    def first(self, most: int) -> list[Event]:
        """The oldest events, which stay where they are; for the writer thread, with the lock held."""
        try:
            return list(islice(self.events, most))
        except RuntimeError:  # something was added meanwhile, as without the interpreter's lock
            return [self.events[i] for i in range(min(len(self.events), most))]

    def take(self, number: int, stored: int) -> None:
        """Let the oldest events go: `stored` of them are stored now, the rest is lost. The lock is held."""
        for _ in range(number):
            self.events.popleft()
        self._stored += stored
        self._dropped += number - stored
        self._left += number
        self.gone.notify_all()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for events to leave."""
        return self._left < self._goal

    def await_all(self) -> int:
        """Wait, by `await_goal`, for all that is here now: the goal to give to it. The lock is held."""
        goal = self._left + len(self.events)
        self._goal = max(self._goal, goal)
        return goal

    def await_goal(self, goal: int, timeout: float) -> bool:
        """Whether as many events as that have left within `timeout` seconds. The lock is held."""
        return self.gone.wait_for(lambda: self._left >= goal, timeout)
