"""Sealed summaries in SQLite: each closed bucket of 5 minutes, an hour, a day is summarised once.

They refer to people by the number of their dictionary row, never by address, so erasing a person changes one row there.
Times are Unix microseconds. Three values in guardian_meta and a table control it: `sealed_until_us` (every 5 minutes
before it are summarised), `purged_until_us` (single events before it are deleted), `forgotten_until_us` (summaries
too), and guardian_dirty (5 minutes that a late event has made stale). Small hours stand alone, see `lone_hours`.
"""

from __future__ import annotations

import sqlite3
from itertools import pairwise

import numpy as np

from guardian.core.totals import Totals
from guardian.stores.sqlite import lone_hours, sealed_failures, seals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, ids, meta, set_meta, time_of, transaction
from guardian.stores.sqlite.totals import CHUNK, event_columns

GRACE_US = 60_000_000
"""A bucket is sealed this long after its end, when recorders have stored what they still held."""
_AT_ONCE = CHUNK  # an hour with more events is summarised 5 minutes at a time
_INNER = ((HOUR, MINUTES5), (DAY, HOUR))


def seal(db: sqlite3.Connection, now_us: int) -> int:
    """Summarise stale buckets, then newly closed ones, then complete hours and days. Returns how many rows were
    written. Slow reads happen before each transaction, which only stores rows."""
    written, low = 0, meta(db, "sealed_until_us") - 2 * DAY
    for start, until in _stale(db):
        written += _seal(db, start, until, closing=False) or 0
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


def spread(db: sqlite3.Connection, before_us: int, now_us: int) -> None:
    """Give the lone hours that begin before this moment their 5 minutes back, so that their events can be deleted."""
    purged = meta(db, "purged_until_us")
    while [at for at in lone_hours.find(db, purged, before_us) if at >= purged and not _spread(db, at)]:
        seal(db, now_us)


def _spread(db: sqlite3.Connection, hour: int) -> bool:
    """False, with the hour marked as stale, if an event has come for it."""
    rows = [(at, seals.packed(totals)) for at, totals in _read_buckets(db, hour, hour + HOUR)]
    with transaction(db):
        number = sum(row[0][1] for _, row in rows)
        current = number == seals.count(db, hour, hour + HOUR) == seals.requests(db, HOUR, hour, hour + HOUR)
        for at, row in rows if current else ():
            seals.store(db, MINUTES5, at, row)
        if not current:
            db.execute("INSERT OR IGNORE INTO guardian_dirty VALUES (?)", (hour,))
    return current


