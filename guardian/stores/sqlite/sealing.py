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
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, ids, meta, set_meta, time_of, transaction
from guardian.stores.sqlite.numbers import read_numbers
from guardian.stores.sqlite.totals import CHUNK

GRACE_US = 60_000_000
"""A bucket is sealed this long after its end, when recorders have stored what they still held."""
_COUNT = "SELECT count(*) FROM guardian_request WHERE id >= ? AND id < ?"
_COLUMNS = (
    "{key}", "user", "route", "status", "duration_us",
    # Of most requests the latency is the duration (see LATENCY): few have one that has to be read.
    "CASE WHEN latency_us IS NOT NULL THEN {key} END", "latency_us",
)  # fmt: skip
_AT_ONCE = CHUNK  # an hour with more events is summarised 5 minutes at a time
_INNER = ((HOUR, MINUTES5), (DAY, HOUR))


def seal(db: sqlite3.Connection, now_us: int) -> int:
    """Summarise stale buckets, then newly closed ones, then complete hours and days. Returns how many rows were
    written. Slow reads happen before each transaction, which only stores rows."""
    written, low = 0, meta(db, "sealed_until_us") - 2 * DAY
    for (start,) in db.execute("SELECT start_us FROM guardian_dirty ORDER BY start_us").fetchall():
        written += _seal(db, start, start + MINUTES5, closing=False) or 0
        low = min(low, start)
    end = (now_us - GRACE_US) // MINUTES5 * MINUTES5
    while (at := _next_closed(db, end)) is not None:
        written += _seal(db, at, _until(db, at, end), closing=True) or 0
        low = min(low, at)
    _advance(db, end)  # skip a stretch without events in one step
    written += join(db, low)
    sealed_failures.note(db, changed=written > 0)
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
    with transaction(db):
        if _next_closed(db, end) is None:
            set_meta(db, "sealed_until_us", end)


def _until(db: sqlite3.Connection, start: int, end: int) -> int:
    """Up to when events from `start` on are summarised at once: to the end of the hour, but not beyond `end`; for 5
    minutes where these are too many. Summarising a past of many hours takes a third less time by the hour."""
    until = min(start // HOUR * HOUR + HOUR, end)
    (number,) = db.execute(_COUNT, ids(start, until)).fetchone()
    return until if number <= _AT_ONCE else start + MINUTES5


def _seal(db: sqlite3.Connection, start: int, until: int, *, closing: bool) -> int | None:
    """Summarise the 5 minutes from `start` to `until`, which lie in one hour, and delete the hour and day around them,
    which are joined again later, but for an hour that is all there. Returns how many rows were written; None, with
    nothing changed, if an event came in between.
    """
    hour, several = start // HOUR * HOUR, until - start > MINUTES5
    found = _read_buckets(db, start, until) if several else [(start, read_bucket(db, start))]
    rows = [(at, seals.packed(totals) if len(totals.users) else None) for at, totals in found]
    whole = several and until == hour + HOUR and meta(db, "sealed_until_us") <= hour
    joined = seals.packed(Totals.merge([totals for _, totals in found])) if whole and found else None
    with transaction(db):
        first = meta(db, "sealed_until_us") if closing else start
        (number,) = db.execute(_COUNT, ids(first, until)).fetchone()
        # Equal: none was added, and none is ever removed.
        if number != sum(int(totals.users[:, 1].sum()) for _, totals in found):
            return None
        written = 0
        db.execute("DELETE FROM guardian_dirty WHERE start_us >= ? AND start_us < ?", (start, until))
        # Events that arrive for purged time are not counted: the other events of their bucket are gone.
        purged = meta(db, "purged_until_us")
        for at, row in rows:
            if at >= purged:
                written += _put(db, at, row)
        if joined is not None and max(first, purged) <= hour:
            seals.store(db, HOUR, hour, joined)
            written += 1
        if closing:
            set_meta(db, "sealed_until_us", until)
    return written


def _put(db: sqlite3.Connection, at: int, row: seals.Packed | None) -> int:
    """Replace the totals of the 5 minutes from `at`; None: they have no events. How many rows that wrote."""
    for span, _ in _INNER:
        seals.put(db, span, at // span * span, Totals.of([]))
    if row is None:
        return seals.put(db, MINUTES5, at, Totals.of([]))
    seals.store(db, MINUTES5, at, row)
    return 1


def _read_buckets(db: sqlite3.Connection, start: int, until: int) -> list[tuple[int, Totals]]:
    """The start and the totals of each 5 minutes in [start, until) that have events, read at once. Raises as
    `read_bucket` does."""
    columns = _columns(db, start, until)
    edges = range(start, until + 1, MINUTES5)
    places = np.searchsorted(columns[0], edges).tolist()
    return [
        (at, Totals.counted(*(column[low:high] for column in columns)))
        for at, (low, high) in zip(edges, pairwise(places), strict=False)
        if high > low
    ]


def read_bucket(db: sqlite3.Connection, start: int) -> Totals:
    """The totals of the 5 minutes from `start`, from single events: the same as `read_raw`, in half the time. Raises
    ValueError if a row holds something that is not a number.
    """
    (number,) = db.execute(_COUNT, ids(start, start + MINUTES5)).fetchone()
    steps = range(1 + number // CHUNK + 1)
    edges = [start + MINUTES5 * step // (len(steps) - 1) for step in steps]
    return Totals.merge([_read(db, first, end) for first, end in pairwise(edges)])


def _read(db: sqlite3.Connection, start: int, end: int) -> Totals:
    return Totals.counted(*_columns(db, start, end))


def _columns(db: sqlite3.Connection, start: int, end: int) -> tuple[np.ndarray, ...]:
    """What `Totals.counted` takes of the events in [start, end), in the order of time."""
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
    return at, user, route, status, duration, latency


def _missing(db: sqlite3.Connection, span: int, inner: int, low: int) -> list[int]:
    """The buckets of length `span`, from the day of `low` on, that are complete but not joined yet."""
    first, end = low // DAY * DAY, meta(db, "sealed_until_us") // span * span
    there = {start // span * span for start in seals.starts(db, inner, first, end)}
    return sorted(there.difference(seals.starts(db, span, first, end)))


def _join(db: sqlite3.Connection, span: int, inner: int, start: int) -> int:
    before = seals.bodies(db, inner, start, start + span)
    alone = len({at for at, _, _ in before}) == 1  # then its bytes are those of the whole
    totals = None if alone else Totals.merge([part for _, part in seals.read_run(db, inner, start, start + span)])
    with transaction(db):
        # If a part was sealed again meanwhile, the next run joins; until then readers use the parts.
        current = before == seals.bodies(db, inner, start, start + span)
        if current and totals is None:
            seals.copy(db, inner, before[0][0], span, start)
        elif current and totals is not None:
            seals.put(db, span, start, totals)
    return int(current)
