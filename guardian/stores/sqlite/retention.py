"""Deleting from SQLite what retention no longer allows, in small steps that never stall the host's writer."""

from __future__ import annotations

import sqlite3

from guardian.core.totals import Part
from guardian.stores.sqlite import imported, lone_hours, sealed_failures, seals
from guardian.stores.sqlite.buckets import DAY, MINUTES5, begin_epoch, ids, meta, set_meta, transaction
from guardian.stores.sqlite.burying import unlink
from guardian.stores.sqlite.log import empty_log
from guardian.stores.sqlite.pacing import cut_log, in_portions, own_checkpoints
from guardian.stores.sqlite.sealing import GRACE_US, seal, spread
from tracker.event import ANONYMOUS

_AT_ONCE = 50_000
"""So many old sessions are looked for at a time."""
_UNSAID = "purged_unsaid"
"""The key in guardian_meta that counts the events deleted since a purge was last completed."""


def purge(db: sqlite3.Connection, events_before_us: int, summaries_before_us: int) -> int:
    """Delete events in full 5 minutes before the first moment, and summaries of full days before the second. Returns
    how many events were deleted, including those of a purge that was killed before it could report them. Events are
    summarised before they are deleted, and summaries are never deleted before their events."""
    with own_checkpoints(db):
        return _purge(db, events_before_us, summaries_before_us)


