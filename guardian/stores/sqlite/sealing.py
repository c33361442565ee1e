"""Sealed summaries in SQLite: each closed bucket of 5 minutes, an hour, a day is summarised once and stored as one row.

Rows speak of people by the number of their dictionary row, never by address: erasing a person is one row there.
A bucket without events has no row. Times are Unix microseconds. Four facts of guardian_meta and a table steer it:
`sealed_until_us` (every 5 minutes before it are summarised), `purged_until_us` (single events before it are deleted),
`forgotten_until_us` (summaries too), and guardian_dirty (5 minutes that a late event has made stale).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from guardian.core.storage import WindowGone
from guardian.core.summary import WEBSOCKET
from guardian.core.totals import Totals
from tracker.sqlite.keys import SEQUENCE_BITS, time_sql

if TYPE_CHECKING:
    from guardian.stores.sqlite.people import People

MINUTES5, HOUR, DAY = (seconds * 1_000_000 for seconds in (300, 3600, 86400))
SPANS = (DAY, HOUR, MINUTES5)
"""The lengths of buckets, longest first; each is a multiple of the next."""
GRACE_US = 60_000_000
"""A bucket is sealed this long after its end: what the recorders still held is in by then."""
CHUNK = 50_000
_INNER = ((HOUR, MINUTES5), (DAY, HOUR))
_BODIES = "SELECT body FROM guardian_summary WHERE span_us = ? AND start_us >= ? AND start_us < ? ORDER BY start_us"
_EXTENT = f"""
    SELECT (SELECT {time_sql("min(id)")} FROM guardian_request), (SELECT {time_sql("max(id)")} FROM guardian_request),
           (SELECT min(start_us) FROM guardian_summary WHERE span_us = {MINUTES5}),
           (SELECT max(start_us) FROM guardian_summary WHERE span_us = {MINUTES5})
"""


def read_raw(
    db: sqlite3.Connection,
    start_us: int,
    end_us: int,
    routes: Sequence[int] | None = None,
    people: People | None = None,
) -> Totals:
    """The totals of [start, end) from single events; with `routes`, numbers of the dictionary, of those alone.

    With `people`, here and below, all ids of a person count as one.
    """
    only = "" if routes is None else "AND route IN (SELECT value FROM json_each(?))"
    latency = f"coalesce(latency_us, CASE WHEN status % 1000 = {WEBSOCKET} THEN -1 ELSE duration_us END)"
    columns = f"{time_sql('id')}, user, route, status, duration_us, {latency}"
    rows = f"SELECT {columns} FROM guardian_request WHERE id >= ? AND id < ? {only}"
    values = ids(start_us, end_us) if routes is None else (*ids(start_us, end_us), json.dumps(list(routes)))
    cursor = db.execute(f"{rows} ORDER BY id", values)
    parts = []
    while chunk := cursor.fetchmany(CHUNK):
        table = np.array(chunk, np.int64)
        if people is not None:
            table[:, 1] = people.persons(table[:, 1])
        parts.append(Totals.of(table))
    return Totals.merge(parts)


def read_totals(db: sqlite3.Connection, start_us: int, end_us: int, people: People | None = None) -> Totals:
    """The exact totals of [start, end): the longest sealed buckets inside it, single events where none fits.

    To be called inside a transaction: seals and events must be of one state. Raises
    WindowGone where an edge needs what retention has deleted.
    """
    sealed, purged, forgotten = (meta(db, f"{name}_until_us") for name in ("sealed", "purged", "forgotten"))
    if forgotten and start_us < forgotten:
        raise WindowGone("this window reaches back further than summaries are kept (see retention.summaries_days)")
    extent = [at for at in db.execute(_EXTENT).fetchone() if at is not None]
    if not extent:
        return Totals.of([])
    # However long the window: only the days are walked through of which something is known.
    start_us, end_us = max(start_us, min(extent) // DAY * DAY), min(end_us, max(extent) // DAY * DAY + DAY)
    dirty = db.execute("SELECT start_us FROM guardian_dirty WHERE start_us >= ?", (purged,))
    stale = {(span, at // span * span) for (at,) in dirty for span in SPANS}
    rows = "SELECT span_us, start_us FROM guardian_summary WHERE span_us = ? AND start_us > ? AND start_us < ?"
    known = {key for span in SPANS for key in db.execute(rows, (span, start_us - MINUTES5, end_us))} - stale
    parts: list[Totals] = []
    at = raw_from = start_us

    def raw(until: int) -> None:
        """Count the single events between the last seal and this one."""
        if raw_from >= until:
            return
        for edge in (raw_from, until):
            # An edge inside a bucket that is purged; where nothing happened in it, nothing is missing.
            if edge % MINUTES5 and edge < purged and (MINUTES5, edge - edge % MINUTES5) in known:
                raise WindowGone(
                    "the single events at the edge of this window have been deleted (see retention.events_days): "
                    "let it begin and end at full 5 minutes"
                )
        parts.append(read_raw(db, raw_from, until, people=people))

    while at < end_us:
        fits = (span for span in SPANS if at % span == 0 and at + span <= end_us)
        bucket = next((span for span in fits if (span, at) in known), None)
        following = min(end_us, at - at % MINUTES5 + MINUTES5)
        if bucket:
            raw(at)
            (body,) = db.execute(
                "SELECT body FROM guardian_summary WHERE span_us = ? AND start_us = ?", (bucket, at)
            ).fetchone()
            part = Totals.unpack(body)
            parts.append(part if people is None else people.joined(db, part, at, bucket))
            at = raw_from = at + bucket
        elif at % MINUTES5 == 0 and at + MINUTES5 <= min(end_us, sealed) and (MINUTES5, at) not in stale:
            raw(at)
            at = raw_from = following  # sealed and without a row: nothing happened
        else:
            at = following
    raw(end_us)
    return Totals.merge(parts)


def read_routes(
    db: sqlite3.Connection, start_us: int, end_us: int, routes: Sequence[int], people: People | None = None
) -> Totals:
    """The exact totals of these routes in [start, end), from single events: a summary does not know which of a user's
    errors, and how much of their time, belong to a route.

    To be called inside a transaction. Raises WindowGone where retention has deleted events of the window.
    """
    purged, forgotten = meta(db, "purged_until_us"), meta(db, "forgotten_until_us")
    known = "SELECT 1 FROM guardian_summary WHERE span_us = ? AND start_us > ? AND start_us < ? LIMIT 1"
    gone = db.execute(known, (MINUTES5, start_us - MINUTES5, min(end_us, purged))).fetchone()
    if gone or start_us < forgotten:
        raise WindowGone(
            "the single events of this window have been deleted (see retention.events_days), and a report of some "
            "features alone counts them: let retention.events_days be longer than its period"
        )
    return read_raw(db, start_us, end_us, routes, people)


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
    (at,) = db.execute(
        f"SELECT {time_sql('min(id)')} FROM guardian_request WHERE id >= ? AND id < ?", window
    ).fetchone()
    return None if at is None else at // MINUTES5 * MINUTES5


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
