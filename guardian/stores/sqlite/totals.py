"""The exact totals of a window in SQLite: from the longest sealed buckets inside it, and from single events."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from guardian.core.storage import WindowGone
from guardian.core.summary import WEBSOCKET
from guardian.core.totals import Totals
from guardian.stores.sqlite.buckets import AT_US, DAY, MINUTES5, SPANS, ids, meta

if TYPE_CHECKING:
    from guardian.stores.sqlite.people import People

CHUNK = 50_000
"""How many events are counted at once."""
_EXTENT = f"""
    SELECT (SELECT {AT_US} FROM guardian_request ORDER BY id LIMIT 1),
           (SELECT {AT_US} FROM guardian_request ORDER BY id DESC LIMIT 1),
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
    columns = f"{AT_US}, user, route, status, duration_us, {latency}"
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
