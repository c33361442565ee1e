"""What sealing, reading and deleting share: the lengths of buckets, the key of an event, and facts of guardian_meta.

Times are Unix microseconds.
"""

from __future__ import annotations

import sqlite3
from typing import TypeVar

import numpy as np

from tracker.sqlite.keys import SEQUENCE_BITS, time_sql

Keys = TypeVar("Keys", int, np.ndarray)

MINUTES5, HOUR, DAY = (seconds * 1_000_000 for seconds in (300, 3600, 86400))
SPANS = (DAY, HOUR, MINUTES5)
"""The lengths of buckets, longest first; each is a multiple of the next."""
AT_US = time_sql("id")
"""The time of an event, of its row in guardian_request."""


def meta(db: sqlite3.Connection, key: str) -> int:
    """A moment or a count of guardian_meta; 0 where it is not set."""
    row = db.execute("SELECT value FROM guardian_meta WHERE key = ?", (key,)).fetchone()
    return int(row[0]) if row else 0


def set_meta(db: sqlite3.Connection, key: str, value: int) -> None:
    """Move a moment or a count of guardian_meta forward; it never goes back."""
    db.execute("REPLACE INTO guardian_meta VALUES (?, ?)", (key, max(value, meta(db, key))))


def ids(start_us: int, end_us: int) -> tuple[int, int]:
    """The keys of guardian_request between two moments: [first, end), cut to what SQLite's integers hold."""
    first, end = (min(max(at, 0) << SEQUENCE_BITS, 2**63 - 1) for at in (start_us, end_us))
    return first, end


def time_of(number: Keys) -> Keys:
    """The time of the event with this key, or of each in an array of keys."""
    return number >> SEQUENCE_BITS
