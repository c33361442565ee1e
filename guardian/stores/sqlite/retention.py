"""Deleting in SQLite what is older than it may be, in small steps that never stall the host's writer."""

from __future__ import annotations

import sqlite3

from guardian.core.totals import Totals
from guardian.stores.sqlite.buckets import DAY, MINUTES5, ids, meta, set_meta
from guardian.stores.sqlite.burying import unlink
from guardian.stores.sqlite.sealing import GRACE_US, seal
from tracker.event import ANONYMOUS

ROWS = 2_000
"""How many rows one step deletes: it takes milliseconds."""
PAGES = 2_000
"""How many free pages one step gives back to the file system."""


def purge(db: sqlite3.Connection, events_before_us: int, summaries_before_us: int) -> int:
    """Delete events of full 5 minutes before the first moment, and summaries of full days before the second; how many
    events went. Events are summarised before they go, and summaries never go before their events."""
    seal(db, events_before_us + MINUTES5 + GRACE_US)
    before = max(0, min(events_before_us, meta(db, "sealed_until_us"))) // MINUTES5 * MINUTES5
    gone = 0
    _, end = ids(0, before)
    if db.execute("SELECT 1 FROM guardian_request WHERE id < ?", (end,)).fetchone():
        set_meta(db, "purged_until_us", before)
        gone = _delete(db, "guardian_request", "id < ?", end)
        set_meta(db, "purged_events", meta(db, "purged_events") + gone)
    _delete(db, "guardian_session", "end_us < ?", before)
    db.execute("DELETE FROM guardian_recorder WHERE seen_us < ?", (before,))
    db.execute("DELETE FROM guardian_recorder_note WHERE seen_us < ?", (before,))
    _forget_summaries(db, min(summaries_before_us, before) // DAY * DAY)
    _give_back(db)
    return gone


def _forget_summaries(db: sqlite3.Connection, before: int) -> None:
    """Delete the summaries before a midnight, and the names of people whom nothing that is left speaks of."""
    days = db.execute("SELECT body FROM guardian_summary WHERE span_us = ? AND start_us < ?", (DAY, before))
    leaving = {number for (body,) in days for number in Totals.unpack(body).users[:, 0].tolist()}
    if not leaving:
        return
    set_meta(db, "forgotten_until_us", before)
    db.execute("DELETE FROM guardian_summary WHERE start_us < ?", (before,))
    newest_first = "SELECT body FROM guardian_summary ORDER BY start_us DESC"
    for (body,) in db.execute(newest_first):
        leaving -= set(Totals.unpack(body).users[:, 0].tolist())
        if not leaving:
            return
    leaving -= {user for (user,) in db.execute("SELECT DISTINCT user FROM guardian_request")}
    anonymous = db.execute("SELECT id FROM guardian_user WHERE email = ?", (ANONYMOUS,)).fetchone()
    unlink(db, [[user] for user in leaving - set(anonymous or ())])


def _delete(db: sqlite3.Connection, table: str, where: str, bound: int) -> int:
    gone = 0
    while True:
        sql = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {where} LIMIT {ROWS})"
        number = db.execute(sql, (bound,)).rowcount
        gone += number
        if number < ROWS:
            return gone


def _give_back(db: sqlite3.Connection) -> None:
    """Shrink the file, where it was made so that it can shrink (auto_vacuum = INCREMENTAL), and the log."""
    free = db.execute("PRAGMA freelist_count").fetchone()[0]
    while free:
        db.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        left = db.execute("PRAGMA freelist_count").fetchone()[0]
        if left >= free:
            break
        free = left
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
