"""The write-ahead log of an SQLite file, where what was erased must not stay."""

from __future__ import annotations

import sqlite3


def empty_log(db: sqlite3.Connection) -> bool:
    """Move what the write-ahead log holds into the file and cut the log, so that no copy of what was erased is left.

    False while somebody reads an older state: until they have done so, the log has to stay.
    """
    (before,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 500")
    try:
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        db.execute(f"PRAGMA busy_timeout = {before}")
    return not busy
