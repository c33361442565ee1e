"""The write-ahead log of a SQLite file: its length, and emptying it so that erased data does not stay in it."""

from __future__ import annotations

import os
import sqlite3


def log_bytes(path: str) -> int:
    """The bytes that the log of the database at `path` takes on disk; 0 if there is none, as when nobody has the
    database open."""
    try:
        # It lies beside the file that a link leads to. A file that is none is not looked up folder by folder.
        return os.stat(f"{os.path.realpath(path) if os.path.islink(path) else path}-wal").st_size
    except OSError:
        return 0


def empty_log(db: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and truncate it, so that no copy of erased data is left. False while
    somebody reads an older state, which still needs the log.
    """
    return cut(db, 500)


def cut(db: sqlite3.Connection, wait_ms: int) -> bool:
    """Move the log into the file and truncate it, waiting this long for readers and writers; False if that was not
    enough."""
    (before,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute(f"PRAGMA busy_timeout = {wait_ms}")
    try:
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        db.execute(f"PRAGMA busy_timeout = {before}")
    return not busy
