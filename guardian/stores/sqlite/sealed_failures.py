"""The failed requests of each sealed day as columns, beside its summary: who met them, where, when and why. The same of
the sealed hours of the latest days, for windows that begin or end inside a day.

The index of failed requests has no routes and is read row by row; for a month, that took most of a report's time. These
columns mirror stored single events, and are deleted when the events are purged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from guardian.core import codec
from guardian.core.codec.table import joined
from guardian.core.totals import Part
from guardian.stores.sqlite.buckets import DAY, EVER, HOUR, MINUTES5, ids, meta, set_meta, time_of, transaction
from guardian.stores.sqlite.listed import Listed, Range, Stretch
from guardian.stores.sqlite.numbers import read_numbers
from guardian.stores.sqlite.seal_keys import seal_key, seal_range, seal_start
from guardian.stores.sqlite.seal_marks import Marks, read_marks
from guardian.stores.sqlite.seals import FAILED, WHERE, clipped, store, tables_of
from tracker.sqlite.keys import SEQUENCE_BITS

_COLUMNS = ("id", "user", "route", "status", "duration_us", "failure", "coalesce(latency_us, -2)")
_FAILED = "id >= ? AND id < ? AND failure IS NOT NULL"
_SEALED = f"""
    guardian_seal s LEFT JOIN guardian_seal f
        ON f.id = s.id + {seal_key(FAILED, MINUTES5, 0) - seal_key(Part.STATUSES, MINUTES5, 0)}
        AND f.requests = s.requests
    WHERE s.id >= ? AND s.id < ?
