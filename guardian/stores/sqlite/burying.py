"""Erasing people from the events in SQLite, and erasing them again if events that were queued before bring them
back."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Sequence

from guardian.core.unlinked import further_name, unlinked_name
from guardian.stores.sqlite.buckets import MINUTES5, begin_epoch, ids, meta, time_of, transaction
from guardian.stores.sqlite.log import empty_log
from tracker.event import ANONYMOUS
from tracker.sqlite.tombstones import tombstone


def erase(db: sqlite3.Connection, users: Sequence[int]) -> bool:
    """Replace the names of a person's numbers by an unlinkable one, and delete the sessions; False without numbers.
    `anonymous` cannot be erased: its requests would become one person's under a new name.
    """
    anonymous = db.execute("SELECT id FROM guardian_user WHERE email = ?", (ANONYMOUS,)).fetchone()
    users = [user for user in users if (user,) != anonymous]
    if users:
        unlink(db, [users])  # secure_delete overwrites the text in the file
        empty_log(db)
    return bool(users)


def erase_buried(db: sqlite3.Connection, since_us: int) -> int:
    """Erase again each name that was erased after this moment and has events from before its tombstone. Returns how
    many. Later events and sessions keep the name but get a number of their own: they are a new person's.
    """
    found = 0
    for user, email, erased_us in _with_tombstones(db, since_us):
        _, end = ids(0, erased_us + 1)
        (first,) = db.execute("SELECT min(id) FROM guardian_request WHERE user = ?", (user,)).fetchone()
        if first is None or first >= end:
            continue
        (last,) = db.execute("SELECT max(id) FROM guardian_request WHERE user = ?", (user,)).fetchone()
        unlink(db, [[user]], until_us=erased_us)
        if last >= end:
            _begin_anew(db, user, email, end)
        found += 1
    if found:
        empty_log(db)
    return found


def _with_tombstones(db: sqlite3.Connection, since_us: int) -> list[tuple[int, str, int]]:
    """The users (number, name) whose names were once erased, and when."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'guardian_tombstones'").fetchone():
        return []
    stones = dict(db.execute("SELECT hash, erased_us FROM guardian_tombstones WHERE erased_us > ?", (since_us,)))
    key = db.execute("SELECT value FROM guardian_secret WHERE name = 'tombstones'").fetchone()
    if not stones or key is None:
        return []
    users = db.execute("SELECT id, email FROM guardian_user").fetchall()
    found = ((user, email, stones.get(tombstone(email, key[0]))) for user, email in users)
    return [(user, email, erased_us) for user, email, erased_us in found if erased_us is not None]


def _begin_anew(db: sqlite3.Connection, old: int, email: str, first: int) -> None:
    """Move the events from the key `first` on to a new user, and mark their summaries as stale."""
    with transaction(db):
        db.execute("INSERT OR IGNORE INTO guardian_user (email) VALUES (?)", (email,))
        (new,) = db.execute("SELECT id FROM guardian_user WHERE email = ?", (email,)).fetchone()
        sealed = meta(db, "sealed_until_us")
        theirs = db.execute("SELECT id FROM guardian_request WHERE user = ? AND id >= ?", (old, first)).fetchall()
        stale = {at // MINUTES5 * MINUTES5 for (number,) in theirs if (at := time_of(number)) < sealed}
        db.execute("UPDATE guardian_request SET user = ? WHERE user = ? AND id >= ?", (new, old, first))
        _take_sessions(db, old, new)
        db.executemany("INSERT OR IGNORE INTO guardian_dirty VALUES (?)", [(start,) for start in stale])


def _take_sessions(db: sqlite3.Connection, old: int, new: int) -> None:
    """Move the sessions that `unlink` left of one number to another, starting at the latter's first request. A session
    that began earlier is cut there and loses its client information, which was recorded before.
    """
    first = "SELECT id, duration_us FROM guardian_request WHERE user = ? ORDER BY id LIMIT 1"
    number, duration_us = db.execute(first, (new,)).fetchone()
    begin = time_of(number) - duration_us
    cut = "SELECT id FROM guardian_session WHERE user = ? AND start_us < ?"
    db.execute(f"DELETE FROM guardian_session_client WHERE session IN ({cut})", (old, begin))
    moved = "UPDATE guardian_session SET user = ?, start_us = max(start_us, ?) WHERE user = ?"
    db.execute(moved, (new, begin, old))


def unlink(db: sqlite3.Connection, persons: Iterable[Sequence[int]], *, until_us: int | None = None) -> None:
    """Give each person (a list of numbers) an unlinkable name, and delete their sessions: all, or those that ended by
    `until_us`."""
    over, moments = ("", ()) if until_us is None else (" AND end_us <= ?", (until_us,))
    with transaction(db):
        for users in persons:
            gone = unlinked_name(secrets.token_hex(8))
            for place, user in enumerate(users):
                db.execute("UPDATE guardian_user SET email = ? WHERE id = ?", (further_name(gone, place), user))
                db.execute(f"DELETE FROM guardian_session WHERE user = ?{over}", (user, *moments))
        # Writers that cached the old number must look it up again, or the person's next visit would be lost under it.
        begin_epoch(db)
