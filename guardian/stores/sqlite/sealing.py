"""Sealed summaries in SQLite: each closed bucket of 5 minutes, an hour, a day is summarised once and stored as one row.

Rows speak of people by the number of their dictionary row, never by address: erasing a person is one row there.
A bucket without events has no row. Times are Unix microseconds. Four facts of guardian_meta and a table steer it:
`sealed_until_us` (every 5 minutes before it are summarised), `purged_until_us` (single events before it are deleted),
`forgotten_until_us` (summaries too), and guardian_dirty (5 minutes that a late event has made stale).
"""

from __future__ import annotations

import sqlite3

from guardian.core.totals import Totals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, ids, meta, set_meta, time_of
from guardian.stores.sqlite.totals import read_raw

GRACE_US = 60_000_000
"""A bucket is sealed this long after its end: what the recorders still held is in by then."""
_INNER = ((HOUR, MINUTES5), (DAY, HOUR))
_BODIES = "SELECT body FROM guardian_summary WHERE span_us = ? AND start_us >= ? AND start_us < ? ORDER BY start_us"


def seal(db: sqlite3.Connection, now_us: int) -> int:
    """Summarise what is stale, then what has closed, then the hours and days that are complete; how many rows were
    written. What takes long is read before the transaction, so none lasts longer than storing a row."""
    written, low = 0, meta(db, "sealed_until_us") - 2 * DAY
    for (start,) in db.execute("SELECT start_us FROM guardian_dirty ORDER BY start_us").fetchall():
        written += _seal(db, start, closing=False) or 0
        low = min(low, start)
    end = (now_us - GRACE_US) // MINUTES5 * MINUTES5
    while (at := _next_closed(db, end)) is not None:
        written += _seal(db, at, closing=True) or 0
        low = min(low, at)
    _advance(db, end)  # over a stretch without events in one go
    for span, inner in _INNER:
        written += sum(_join(db, span, inner, start) for start in _missing(db, span, inner, low))
    return written


def _next_closed(db: sqlite3.Connection, end: int) -> int | None:
    """The first 5 minutes with events between the seal, wherever others have moved it meanwhile, and `end`."""
    window = ids(meta(db, "sealed_until_us"), end)
    (first,) = db.execute("SELECT min(id) FROM guardian_request WHERE id >= ? AND id < ?", window).fetchone()
    return None if first is None else time_of(first) // MINUTES5 * MINUTES5


def _advance(db: sqlite3.Connection, end: int) -> None:
    """Move the seal over a stretch that has no events, unless one has come meanwhile: the next run counts that."""
    if meta(db, "sealed_until_us") >= end or db.execute("SELECT 1 FROM guardian_request LIMIT 1").fetchone() is None:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        if _next_closed(db, end) is None:
            set_meta(db, "sealed_until_us", end)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _seal(db: sqlite3.Connection, start: int, *, closing: bool) -> int | None:
    """Summarise the 5 minutes from `start`; the hour and the day around them go, to be joined again from their parts.

    How many rows were written; None, and nothing done, where an event came in between.
    """
    totals = read_raw(db, start, start + MINUTES5)
    db.execute("BEGIN IMMEDIATE")
    try:
        first = meta(db, "sealed_until_us") if closing else start
        counted = "SELECT count(*) FROM guardian_request WHERE id >= ? AND id < ?"
        (number,) = db.execute(counted, ids(first, start + MINUTES5)).fetchone()
        current = number == int(totals.users[:, 1].sum())  # events are only ever added: as many are the same
        written = None
        if current:
            written = 0
            db.execute("DELETE FROM guardian_dirty WHERE start_us = ?", (start,))
            # What comes later than retention reaches is not counted: the other events of its bucket are gone.
            if start >= meta(db, "purged_until_us"):
                for span, _ in _INNER:
                    _put(db, span, start // span * span, Totals.of([]))
                written = _put(db, MINUTES5, start, totals)
            if closing:
                set_meta(db, "sealed_until_us", start + MINUTES5)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return written


def _missing(db: sqlite3.Connection, span: int, inner: int, low: int) -> list[int]:
    """The buckets of `span` from the day of `low` on that are complete and not joined yet."""
    rows = db.execute(
        "SELECT DISTINCT start_us / ?1 * ?1 FROM guardian_summary WHERE span_us = ?2 AND start_us >= ?3 "
        "AND start_us < ?4 EXCEPT SELECT start_us FROM guardian_summary WHERE span_us = ?1",
        (span, inner, low // DAY * DAY, meta(db, "sealed_until_us") // span * span),
    )
    return sorted(start for (start,) in rows)


def _join(db: sqlite3.Connection, span: int, inner: int, start: int) -> int:
    bodies = db.execute(_BODIES, (inner, start, start + span)).fetchall()
    totals = Totals.merge([Totals.unpack(body) for (body,) in bodies])
    db.execute("BEGIN IMMEDIATE")
    try:
        # Where a part was made anew meanwhile, the next run joins; until then the parts themselves are read.
        current = bodies == db.execute(_BODIES, (inner, start, start + span)).fetchall()
        written = _put(db, span, start, totals) if current else 0
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return written


def _put(db: sqlite3.Connection, span: int, start: int, totals: Totals) -> int:
    if not len(totals.users):
        return db.execute("DELETE FROM guardian_summary WHERE span_us = ? AND start_us = ?", (span, start)).rowcount
    return db.execute("REPLACE INTO guardian_summary VALUES (?, ?, ?)", (span, start, totals.pack())).rowcount
