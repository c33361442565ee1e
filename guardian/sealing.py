"""Sealed summaries in SQLite: each closed bucket of 5 minutes, an hour, a day is summarised once and stored as one row.

Rows speak of people by the number of their dictionary row, never by address: erasing a person is one row there.
A bucket without events has no row. Times are Unix microseconds.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from guardian.summary import Route, RouteTotals, Summary, UserTotals, merge_all
from tracker.schema import SEQUENCE_BITS

MINUTES5, HOUR, DAY = (seconds * 1_000_000 for seconds in (300, 3600, 86400))
SPANS = (DAY, HOUR, MINUTES5)
"""The lengths of buckets, longest first; each is a multiple of the next."""
GRACE_US = 60_000_000
"""A bucket is sealed this long after its end: what the recorders still held is in by then."""


class Purged(Exception):
    """The window begins or ends within a bucket whose single events have been deleted."""


def read_raw(db: sqlite3.Connection, start_us: int, end_us: int) -> Summary:
    """The summary of [start, end) from single events; users are dictionary numbers."""
    routes = {row[0]: row[1:] for row in db.execute("SELECT id, endpoint, method, feature FROM guardian_route")}
    cursor = db.execute(
        "SELECT id >> 10, user, route, status, duration_us FROM guardian_event WHERE id >= ? AND id < ? ORDER BY id",
        (start_us << SEQUENCE_BITS, end_us << SEQUENCE_BITS),
    )

    def events() -> Iterator[tuple[Any, ...]]:
        for at_us, user, route, status, duration_us in cursor:
            yield at_us, user, *routes[route], status, duration_us, None

    return Summary.of(events())  # type: ignore[arg-type]


def read_summary(db: sqlite3.Connection, start_us: int, end_us: int) -> Summary:
    """The exact summary of [start, end): the longest sealed buckets inside it, single events where none fits.

    Users are dictionary numbers. Raises Purged where an edge needs single events that are gone.
    """
    meta = dict(db.execute("SELECT key, value FROM guardian_meta"))
    sealed, purged = int(meta.get("sealed_until_us") or 0), int(meta.get("purged_until_us") or 0)
    dirty = [at for (at,) in db.execute("SELECT start_us FROM guardian_dirty ORDER BY start_us")]
    stale = {(span, at // span * span) for at in dirty for span in SPANS}
    rows = db.execute(
        "SELECT span_us, start_us FROM guardian_summary WHERE start_us >= ? AND start_us + span_us <= ?",
        (start_us, end_us),
    )
    known = {key for key in rows if key not in stale}
    parts: list[Summary] = []
    at = raw_from = start_us

    def raw(until: int) -> None:
        if raw_from < until:
            if raw_from < purged and (raw_from % MINUTES5 or until % MINUTES5):
                raise Purged
            parts.append(read_raw(db, raw_from, until))

    while at < end_us:
        bucket = next((s for s in SPANS if at % s == 0 and at + s <= end_us and (s, at) in known), None)
        if (
            bucket is None
            and at % MINUTES5 == 0
            and at + MINUTES5 <= min(end_us, sealed)
            and (MINUTES5, at) not in stale
        ):
            raw(at)
            at = raw_from = at + MINUTES5  # sealed and without a row: nothing happened
            continue
        if bucket is None:
            at = min(end_us, at - at % MINUTES5 + MINUTES5)
            continue
        raw(at)
        (body,) = db.execute(
            "SELECT body FROM guardian_summary WHERE span_us = ? AND start_us = ?", (bucket, at)
        ).fetchone()
        parts.append(unpack(body))
        at = raw_from = at + bucket
    raw(end_us)
    return merge_all(parts)


def seal_next(db: sqlite3.Connection, now_us: int) -> int | None:
    """Seal one bucket that is stale, or else the next closed one, in one short transaction.

    How many rows were written; None where nothing is left to do.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        written = _seal_next(db, now_us)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return written


