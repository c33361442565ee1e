"""The failed requests of each sealed day as columns, beside its summary: who met them, where, when and why. The same of
the sealed hours of the latest days, for windows that begin or end inside a day.

The index of failed requests has no routes and is read row by row; for a month, that took most of a report's time. These
columns mirror stored single events, and are deleted when the events are purged.

An older version that deletes the texts of errors deletes only what begins with their day: so the hours of a day count
as long as there is a row for its first one, which has no columns (`_UNUSED`) where nothing is sealed then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from guardian.core import codec
from guardian.core.totals import Part
from guardian.stores.sqlite.buckets import DAY, HOUR, ids, meta, set_meta, time_of
from guardian.stores.sqlite.decoded import decoded
from guardian.stores.sqlite.seals import FAILED, WHERE
from tracker.sqlite.connection import undo
from tracker.sqlite.keys import SEQUENCE_BITS

_COLUMNS = "id, user, route, status, duration_us, failure, coalesce(latency_us, -2)"
_ROWS = f"SELECT {_COLUMNS} FROM guardian_request WHERE id >= ? AND id < ? AND failure IS NOT NULL ORDER BY id"
_SEALED = f"""
    guardian_summary_part s LEFT JOIN guardian_summary_part f
        ON f.part = {FAILED} AND f.span_us = s.span_us AND f.start_us = s.start_us AND f.requests = s.requests
        AND (f.span_us = {DAY} OR EXISTS (SELECT 1 FROM guardian_summary_part d WHERE d.part = {FAILED}
            AND d.span_us = f.span_us AND d.start_us = f.start_us - f.start_us % {DAY}))
    WHERE s.part = {Part.STATUSES} AND s.span_us = ? AND s.start_us >= ?
