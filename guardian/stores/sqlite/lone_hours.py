"""Hours that stand alone: joined, with few requests, and without their 5 minutes. Where a window begins or ends inside
of one, it is read from single events, which are all there: before they are deleted, it gets its 5 minutes back.

No mark says which hours these are: each has a row, and none of its 5 minutes has. Times are Unix microseconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import EVER, HOUR, MINUTES5, meta, transaction
from guardian.stores.sqlite.pacing import in_portions
from guardian.stores.sqlite.seal_keys import seal_key, seal_range

FEW = 4_000
"""An hour with fewer requests stands alone. To read 1,500 events takes as long as to read their 5 minutes, and 4,000 a
millisecond more; but 5 minutes would be a quarter of the file of a small app."""
Starts = Callable[[int, int, int], Sequence[int]]
"""What `seals.starts` does, of one database."""


def find(db: sqlite3.Connection, start_us: int, end_us: int) -> list[int]:
    """The starts of the lone hours that overlap [start, end), ascending."""
    return find_among(partial(seals.starts, db), start_us, end_us)


def find_among(starts: Starts, start_us: int, end_us: int) -> list[int]:
    """The same, of the buckets that this function knows."""
    hours = starts(HOUR, start_us // HOUR * HOUR, end_us)
    if not hours:
        return []
    there = {at // HOUR * HOUR for at in starts(MINUTES5, hours[0], hours[-1] + HOUR)}
    return [hour for hour in hours if hour not in there]


def leave(db: sqlite3.Connection, hour_us: int) -> None:
    """Delete the 5 minutes of a joined hour, if it may stand alone. Call it inside a transaction."""
    number = seals.requests(db, HOUR, hour_us, hour_us + HOUR)
    purged = meta(db, "purged_until_us")
    if number < FEW and hour_us >= purged and number == seals.count(db, hour_us, hour_us + HOUR):
        keys = [seal_range(part, MINUTES5, hour_us, hour_us + HOUR) for part in Part]
        db.executemany(f"DELETE FROM guardian_seal WHERE {seals.WHERE}", keys)


def leave_all(db: sqlite3.Connection, since_us: int) -> None:
    """The same for all hours from this moment on, in small steps: those of an older version all have 5 minutes."""
    small = f"SELECT id FROM guardian_seal WHERE {seals.WHERE} AND requests < ?"
    few = {key for (key,) in db.execute(small, (*seal_range(Part.STATUSES, HOUR, since_us, EVER), FEW))}
    there = {at // HOUR * HOUR for at in seals.starts(db, MINUTES5, since_us, EVER)}
    left = [hour for hour in sorted(there) if seal_key(Part.STATUSES, HOUR, hour) in few]

    def portion(number: int) -> int:
        some = left[-number:]
        del left[-number:]
        with transaction(db):
            for hour in some:
                leave(db, hour)
        return len(some)

    in_portions(portion)