"""
_MISSING = f"SELECT s.id FROM {_SEALED} AND f.id IS NULL"
_NOTED = f"SELECT f.id FROM {_SEALED} AND f.id IS NOT NULL"
_NEWEST = f"SELECT max(id) FROM guardian_seal WHERE {WHERE}"
_listed = Listed()
_SEQUENCE = (1 << SEQUENCE_BITS) - 1
_HOURS_KEPT = 2 * DAY
"""How long before the day of the newest hour the columns of hours are kept."""
_WORTH = 3 * HOUR
"""Of a day in which a window begins or ends, the columns are read where at least so much of it is inside: single
requests of half a day take ten times as long, and for a short window a whole day would be decompressed."""
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
            missing = db.execute(_MISSING, seal_range(Part.STATUSES, span, since, EVER)).fetchall()
            for (key,) in missing:
                _note(db, span, seal_start(key))
            made += len(missing)
    if made or deleted:
        _clear(db, hours, deleted)
    return made


def _newest(db: sqlite3.Connection, part: int, span_us: int) -> int:
    """When the newest bucket of this length with this part begins; -1 if there is none."""
    (newest,) = db.execute(_NEWEST, seal_range(part, span_us, 0, EVER)).fetchone()
    return -1 if newest is None else seal_start(newest)


def _note(db: sqlite3.Connection, span_us: int, start_us: int) -> None:
    with transaction(db):
        sealed = "SELECT requests FROM guardian_seal WHERE id = ?"
        row = db.execute(sealed, (seal_key(Part.STATUSES, span_us, start_us),)).fetchone()
        end_us, purged = start_us + span_us, meta(db, "purged_until_us")
        if row is not None and start_us >= purged and not _stale(db, span_us, start_us, end_us):
            columns = read_numbers(db, _COLUMNS, _FAILED, ids(start_us, end_us))
            order = np.argsort(columns[0], kind="stable")
            keys, *others = (column[order] for column in columns)
            body = codec.pack((keys >> SEQUENCE_BITS, keys & _SEQUENCE, *others))
            store(db, span_us, start_us, [(FAILED, row[0], body)])


def _clear(db: sqlite3.Connection, hours: int, deleted: int) -> None:
    """Delete the columns of hours before this moment, and the mark of those that had to be made again."""
    with transaction(db):
        db.execute(f"DELETE FROM guardian_seal WHERE {WHERE}", seal_range(FAILED, HOUR, 0, hours))
        db.execute("DELETE FROM guardian_meta WHERE key = ? AND value = ?", (_DELETED, deleted))


def stretches(
    db: sqlite3.Connection, start_us: int, end_us: int, *, whole: bool = True, keep: bool = True
) -> Iterator[tuple[int, int, Sequence[np.ndarray]]]:
    """The stretches of [start, end) whose failed requests are noted, in order: (start, end, their columns), which are
    keys, users, and where the `whole` is asked for routes, statuses, durations, failures and latencies; -2 is a latency
    that is not known.

    Inside a transaction of the reader's. Nothing of purged events is among them, nor of a bucket that is stale.
    """
    first = max(start_us, meta(db, "purged_until_us"))
    marks = read_marks(db, first, end_us)
    at = first
    for day in list(_noted(db, marks, DAY, first // DAY * DAY, -(-end_us // DAY) * DAY)):
        low, high = max(day[0], first), min(day[0] + DAY, end_us)
        if high - low >= _WORTH:
            yield from _hours(db, marks, at, low, whole, keep)
            _, _, columns = _decoded(db, [day], whole, keep)
            begin, behind = np.searchsorted(columns[0], ids(low, high))
            yield low, high, [column[begin:behind] for column in columns]
            at = high
    yield from _hours(db, marks, at, end_us, whole, keep)


def _hours(
    db: sqlite3.Connection, marks: Marks, start_us: int, end_us: int, whole: bool, keep: bool
) -> Iterator[tuple[int, int, Sequence[np.ndarray]]]:
    """The same of the hours in [start, end), of which many that follow each other are decoded as fast as one."""
    run = list[tuple[int, Stretch]]()
    for each in _noted(db, marks, HOUR, start_us, end_us):
        if run and each[0] != run[-1][0] + HOUR:
            yield _decoded(db, run, whole, keep)
            run = []
        run.append(each)
    if run:
        yield _decoded(db, run, whole, keep)


def _noted(
    db: sqlite3.Connection, marks: Marks, span_us: int, start_us: int, end_us: int
) -> Iterator[tuple[int, Stretch]]:
    """The buckets of this length inside [start, end) whose columns can be used: the start of each, and it alone."""
    if end_us - start_us < span_us:
        return

    def fetch(ranges: Sequence[Range]) -> Iterator[tuple[int, int]]:
        for place, each in enumerate(ranges):
            for (key,) in db.execute(_NOTED, seal_range(Part.STATUSES, *each)):
                yield place, seal_start(key)

    [listed] = _listed.stretches(marks, [clipped(db, span_us, start_us, end_us - span_us + 1)], fetch)
    stale = _stale(db, span_us, start_us, end_us)
    for block, starts, first, end in listed:
        for n in range(first, end):
            if starts[n] not in stale:
                yield starts[n], Stretch(block, starts, n, n + 1)


def _decoded(
    db: sqlite3.Connection, run: Sequence[tuple[int, Stretch]], whole: bool, keep: bool
) -> tuple[int, int, Sequence[np.ndarray]]:
    tables = [table for [table] in tables_of(db, FAILED, [each for _, each in run], keep=keep)]
    (at, sequence, *others), _ = joined(tables, range(8 if whole else 3))
    return run[0][0], run[-1][0] + run[0][1].block[0], ((at << SEQUENCE_BITS) + sequence, *others)


def _stale(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> set[int]:
    """The buckets of this length with late events that are not summarised yet."""
    rows = db.execute("SELECT start_us FROM guardian_dirty WHERE start_us >= ? AND start_us < ?", (start_us, end_us))
    return {at // span_us * span_us for (at,) in rows}


def forget_texts(db: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Delete the columns of the buckets with these failed requests, whose failure has changed. `note` makes them again.
    Call it inside a transaction."""
    times = {time_of(key) for key in keys}
    buckets = {seal_key(FAILED, span, at // span * span) for at in times for span in (DAY, HOUR)}
    db.executemany("DELETE FROM guardian_seal WHERE id = ?", [(key,) for key in buckets])
    set_meta(db, _DELETED, max(times, default=0))


def forget(db: sqlite3.Connection, before_us: int) -> None:
    """Delete the columns of buckets that begin before this moment, whose single events are deleted."""
    ranges = [seal_range(FAILED, span, 0, before_us) for span in (DAY, HOUR)]
    db.executemany(f"DELETE FROM guardian_seal WHERE {WHERE}", ranges)
