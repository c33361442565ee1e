"""The write-ahead log takes its turn: where it is long, reads of ours wait until it has begun anew.

SQLite begins the log anew when all of it is in the file and nobody reads from it. Reads that overlap without a gap,
each of them short, leave it no such moment, and it grows for as long as they go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import monotonic, sleep

from guardian.stores.sqlite.log import log_bytes
from guardian.stores.sqlite.pacing import LONG, cut_once
from tracker.sqlite.connection import LOG_LIMIT

LONGEST = 1.0
"""Seconds that a read waits at most, for other reads to end."""
FIRST_PAUSE, LAST_PAUSE = 0.5, 64.0
"""Seconds without a turn after one in which somebody read on: twice as long each time, up to the second."""


class Turns:
    """The turns of the log of the database at `path`, for the threads of this process.

    Every process looks at the same log, so the reads of all of them wait together. Nothing is held while one waits, and
    no writer ever waits here. `clock` and `wait` are those of the time module: `monotonic` and `sleep`.
    """

    def __init__(
        self, path: str, *, clock: Callable[[], float] = monotonic, wait: Callable[[float], None] = sleep
    ) -> None:
        self._path, self._clock, self._wait = path, clock, wait
        self._again, self._pause = float("-inf"), FIRST_PAUSE

    def give(self, db: sqlite3.Connection) -> None:
        """Before a read begins on `db`, which has no transaction open: return at once where the log is within
        LOG_LIMIT; else when it was begun anew, or after LONGEST."""
        began = self._clock()
        if log_bytes(self._path) <= LOG_LIMIT or began < self._again:
            return
        while not _cut(db):
            now = self._clock()
            if now - began >= LONGEST:
                # A program that reads on and on would cost each read of ours the wait.
                self._again, self._pause = now + self._pause, min(self._pause * 2, LAST_PAUSE)
                return
            self._wait(LONG)
            if log_bytes(self._path) <= LOG_LIMIT:  # somebody else has done it
                break
        self._pause = FIRST_PAUSE


def _cut(db: sqlite3.Connection) -> bool:
    """Whether the log was begun anew. A disk that is full, say, is no reason not to read."""
    try:
        return cut_once(db)
    except sqlite3.OperationalError:
        return False