def _purge(db: sqlite3.Connection, events_before_us: int, summaries_before_us: int) -> int:
    until = events_before_us + MINUTES5 + GRACE_US
    seal(db, until)
    before = max(0, min(events_before_us, meta(db, "sealed_until_us"))) // MINUTES5 * MINUTES5
    _, end = ids(0, before)
    if db.execute("SELECT 1 FROM guardian_request WHERE id < ?", (end,)).fetchone():
        while not _begin(db, before):
            spread(db, before, until)
        sealed_failures.forget(db, before)
        in_portions(lambda rows: _delete_events(db, end, rows))
    lone_hours.leave_all(db, before)
    db.execute("DELETE FROM guardian_recorder WHERE seen_us < ?", (before,))
    db.execute("DELETE FROM guardian_recorder_note WHERE seen_us < ?", (before,))
    db.execute("DELETE FROM guardian_late WHERE start_us < ?", (before,))
    imported.forget(db, before)
    _forget_summaries(db, min(summaries_before_us, before) // DAY * DAY)
    _give_back(db)
    return _take_unsaid(db)


def _begin(db: sqlite3.Connection, before: int) -> bool:
    """Say that the events before this moment are being deleted. False while an hour of theirs stands alone: another
    process may have joined it since it got its 5 minutes."""
    with transaction(db):
        purged = meta(db, "purged_until_us")
        alone = any(hour >= purged for hour in lone_hours.find(db, purged, before))
        if not alone:
            set_meta(db, "purged_until_us", before)
    return not alone


def purge_sessions(db: sqlite3.Connection, before_us: int) -> int:
    """Delete the sessions that ended before this moment. Returns how many.

    They are looked for before writing begins, so that the app can write meanwhile: no index says which are old, since
    it would be moved by each request of a session.
    """
    old = f"SELECT id FROM guardian_session NOT INDEXED WHERE end_us < ? LIMIT {_AT_ONCE}"
    sql = "DELETE FROM guardian_session WHERE id IN (SELECT value FROM json_each(?)) AND end_us < ?"
    gone = 0
    while found := [number for (number,) in db.execute(old, (before_us,))]:

        def portion(rows: int, found: list[int] = found) -> int:
            nonlocal gone
            some = found[-rows:]
            del found[-rows:]
            gone += db.execute(sql, (str(some), before_us)).rowcount
            return len(some)

        in_portions(portion)
    return gone


def purge_errors(db: sqlite3.Connection, before_us: int) -> int:
    """Remove the text and place of errors before this moment; their kind stays. Returns how many events were
    changed."""
    _, end = ids(0, before_us)
    last = -1

    def portion(number: int) -> int:
        nonlocal last
        rows = _errors_to_clear(db, last, end, number)
        if not rows:
            return 0
        with transaction(db):
            for kind in {kind for _, kind in rows}:
                db.execute(f"INSERT OR IGNORE INTO {_TEXTS} VALUES (?1, ?1, '')", (kind,))
            db.executemany(
                "UPDATE guardian_request SET failure = "
                "(SELECT id FROM guardian_failure WHERE kind = ?1 AND message = ?1 AND location = '') WHERE id = ?2",
                [(kind, number) for number, kind in rows],
            )
            sealed_failures.forget_texts(db, (number for number, _ in rows))
        last = rows[-1][0]
        return len(rows)

    with own_checkpoints(db):
        cleared = in_portions(portion)
    if db.execute(_UNUSED).fetchall():
        _forget_texts(db)
        empty_log(db)
    return cleared


_TEXTS = "guardian_failure (kind, message, location)"
_UNUSED = (
    "SELECT id FROM guardian_failure EXCEPT SELECT DISTINCT failure FROM guardian_request WHERE failure IS NOT NULL"
)


def _errors_to_clear(db: sqlite3.Connection, last: int, end: int, most: int) -> list[tuple[int, str]]:
    return db.execute(
        "SELECT e.id, f.kind FROM guardian_request e JOIN guardian_failure f ON f.id = e.failure "
        "WHERE e.failure IS NOT NULL AND e.id > ? AND e.id < ? AND (f.message != f.kind OR f.location != '') "
        "ORDER BY e.id LIMIT ?",
        (last, end, most),
    ).fetchall()


def _forget_texts(db: sqlite3.Connection) -> None:
    """Delete the texts that no event refers to any more."""
    with transaction(db):
        db.execute(f"DELETE FROM guardian_failure WHERE id IN ({_UNUSED})")
        # Writers that cached a text's number must look it up again, or their next error would have no text.
        begin_epoch(db)


def count_old(db: sqlite3.Connection, events_us: int, errors_us: int, sessions_us: int) -> tuple[int, int, int]:
    """How many events, error texts and sessions are older than these moments."""
    before = events_us // MINUTES5 * MINUTES5
    (events,) = db.execute("SELECT count(*) FROM guardian_request WHERE id < ?", ids(0, before)[1:]).fetchone()
    (errors,) = db.execute(
        "SELECT count(*) FROM guardian_request e JOIN guardian_failure f ON f.id = e.failure "
        "WHERE e.failure IS NOT NULL AND e.id >= ? AND e.id < ? AND (f.message != f.kind OR f.location != '')",
        ids(before, max(before, errors_us)),
    ).fetchone()
    (sessions,) = db.execute("SELECT count(*) FROM guardian_session WHERE end_us < ?", (sessions_us,)).fetchone()
    return events, errors, sessions


def _forget_summaries(db: sqlite3.Connection, before: int) -> None:
    """Delete the summaries before a midnight, and the names of people who no longer appear anywhere."""
    days = seals.read_run(db, DAY, 0, before, (Part.PEOPLE,))
    leaving = {number for _, day in days for number in day.users[:, 0].tolist()}
    if not leaving:
        return
    set_meta(db, "forgotten_until_us", before)
    seals.delete(db, before)
    for staying in seals.people(db):
        leaving -= staying
        if not leaving:
            return
    leaving -= {user for (user,) in db.execute("SELECT DISTINCT user FROM guardian_request")}
    anonymous = db.execute("SELECT id FROM guardian_user WHERE email = ?", (ANONYMOUS,)).fetchone()
    unlink(db, [[user] for user in leaving - set(anonymous or ())])


def _delete_events(db: sqlite3.Connection, bound: int, rows: int) -> int:
    """Delete some of the oldest events, and count them in the same transaction. Returns how many."""
    with transaction(db):
        sql = f"DELETE FROM guardian_request WHERE id IN (SELECT id FROM guardian_request WHERE id < ? LIMIT {rows})"
        gone = db.execute(sql, (bound,)).rowcount
        for count in ("purged_events", _UNSAID):
            set_meta(db, count, meta(db, count) + gone)
    return gone


def _take_unsaid(db: sqlite3.Connection) -> int:
    """How many deleted events were not reported yet; resets the count."""
    with transaction(db):
        unsaid = meta(db, _UNSAID)
        db.execute("DELETE FROM guardian_meta WHERE key = ?", (_UNSAID,))
    return unsaid


def _give_back(db: sqlite3.Connection) -> None:
    """Shrink the log, and the file if it was created with auto_vacuum = INCREMENTAL."""

    def portion(pages: int) -> int:
        (before,) = db.execute("PRAGMA freelist_count").fetchone()
        # The pragma returns no columns, so `execute` would run only its first step: one page.
        db.executescript(f"PRAGMA incremental_vacuum({pages})")
        (after,) = db.execute("PRAGMA freelist_count").fetchone()
        return int(before - after)

    in_portions(portion)
    cut_log(db)