"""
_MISSING = f"SELECT s.start_us FROM {_SEALED} AND f.part IS NULL"
_NOTED = f"SELECT f.start_us, f.body FROM {_SEALED} AND s.start_us < ? AND f.part IS NOT NULL ORDER BY s.start_us"
_NEWEST = "SELECT max(start_us) FROM guardian_summary_part WHERE part = ? AND span_us = ?"
_DAYS = f"SELECT DISTINCT start_us - start_us % {DAY} FROM guardian_summary_part WHERE {WHERE}"
_FIRST = f"SELECT start_us FROM guardian_summary_part WHERE {WHERE} AND start_us % {DAY} = 0"
_EVER = 2**62
_UNUSED = -1
"""As the number of requests of a row: no summary has it."""
_SEQUENCE = (1 << SEQUENCE_BITS) - 1
_HOURS_KEPT = 2 * DAY
"""How long before the day of the newest hour the columns of hours are kept."""
_DELETED = "failures_deleted"
"""The key in guardian_meta that stands from when columns are deleted until `note` has made them again: the time of one
of the requests."""


def note(db: sqlite3.Connection, *, changed: bool) -> int:
    """Store the columns for each sealed day, and for each of the latest sealed hours, that lacks them; delete those of
    earlier hours. Returns how many days and hours lacked them. None is searched for where no summary has `changed`, no
    columns were deleted, and the newest day and hour have theirs. A bucket that another version sealed again is found
    by the next search; until then it is read from the index.
    """
    purged, deleted, made = meta(db, "purged_until_us"), meta(db, _DELETED), 0
    hours = _newest(db, Part.STATUSES, HOUR) // DAY * DAY - _HOURS_KEPT
    for span, since in ((DAY, purged), (HOUR, max(purged, hours))):
        newest = _newest(db, Part.STATUSES, span)
        if newest >= since and (changed or deleted or newest != _newest(db, FAILED, span)):
            if span == HOUR:
                _begin_days(db, since)
            missing = db.execute(_MISSING, (span, since)).fetchall()
            for (start,) in missing:
                _note(db, span, start)
            made += len(missing)
    if made or deleted:
        _clear(db, hours, deleted)
    return made


def _newest(db: sqlite3.Connection, part: int, span_us: int) -> int:
    """When the newest bucket of this length with this part begins; -1 if there is none."""
    (newest,) = db.execute(_NEWEST, (part, span_us)).fetchone()
    return -1 if newest is None else int(newest)


def _begin_days(db: sqlite3.Connection, since_us: int) -> None:
    """Let the hours from this moment on count; those of a day that do not count now are deleted first."""
    hours = HOUR, since_us // DAY * DAY, _EVER
    days = {*db.execute(_DAYS, (Part.STATUSES, *hours))} - {*db.execute(_FIRST, (FAILED, *hours))}
    if not days:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for (day,) in days:
            db.execute(f"DELETE FROM guardian_summary_part WHERE {WHERE}", (FAILED, HOUR, day, day + DAY))
            _put(db, HOUR, day, _UNUSED, b"")
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise


def _put(db: sqlite3.Connection, span_us: int, start_us: int, requests: int, body: bytes) -> None:
    columns = "part, span_us, start_us, requests, body"
    values = (FAILED, span_us, start_us, requests, body)
    db.execute(f"REPLACE INTO guardian_summary_part ({columns}) VALUES (?, ?, ?, ?, ?)", values)


def _note(db: sqlite3.Connection, span_us: int, start_us: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        sealed = "SELECT requests FROM guardian_summary_part WHERE part = ? AND span_us = ? AND start_us = ?"
        row = db.execute(sealed, (Part.STATUSES, span_us, start_us)).fetchone()
        end_us, purged = start_us + span_us, meta(db, "purged_until_us")
        if row is not None and start_us >= purged and not _stale(db, span_us, start_us, end_us):
            rows = db.execute(_ROWS, ids(start_us, end_us)).fetchall()
            keys, *others = np.array(rows, np.int64).reshape(-1, 7).T
            body = codec.pack((keys >> SEQUENCE_BITS, keys & _SEQUENCE, *others))
            _put(db, span_us, start_us, row[0], body)
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise


def _clear(db: sqlite3.Connection, hours: int, deleted: int) -> None:
    """Delete the columns of hours before this moment, and the mark of those that had to be made again."""
    db.execute("BEGIN IMMEDIATE")
    try:
        sql = "DELETE FROM guardian_summary_part WHERE part = ? AND span_us = ? AND start_us < ?"
        db.execute(sql, (FAILED, HOUR, hours))
        db.execute("DELETE FROM guardian_meta WHERE key = ? AND value = ?", (_DELETED, deleted))
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise


def stretches(
    db: sqlite3.Connection, start_us: int, end_us: int, *, whole: bool = True
) -> Iterator[tuple[int, int, Sequence[np.ndarray]]]:
    """The stretches of [start, end) whose failed requests are noted, in order: (start, end, their columns), which are
    keys, users, and where the `whole` is asked for routes, statuses, durations, failures and latencies; -2 is a latency
    that is not known.

    Inside a transaction of the reader's. Nothing of purged events is among them, nor of a bucket that is stale.
    """
    first = max(start_us, meta(db, "purged_until_us"))
    days = list(_noted(db, DAY, first, end_us))
    edges = [first, *(edge for start, _ in days for edge in (start, start + DAY)), end_us]
    for place, (low, high) in enumerate(pairwise(edges)):
        # Between the days there are hours, of which many are decoded as fast as one.
        run = list[tuple[int, bytes]]()
        for hour in [days[place // 2]] if place % 2 else _noted(db, HOUR, low, high):
            if run and hour[0] != run[-1][0] + HOUR:
                yield _decoded(HOUR, run, whole)
                run = []
            run.append(hour)
        if run:
            yield _decoded(DAY if place % 2 else HOUR, run, whole)


def _noted(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> Iterator[tuple[int, bytes]]:
    """The starts and the stored columns of the usable buckets of this length inside [start, end)."""
    if end_us - start_us < span_us:
        return
    stale = _stale(db, span_us, start_us, end_us)
    for start, body in db.execute(_NOTED, (span_us, start_us, end_us - span_us + 1)).fetchall():
        if start not in stale:
            yield start, body


def _decoded(span_us: int, run: Sequence[tuple[int, bytes]], whole: bool) -> tuple[int, int, Sequence[np.ndarray]]:
    bodies = [((FAILED, span_us, start), body) for start, body in run]
    (at, sequence, *others), _ = decoded().joined(bodies, range(8 if whole else 3))
    return run[0][0], run[-1][0] + span_us, ((at << SEQUENCE_BITS) + sequence, *others)


def _stale(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> set[int]:
    """The buckets of this length with late events that are not summarised yet."""
    rows = db.execute("SELECT start_us FROM guardian_dirty WHERE start_us >= ? AND start_us < ?", (start_us, end_us))
    return {at // span_us * span_us for (at,) in rows}


def forget_texts(db: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Delete the columns of the buckets with these failed requests, whose failure has changed. `note` makes them again.
    Call it inside a transaction."""
    times = {time_of(key) for key in keys}
    buckets = {(FAILED, span, at // span * span) for at in times for span in (DAY, HOUR)}
    db.executemany("DELETE FROM guardian_summary_part WHERE part = ? AND span_us = ? AND start_us = ?", buckets)
    set_meta(db, _DELETED, max(times, default=0))


def forget(db: sqlite3.Connection, before_us: int) -> None:
    """Delete the columns of buckets that begin before this moment, whose single events are deleted."""
    db.execute("DELETE FROM guardian_summary_part WHERE part = ? AND start_us < ?", (FAILED, before_us))
