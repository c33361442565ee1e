"""Sealed summaries in SQLite: each closed bucket of 5 minutes, an hour, a day is summarised once.

They refer to people by the number of their dictionary row, never by address, so erasing a person changes one row there.
Times are Unix microseconds. Three values in guardian_meta and a table control it: `sealed_until_us` (every 5 minutes
before it are summarised), `purged_until_us` (single events before it are deleted), `forgotten_until_us` (summaries
too), and guardian_dirty (5 minutes that a late event has made stale).
"""

from __future__ import annotations

import sqlite3
from itertools import pairwise

import numpy as np

from guardian.core.summary import WEBSOCKET
from guardian.core.totals import Totals
from guardian.stores.sqlite import sealed_failures, seals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, ids, meta, set_meta, time_of
from guardian.stores.sqlite.numbers import read_numbers
from guardian.stores.sqlite.totals import CHUNK
from tracker.sqlite.connection import undo

GRACE_US = 60_000_000
"""A bucket is sealed this long after its end, when recorders have stored what they still held."""
_COUNT = "SELECT count(*) FROM guardian_request WHERE id >= ? AND id < ?"
_COLUMNS = (
    "{key}", "user", "route", "status", "duration_us",
    # Of most requests the latency is the duration (see LATENCY): few have one that has to be read.
    "CASE WHEN latency_us IS NOT NULL THEN {key} END", "latency_us",
)  # fmt: skip
_INNER = ((HOUR, MINUTES5), (DAY, HOUR))


def seal(db: sqlite3.Connection, now_us: int) -> int:
    """Summarise stale buckets, then newly closed ones, then complete hours and days. Returns how many rows were
    written. Slow reads happen before each transaction, which only stores rows."""
    written, low = 0, meta(db, "sealed_until_us") - 2 * DAY
    for (start,) in db.execute("SELECT start_us FROM guardian_dirty ORDER BY start_us").fetchall():
        written += _seal(db, start, closing=False) or 0
        low = min(low, start)
    end = (now_us - GRACE_US) // MINUTES5 * MINUTES5
    while (at := _next_closed(db, end)) is not None:
        written += _seal(db, at, closing=True) or 0
        low = min(low, at)
    _advance(db, end)  # skip a stretch without events in one step
    written += join(db, low)
    sealed_failures.note(db)
    return written


def join(db: sqlite3.Connection, low: int) -> int:
    """Make the complete hours and days that are missing, starting with the day of this moment. Returns how many."""
    return sum(_join(db, span, inner, start) for span, inner in _INNER for start in _missing(db, span, inner, low))


def _next_closed(db: sqlite3.Connection, end: int) -> int | None:
    """The first 5 minutes with events between the current end of sealing (others may have moved it) and `end`."""
    window = ids(meta(db, "sealed_until_us"), end)
    (first,) = db.execute("SELECT min(id) FROM guardian_request WHERE id >= ? AND id < ?", window).fetchone()
    return None if first is None else time_of(first) // MINUTES5 * MINUTES5


def _advance(db: sqlite3.Connection, end: int) -> None:
    """Move the end of sealing over a stretch without events, unless an event has come meanwhile, which the next run
    will count."""
    if meta(db, "sealed_until_us") >= end or db.execute("SELECT 1 FROM guardian_request LIMIT 1").fetchone() is None:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        if _next_closed(db, end) is None:
            set_meta(db, "sealed_until_us", end)
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise


def _seal(db: sqlite3.Connection, start: int, *, closing: bool) -> int | None:
    """Summarise the 5 minutes from `start`, and delete the hour and day around them, which are joined again later.
    Returns how many rows were written; None, with nothing changed, if an event came in between.
    """
    totals = read_bucket(db, start)
    db.execute("BEGIN IMMEDIATE")
    try:
        first = meta(db, "sealed_until_us") if closing else start
        (number,) = db.execute(_COUNT, ids(first, start + MINUTES5)).fetchone()
        current = number == int(totals.users[:, 1].sum())  # equal: none was added, and none is ever removed
        written = None
        if current:
            written = 0
            db.execute("DELETE FROM guardian_dirty WHERE start_us = ?", (start,))
            # Events that arrive for purged time are not counted: the other events of their bucket are gone.
            if start >= meta(db, "purged_until_us"):
                for span, _ in _INNER:
                    seals.put(db, span, start // span * span, Totals.of([]))
                written = seals.put(db, MINUTES5, start, totals)
            if closing:
                set_meta(db, "sealed_until_us", start + MINUTES5)
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise
    return written


def read_bucket(db: sqlite3.Connection, start: int) -> Totals:
    """The totals of the 5 minutes from `start`, from single events: the same as `read_raw`, in half the time. Raises
    ValueError if a row holds something that is not a number.
    """
    (number,) = db.execute(_COUNT, ids(start, start + MINUTES5)).fetchone()
    steps = range(1 + number // CHUNK + 1)
    edges = [start + MINUTES5 * step // (len(steps) - 1) for step in steps]
    return Totals.merge([_read(db, first, end) for first, end in pairwise(edges)])


def _read(db: sqlite3.Connection, start: int, end: int) -> Totals:
    first, last = ids(start, end)
    wanted = [each.format(key=f"id - {first}") for each in _COLUMNS]
    key, user, route, status, duration, special, latencies = read_numbers(
        db, wanted, "id >= ? AND id < ?", (first, last)
    )
    at = time_of(key + first)
    if not np.all(key[1:] > key[:-1]):
        place = np.argsort(key, kind="stable")
        key, at, user, route, status, duration = (each[place] for each in (key, at, user, route, status, duration))
    latency = np.where(status % 1000 == WEBSOCKET, -1, duration)
    latency[np.searchsorted(key, special)] = latencies
    return Totals.counted(at, user, route, status, duration, latency)


def _missing(db: sqlite3.Connection, span: int, inner: int, low: int) -> list[int]:
    """The buckets of length `span`, from the day of `low` on, that are complete but not joined yet."""
    first, end = low // DAY * DAY, meta(db, "sealed_until_us") // span * span
    there = {start // span * span for start in seals.starts(db, inner, first, end)}
    return sorted(there.difference(seals.starts(db, span, first, end)))


def _join(db: sqlite3.Connection, span: int, inner: int, start: int) -> int:
    before = seals.bodies(db, inner, start, start + span)
    alone = len({at for at, _, _ in before}) == 1  # then its bytes are those of the whole
    totals = None if alone else Totals.merge([part for _, part in seals.read_run(db, inner, start, start + span)])
    db.execute("BEGIN IMMEDIATE")
    try:
        # If a part was sealed again meanwhile, the next run joins; until then readers use the parts.
        current = before == seals.bodies(db, inner, start, start + span)
        if current and totals is None:
            seals.copy(db, inner, before[0][0], span, start)
        elif current and totals is not None:
            seals.put(db, span, start, totals)
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise
    return int(current)
