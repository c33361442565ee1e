"""Gives the write-ahead log its turn: if it is long, our reads wait until SQLite has restarted it.

SQLite restarts the log when all of it is in the file and nobody reads from it. Short reads that overlap without a gap
never leave such a moment, and the log grows for as long as they go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import monotonic, sleep

from guardian.stores.sqlite.log import log_bytes
from guardian.stores.sqlite.pacing import LONG, cut_once
from tracker.sqlite.connection import LOG_LIMIT

LONGEST = 1.0
"""The most seconds that a read waits for other reads to end."""
FIRST_PAUSE, LAST_PAUSE = 0.5, 64.0
"""After a turn that failed because somebody kept reading, the seconds until the next one: doubled each time, from the
first value up to the second."""


class Turns:
    """The turns of the log of the database at `path`, for the threads of this process. All processes look at the same
    log, so their reads wait at the same time. No lock is held while waiting, and writers never wait here. `clock` and
    `wait` are those of the time module: `monotonic` and `sleep`.
    """

    def __init__(
        self, path: str, *, clock: Callable[[], float] = monotonic, wait: Callable[[float], None] = sleep
    ) -> None:
        self._path, self._clock, self._wait = path, clock, wait
        self._again, self._pause = float("-inf"), FIRST_PAUSE

    def give(self, db: sqlite3.Connection) -> None:
        """Call before a read on `db`, which must have no transaction open. Returns at once if the log is within
        LOG_LIMIT; otherwise when the log was restarted, or after LONGEST."""
        began = self._clock()
        if log_bytes(self._path) <= LOG_LIMIT or began < self._again:
            return
        while not _cut(db):
            now = self._clock()
            if now - began >= LONGEST:
                # A program that never stops reading would make each of our reads wait.
                self._again, self._pause = now + self._pause, min(self._pause * 2, LAST_PAUSE)
                return
            self._wait(LONG)
            if log_bytes(self._path) <= LOG_LIMIT:  # somebody else did it
                break
        self._pause = FIRST_PAUSE


def _cut(db: sqlite3.Connection) -> bool:
    """Whether the log was restarted. Errors, such as a full disk, must not stop a read."""
    try:
        return cut_once(db)
    except sqlite3.OperationalError:
        return False
