"""Opens the database file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from urllib.parse import quote

LOG_LIMIT = 32 * 2**20
"""Bytes that the write-ahead log keeps on the disk when it begins anew (SQLite, "PRAGMA journal_size_limit")."""


def connect(path: str, *, synchronous: str = "NORMAL", timeout: float = 5.0, create: bool = True) -> sqlite3.Connection:
    """An autocommit connection to the database file at `path`, made if it is missing, in WAL mode.

    A file that is made here is closed to others (0660 less the umask, and SQLite gives the files beside it the same),
    since it names people. One that is there keeps its mode.
    A missing one is an error without `create`.
    `synchronous` is SQLite's pragma: NORMAL survives a killed process, FULL a power cut as well. `timeout` is how
    many seconds a lock is waited for. Begin every write with BEGIN IMMEDIATE: a read transaction that turns into a
    write fails at once when another process writes, whatever the timeout.
    Raises sqlite3.DatabaseError where the file is not a database, sqlite3.OperationalError where it cannot be opened.
    """
    if create and path != ":memory:":
        with suppress(OSError):  # it is there, or SQLite says better why it cannot be made
            # Where a link leads to nothing yet, the file is made at its end, as SQLite would.
            os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o660))
    name = path if create else f"file:{quote(os.path.abspath(path))}?mode=rw"  # (SQLite, "URI Filenames")
    db = sqlite3.connect(name, timeout=timeout, isolation_level=None, check_same_thread=False, uri=not create)
    try:
        # Only takes effect before the first table is created. Later it would wait for the lock and write a page.
        if db.execute("PRAGMA auto_vacuum").fetchone() != (2,):
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA secure_delete = ON")
        db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
    except BaseException:
        db.close()
        raise
    return db


def undo(db: sqlite3.Connection) -> None:
    """Roll the open transaction back. Nothing is done where SQLite has done so itself, as it does where the disk is
    full or fails: a ROLLBACK would raise then, and hide why."""
    if db.in_transaction:
        db.execute("ROLLBACK")
