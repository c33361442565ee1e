"""When the writer thread stores what waits, and when it lets the host's requests go first."""

from __future__ import annotations

import random
import threading
import time

from tracker.buffer import Buffer
from tracker.sink import Pace

QUIET_SECONDS = 0.05
"""Waiting events are stored once no more have come for this long, unless many wait."""
_MANY = 100  # so many wait where events come fast: then it is not looked whether more come
BACKOFF = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds to wait after the first failure, the second, and so on; the last for all that follow."""
_CLOSING_BACKOFF = 0.01
_ENDING_SECONDS = 5.0
_LOOK_SECONDS = 1.0  # how often a thread at rest looks whether its recorder was abandoned
_AWAKE_SECONDS = 10.0  # how long after the last event the thread looks for the next one by itself
_MOMENT_SECONDS = 0.002  # between two parts of a batch; a part takes a millisecond or two


class Pacing:
    """The rhythm of a thread that stores the events of `buffer` at the `pace` of a store."""

    def __init__(self, buffer: Buffer, pace: Pace) -> None:
        self._buffer, self._pace, self._batch, self._interval = buffer, pace, pace.batch, pace.interval
        self.wake = threading.Event()
        self.asleep = True  # the thread has to be woken, or started, for an event to be stored
        self.deadline: float | None = None  # the end is near: what is not stored by then, stays
        self.ended_at: float | None = None  # when the app ended, until another one starts
        self.abandoned = False
        self.kept_out = False  # somebody waits until the thread is out of the store
        self._busy_at = 0.0  # when a batch was stored last
        self._flood = False  # whether that was a full batch, and events have come since

    def rest(self, failures: int) -> None:
        """Wait until there is something to store, and then until nothing more comes, a batch is full or time is up.
        After so many failures in a row, wait before the next attempt.

        Where events come fast, a batch soon is full or time is up: whether more come is not looked for. A thread that
        wakes needs the interpreter's lock, which a busy event loop gives up for some microseconds only, at each call of
        the system: some ten times in vain, and each time the loop has to wake the thread. That holds up all requests
        in flight for a tenth of a millisecond or two.
        """
        buffer = self._buffer
        if failures:
            backoff = BACKOFF[min(failures, len(BACKOFF)) - 1]
            self.wake.wait(backoff if self.deadline is None else min(backoff, _CLOSING_BACKOFF))
            return
        if not buffer.values:
            self._flood = False
            if time.monotonic() - self._busy_at < _AWAKE_SECONDS:
                # Polling now and then is cheaper than having requests wake the thread.
                self.wake.wait(min(QUIET_SECONDS, self._interval))
            else:
                self.asleep = True
                if not buffer.values:  # whoever adds from here on wakes us
                    self.wake.wait(min(self._interval, _LOOK_SECONDS))
                self.asleep = False
        pace = self._pace
        interval = self._interval if self._busy_at else min(self._interval, pace.first)
        end = time.monotonic() + interval * random.uniform(1 - pace.jitter, 1 + pace.jitter)
        while waiting := buffer.waiting:
            self.wake.clear()
            # After clearing: whoever sets the event changes one of these first.
            if self._hurried() or waiting >= self._batch:
                return
            left = end - time.monotonic()
            if left <= 0 or self.abandoned:
                return
            looks = pace.prompt and not self._flood and waiting < _MANY
            woken = self.wake.wait(min(QUIET_SECONDS if looks else _LOOK_SECONDS, left))
            if pace.prompt and (woken or buffer.waiting == waiting):
                return

    def give_way(self) -> bool:
        """Between two parts of a batch: let the host's requests go first for a moment, unless there is hurry. Whether
        there was time for that.

        The interpreter lets one thread run at a time, so a thread that works without a pause holds up requests for the
        whole of its batch: at full load their 99th percentile was two thirds higher.
        """
        if calm := self.calm():
            time.sleep(_MOMENT_SECONDS)
        return calm

    def calm(self) -> bool:
        """Whether there is time to let others go first: no hurry, and less than half of the buffer waits."""
        return not self._hurried() and 2 * self._buffer.waiting < self._buffer.room

    def _hurried(self) -> bool:
        """Whether somebody waits for what is stored or for the end of storing, or the process may be gone in the next
        moment: its app ended, some seconds ago at most."""
        ended = self.ended_at is not None and time.monotonic() - self.ended_at < _ENDING_SECONDS
        return ended or self.kept_out or self.deadline is not None or self._buffer.awaited
