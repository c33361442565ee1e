"""The write-ahead log of an SQLite file: how long it is, and how it is emptied where what was erased must not stay."""

from __future__ import annotations

import os
import sqlite3


def log_bytes(path: str) -> int:
    """How many bytes the log of the database at `path` has on the disk; 0 where there is none, as when nobody has the
    database open."""
    try:
        return os.stat(f"{os.path.realpath(path)}-wal").st_size  # it lies beside the file, wherever a link leads
    except OSError:
        return 0


def empty_log(db: sqlite3.Connection) -> bool:
    """Move what the write-ahead log holds into the file and cut the log, so that no copy of what was erased is left.

    False while somebody reads an older state: until they have done so, the log has to stay.
    """
    return cut(db, 500)


def cut(db: sqlite3.Connection, wait_ms: int) -> bool:
    """Move the log into the file and cut it, waiting so long for those who read or write; False if that was not
    enough."""
    (before,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute(f"PRAGMA busy_timeout = {wait_ms}")
    try:
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        db.execute(f"PRAGMA busy_timeout = {before}")
    return not busy
