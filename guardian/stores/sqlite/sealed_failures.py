"""The failed requests of each sealed day as columns, beside its summary: who met them, where, when and why.

The index of failed requests has no routes and is read row by row; for a month, that took most of a report's time. These
columns mirror stored single events, and are deleted when the events are purged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from guardian.core import codec
from guardian.core.totals import Part
from guardian.stores.sqlite.buckets import DAY, ids, meta, time_of
from guardian.stores.sqlite.decoded import decoded
from guardian.stores.sqlite.seals import FAILED
from tracker.sqlite.connection import undo
from tracker.sqlite.keys import SEQUENCE_BITS

_COLUMNS = "id, user, route, status, duration_us, failure, coalesce(latency_us, -2)"
_ROWS = f"SELECT {_COLUMNS} FROM guardian_request WHERE id >= ? AND id < ? AND failure IS NOT NULL ORDER BY id"
_SEALED = f"""
    guardian_summary_part s LEFT JOIN guardian_summary_part f
        ON f.part = {FAILED} AND f.span_us = s.span_us AND f.start_us = s.start_us AND f.requests = s.requests
    WHERE s.part = {Part.STATUSES} AND s.span_us = {DAY} AND s.start_us >= ?
"""
_NUMBER = f"SELECT count(*) FROM guardian_summary_part WHERE part = ? AND span_us = {DAY} AND start_us >= ?"
_MISSING = f"SELECT s.start_us FROM {_SEALED} AND f.part IS NULL"
_NOTED = f"SELECT f.start_us, f.body FROM {_SEALED} AND s.start_us <= ? AND f.part IS NOT NULL ORDER BY s.start_us"
_SEQUENCE = (1 << SEQUENCE_BITS) - 1


def note(db: sqlite3.Connection) -> int:
    """Store the columns for each sealed day that lacks them. Returns for how many days. Days that another version
    sealed again are included as soon as any day is missing; until then they are read from the index.
    """
    purged = meta(db, "purged_until_us")
    sealed, noted = (db.execute(_NUMBER, (part, purged)).fetchone() for part in (Part.STATUSES, FAILED))
    missing = db.execute(_MISSING, (purged,)).fetchall() if sealed != noted else []
    for (start,) in missing:
        db.execute("BEGIN IMMEDIATE")
        try:
            _note(db, start)
            db.execute("COMMIT")
        except BaseException:
            undo(db)
            raise
    return len(missing)


def _note(db: sqlite3.Connection, start_us: int) -> None:
    sealed = "SELECT requests FROM guardian_summary_part WHERE part = ? AND span_us = ? AND start_us = ?"
    row = db.execute(sealed, (Part.STATUSES, DAY, start_us)).fetchone()
    if row is None or start_us < meta(db, "purged_until_us") or _stale(db, start_us, start_us + DAY):
        return
    rows = db.execute(_ROWS, ids(start_us, start_us + DAY)).fetchall()
    keys, *others = np.array(rows, np.int64).reshape(-1, 7).T
    body = codec.pack((keys >> SEQUENCE_BITS, keys & _SEQUENCE, *others))
    columns = "part, span_us, start_us, requests, body"
    values = (FAILED, DAY, start_us, row[0], body)
    db.execute(f"REPLACE INTO guardian_summary_part ({columns}) VALUES (?, ?, ?, ?, ?)", values)


def days(
    db: sqlite3.Connection, start_us: int, end_us: int, *, whole: bool = True
) -> Iterator[tuple[int, int, Sequence[np.ndarray]]]:
    """The days inside [start, end) whose failed requests are noted, in order: (start, end, their columns), which are
    keys, users, and where the `whole` is asked for routes, statuses, durations, failures and latencies; -2 is a latency
    that is not known.

    Inside a transaction of the reader's. No day of purged events is among them, nor one that is stale.
    """
    first = max(start_us, meta(db, "purged_until_us"))
    if end_us - first < DAY:
        return
    stale = _stale(db, first, end_us)
    for start, body in db.execute(_NOTED, (first, end_us - DAY)).fetchall():
        if start not in stale:
            (at, sequence, *others), _ = decoded().joined([((FAILED, DAY, start), body)], range(8 if whole else 3))
            yield start, start + DAY, ((at << SEQUENCE_BITS) + sequence, *others)


def _stale(db: sqlite3.Connection, start_us: int, end_us: int) -> set[int]:
    """The days with late events that are not summarised yet."""
    rows = db.execute("SELECT start_us FROM guardian_dirty WHERE start_us >= ? AND start_us < ?", (start_us, end_us))
    return {at // DAY * DAY for (at,) in rows}


def forget_texts(db: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Delete the columns of the days with these failed requests, whose failure has changed. `note` makes them again."""
    days = {time_of(key) // DAY * DAY for key in keys}
    sql = "DELETE FROM guardian_summary_part WHERE part = ? AND start_us = ?"
    db.executemany(sql, [(FAILED, start) for start in days])


def forget(db: sqlite3.Connection, before_us: int) -> None:
    """Delete the columns of days that begin before this moment, whose single events are deleted."""
    db.execute("DELETE FROM guardian_summary_part WHERE part = ? AND start_us < ?", (FAILED, before_us))
