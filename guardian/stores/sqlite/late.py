"""Finds the minutes that have gained events since they were read: from the trackers' notes of late events, otherwise by
counting."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from guardian.alerting.columns import MINUTE_US, MinuteCounts
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.covering import cover
from guardian.stores.sqlite.earlier import count, narrowed, sealed

_AGAIN = 15
"""How many minutes are counted again if not every writer reports its counts."""
_DAY = 1440


def read_marks(db: sqlite3.Connection) -> dict[int, int]:
    """How many events came late for each minute (its start, µs), as far as trackers have noted them."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'guardian_late'").fetchone():
        return {}
    return dict(db.execute("SELECT start_us, count FROM guardian_late"))


def marked(before: Mapping[int, int], now: Mapping[int, int], end: int, missing: int) -> list[int] | None:
    """The minutes before `end` with more late events noted now than before. None if these do not add up to the
    `missing` events, because some writer does not note them."""
    more = {start: number - before.get(start, 0) for start, number in now.items() if start < end * MINUTE_US}
    more = {start: number for start, number in more.items() if number}
    return sorted(start // MINUTE_US for start in more) if sum(more.values()) == missing else None


def late_minutes(db: sqlite3.Connection, counts: MinuteCounts, missing: int, only: str) -> list[int] | None:
    """The minutes of these counts that have gained events; `missing` is how many came, as far as known. None if they
    must lie more than a day back."""
    found, only = list[int](), narrowed(db, only)
    again = max(counts.start, counts.end - _AGAIN)
    for minute in range(again, counts.end):
        more = count(db, minute, minute + 1, only) - counts.requests(minute, minute + 1)
        missing -= more
        found += [minute] if more else []
    first_us = max(counts.start, counts.end - _DAY) * MINUTE_US
    spans, sealed_us = sealed(db, only)
    stale = [at for (at,) in db.execute("SELECT start_us FROM guardian_dirty ORDER BY start_us")]
    for piece in reversed(list(cover(db, first_us, again * MINUTE_US, spans[1:], sealed_us, stale))):
        if missing <= 0:
            break
        first, last = piece.start // MINUTE_US, piece.end // MINUTE_US
        number = seals.requests(db, piece.span, piece.start, piece.end) if piece.span else count(db, first, last, only)
        if number != counts.requests(first, last):
            missing -= number - counts.requests(first, last)
            found += _differing(db, counts, first, last, only)
    return None if missing > 0 else found


def _differing(db: sqlite3.Connection, counts: MinuteCounts, first: int, last: int, only: str) -> list[int]:
    """The minutes of [first, last) whose numbers differ from these counts, found by bisection."""
    if last - first == 1:
        return [first]
    middle = (first + last) // 2
    halves = ((first, middle), (middle, last))
    differing = [half for half in halves if count(db, *half, only) != counts.requests(*half)]
    return [minute for half in differing for minute in _differing(db, counts, *half, only)]
