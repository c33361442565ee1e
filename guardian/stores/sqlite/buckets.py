"""What sealing, reading and deleting share: bucket lengths, the keys of events, values in guardian_meta, and
transactions. Times are Unix microseconds.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from tracker.sqlite.connection import undo
from tracker.sqlite.keys import SEQUENCE_BITS, time_sql

EVER = 2**62
"""Later than any event."""
Keys = TypeVar("Keys", int, np.ndarray)

MINUTES5, HOUR, DAY = (seconds * 1_000_000 for seconds in (300, 3600, 86400))
SPANS = (DAY, HOUR, MINUTES5)
"""The lengths of buckets, longest first; each is a multiple of the next."""
AT_US = time_sql("id")
"""The SQL for an event's time, from its row in guardian_request."""


def meta(db: sqlite3.Connection, key: str) -> int:
    """A moment or a count in guardian_meta; 0 if it is not set."""
    row = db.execute("SELECT value FROM guardian_meta WHERE key = ?", (key,)).fetchone()
    return int(row[0]) if row else 0


def epoch(db: sqlite3.Connection) -> str | None:
    """A value that changes whenever a number of a dictionary may have got another meaning."""
    row = db.execute("SELECT value FROM guardian_meta WHERE key = 'dictionary_epoch'").fetchone()
    return None if row is None else str(row[0])


def begin_epoch(db: sqlite3.Connection) -> None:
    """Change that value, inside the transaction that changes what numbers mean: whoever kept what they meant looks
    them up again."""
    db.execute("REPLACE INTO guardian_meta VALUES ('dictionary_epoch', ?)", (secrets.token_hex(8),))


def set_meta(db: sqlite3.Connection, key: str, value: int) -> None:
    """Raise a moment or a count in guardian_meta; it never falls."""
    db.execute("REPLACE INTO guardian_meta VALUES (?, ?)", (key, max(value, meta(db, key))))


def ids(start_us: int, end_us: int) -> tuple[int, int]:
    """The range of keys of guardian_request between two moments, [first, end), limited to SQLite's integers."""
    first, end = (min(max(at, 0) << SEQUENCE_BITS, 2**63 - 1) for at in (start_us, end_us))
    return first, end


def time_of(number: Keys) -> Keys:
    """The time of the event with this key, or of each in an array of keys."""
    return number >> SEQUENCE_BITS


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction: everything written inside is committed, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise
