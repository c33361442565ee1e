"""Stretches of minutes, each for one statement: neither so long that a statement holds back the write-ahead log and
needs much memory, nor so short that there are many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from guardian.alerting.columns import MINUTE_US
from guardian.stores.sqlite.seals import more_than

FEW, MANY = 25_000, 100_000
"""The fewest and the most events that one statement should read. Looking whether there are more takes some 3 ms, where
reading takes 50."""
_FIRST, _MOST = 4, 6 * 60
"""How many minutes the first statement reads, and the most for any."""


class Pieces:
    """Divides the minutes [start, end): each piece has at most MANY events, or is a single minute. After each, `read`
    has to be set to the number of its events: after few, the next piece is longer."""

    def __init__(self, db: sqlite3.Connection, start: int, end: int) -> None:
        self._db, self._start, self._end = db, start, end
        self.read = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        first, size = self._start, _FIRST
        while first < self._end:
            size = min(size, self._end - first)
            while size > 1 and self._has_many(first, first + size):
                size //= 2
            yield first, first + size
            first += size
            size = min(2 * size, _MOST) if self.read < FEW else size

    def _has_many(self, first: int, last: int) -> bool:
        return more_than(MANY, self._db, first * MINUTE_US, last * MINUTE_US)