def _stale(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """What late events have made stale, each [start, end): of a lone hour all."""
    dirty = [at for (at,) in db.execute("SELECT start_us FROM guardian_dirty ORDER BY start_us")]
    hours = {at // HOUR * HOUR for at in dirty}
    alone = {hour for hour in hours if lone_hours.find(db, hour, hour + HOUR)}
    found = ((at // HOUR * HOUR, HOUR) if at // HOUR * HOUR in alone else (at, MINUTES5) for at in dirty)
    return [(start, start + span) for start, span in dict.fromkeys(found)]


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
    return start + MINUTES5 if seals.more_than(_AT_ONCE, db, start, until) else until


def _seal(db: sqlite3.Connection, start: int, until: int, *, closing: bool) -> int | None:
    """Summarise the 5 minutes from `start` to `until`, which lie in one hour, and delete the hour and day around them,
    which are joined again later, but for an hour that is all there. Returns how many rows were written; None, with
    nothing changed, if an event came in between, or others have sealed the hour.
    """
    hour, several = start // HOUR * HOUR, until - start > MINUTES5
    found = _read_buckets(db, start, until) if several else [(start, read_bucket(db, start))]
    number = sum(int(totals.users[:, 1].sum()) for _, totals in found)
    whole = several and until == hour + HOUR and _open_since(db, closing=closing) <= hour
    alone = whole and number < lone_hours.FEW
    rows = [(at, seals.packed(totals) if len(totals.users) else None) for at, totals in found if not alone]
    joined = seals.packed(Totals.merge([totals for _, totals in found])) if whole and number else None
    with transaction(db):
        first = meta(db, "sealed_until_us") if closing else start
        # Equal: none was added, and none is ever removed.
        if number != seals.count(db, first, until):
            return None
        whole = whole and _open_since(db, closing=closing) <= hour
        if not whole and (alone or (not closing and lone_hours.find(db, hour, hour + HOUR))):
            return None  # what is left of the hour would be missing
        written = 0
        db.execute("DELETE FROM guardian_dirty WHERE start_us >= ? AND start_us < ?", (start, until))
        # Events that arrive for purged time are not counted: the other events of their bucket are gone.
        purged = meta(db, "purged_until_us")
        for at, row in [(hour, None)] if alone else rows:
            if at >= purged:
                written += _put(db, at, row)
        if joined is not None and whole:
            seals.store(db, HOUR, hour, joined)
            written += 1
            lone_hours.leave(db, hour)
        if closing:
            set_meta(db, "sealed_until_us", until)
    return written


def _open_since(db: sqlite3.Connection, *, closing: bool) -> int:
    """Since when all events are stored and, if `closing`, none is summarised."""
    return max(meta(db, "purged_until_us"), meta(db, "sealed_until_us") if closing else 0)


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
    columns = event_columns(db, start, until)
    edges = range(start, until + 1, MINUTES5)
    places = np.searchsorted(columns[0], edges).tolist()
    return [
        (at, Totals.counted(*(column[low:high] for column in columns)))
        for at, (low, high) in zip(edges, pairwise(places), strict=False)
        if high > low
    ]


def read_bucket(db: sqlite3.Connection, start: int) -> Totals:
    """The totals of the 5 minutes from `start`, from single events: the same as `read_raw`. Raises
    ValueError if a row holds something that is not a number.
    """
    steps = range(1 + seals.count(db, start, start + MINUTES5) // CHUNK + 1)
    edges = [start + MINUTES5 * step // (len(steps) - 1) for step in steps]
    return Totals.merge([_read(db, first, end) for first, end in pairwise(edges)])


def _read(db: sqlite3.Connection, start: int, end: int) -> Totals:
    return Totals.counted(*event_columns(db, start, end))


def _missing(db: sqlite3.Connection, span: int, inner: int, low: int) -> list[int]:
    """The buckets of length `span`, from the day of `low` on, that are complete but not joined yet."""
    return _missing_in(db, span, inner, low // DAY * DAY, meta(db, "sealed_until_us") // span * span)


def _missing_in(db: sqlite3.Connection, span: int, inner: int, first: int, end: int) -> list[int]:
    """The buckets of length `span` in [first, end) that have shorter ones but are not joined."""
    parts, joined = seals.starts_in(db, [(inner, first, end), (span, first, end)])
    return sorted({start // span * span for start in parts}.difference(joined))


def _join(db: sqlite3.Connection, span: int, inner: int, start: int) -> int:
    before = seals.bodies(db, inner, start, start + span)
    alone = len({at for at, _, _ in before}) == 1  # then its bytes are those of the whole
    totals = None if alone else Totals.merge([part for _, part in seals.read_run(db, inner, start, start + span)])
    with transaction(db):
        # If a part was sealed again meanwhile, the next run joins; until then readers use the parts. Another process
        # may have sealed 5 minutes again and not joined their hour yet: a day without it would stay so.
        current = before == seals.bodies(db, inner, start, start + span)
        current = current and (span != DAY or not _missing_in(db, HOUR, MINUTES5, start, start + DAY))
        if current and totals is None:
            seals.copy(db, inner, before[0][0], span, start)
        elif current and totals is not None:
            seals.put(db, span, start, totals)
        if current and span == HOUR:
            lone_hours.leave(db, start)
    return int(current)