def _seal_next(db: sqlite3.Connection, now_us: int) -> int | None:
    meta = dict(db.execute("SELECT key, value FROM guardian_meta"))
    sealed, purged = int(meta.get("sealed_until_us") or 0), int(meta.get("purged_until_us") or 0)
    stale = db.execute("SELECT start_us FROM guardian_dirty ORDER BY start_us LIMIT 1").fetchone()
    if stale:
        db.execute("DELETE FROM guardian_dirty WHERE start_us = ?", stale)
        # A bucket whose events are purged cannot be made anew: what came that late only counts in the tables.
        return _seal(db, stale[0]) if stale[0] >= purged else 0
    if not sealed:
        first = db.execute("SELECT min(id) >> 10 FROM guardian_event").fetchone()[0]
        if first is None:
            return None
        sealed = first // DAY * DAY
    end = (now_us - GRACE_US) // MINUTES5 * MINUTES5
    if sealed >= end:
        return None
    following = db.execute(
        "SELECT min(id) >> 10 FROM guardian_event WHERE id >= ?", (sealed << SEQUENCE_BITS,)
    ).fetchone()[0]
    # Over a stretch without events the seal moves in one go.
    target = end if following is None else min(end, following // MINUTES5 * MINUTES5)
    written = 0
    if target == sealed:
        written, target = _seal(db, sealed, closing=True), sealed + MINUTES5
    else:
        written = _close(db, sealed, target)
    db.execute("REPLACE INTO guardian_meta VALUES ('sealed_until_us', ?)", (target,))
    return written


def _seal(db: sqlite3.Connection, start: int, closing: bool = False) -> int:
    """Write the 5 minutes from `start`; then the hour and the day around it, if they are there or close with it."""
    written = _put(db, MINUTES5, start, read_raw(db, start, start + MINUTES5))
    if closing:
        return written + _close(db, start, start + MINUTES5)
    for span, inner in ((HOUR, MINUTES5), (DAY, HOUR)):
        outer = start // span * span
        sealed = db.execute("SELECT value FROM guardian_meta WHERE key = 'sealed_until_us'").fetchone()
        if sealed and outer + span <= sealed[0]:
            written += _join(db, span, inner, outer)
    return written


def _close(db: sqlite3.Connection, start: int, end: int) -> int:
    """Join the hours and days that the seal leaves behind as it moves from `start` to `end`."""
    written = 0
    for span, inner in ((HOUR, MINUTES5), (DAY, HOUR)):
        first = start // span * span
        # Only the bucket that `start` lies in can hold anything: the rest of the stretch had no events.
        if first + span <= end:
            written += _join(db, span, inner, first)
    return written


def _join(db: sqlite3.Connection, span: int, inner: int, start: int) -> int:
    bodies = db.execute(
        "SELECT body FROM guardian_summary WHERE span_us = ? AND start_us >= ? AND start_us < ? ORDER BY start_us",
        (inner, start, start + span),
    )
    return _put(db, span, start, merge_all(unpack(body) for (body,) in bodies))


def _put(db: sqlite3.Connection, span: int, start: int, summary: Summary) -> int:
    if not summary.users:
        db.execute("DELETE FROM guardian_summary WHERE span_us = ? AND start_us = ?", (span, start))
        return 0
    db.execute("REPLACE INTO guardian_summary VALUES (?, ?, ?)", (span, start, pack(summary)))
    return 1


def pack(summary: Summary) -> bytes:
    """A summary as it is stored: compressed JSON, people as numbers."""
    users = [
        [key, u.requests, u.errors, u.server_errors, u.first_start_us, u.last_us, u.active_us, u.features]
        for key, u in summary.users.items()
    ]
    routes = [[*key, _pairs(r.statuses), _pairs(r.durations)] for key, r in summary.routes.items()]
    return zlib.compress(json.dumps([users, routes], separators=(",", ":")).encode(), 3)


def unpack(body: bytes) -> Summary:
    """The summary that `pack` was given."""
    users, routes = json.loads(zlib.decompress(body))
    return Summary(
        {row[0]: UserTotals(*row[1:]) for row in users},
        {Route(*row[:3]): RouteTotals(dict(row[3]), dict(row[4])) for row in routes},
    )


def _pairs(counts: dict[int, int]) -> Iterable[tuple[int, int]]:
    return list(counts.items())
