"""Whether the file at a path is still the one that was opened: a connection goes on with a file that was deleted or
replaced, and says nothing (https://www.sqlite.org/howtocorrupt.html, 2.4)."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

Identity = tuple[int, int]


class FileChanged(sqlite3.OperationalError):
    """The file that was opened is gone from its path, or another one lies there; the message says which."""


class OpenedFile:
    """The database file that was at `path` when `note` was called."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: Identity | None = None
        self._log: Identity | None = None

    def note(self) -> None:
        """From now on the file that lies there is the one that was opened."""
        self._file, self._log = identity(self.path), identity(f"{self.path}-wal")

    def check(self) -> None:
        """Raises FileChanged where it is gone or another one lies there. Takes about 5 µs."""
        found = identity(self.path)
        if found is None:
            raise self._gone()
        if found != self._file:
            raise FileChanged(f"the file {self.path} was replaced by another one")
        self._log = identity(f"{self.path}-wal")

    def leave(self, db: sqlite3.Connection) -> None:
        """Before another file that lies there now is opened: remove the write-ahead log of the one before, `db`.

        SQLite does not know whose log it is, and would write the old file's pages over the new one's. What the log has
        goes into the old file first, wherever that is now. A log of the new file's own stays, and where the same file
        is back, its own. Raises FileChanged where there is no file.
        """
        import fcntl  # not on every system that a host app runs on

        found = identity(self.path)
        if found is None:
            raise self._gone()
        if found == self._file:
            return
        with suppress(sqlite3.Error):
            db.execute("PRAGMA busy_timeout = 1000")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # Two processes that leave at once: the second must not remove what the first has made since. The lock is on the
        # folder, because closing the database file itself would end the locks that SQLite has on it.
        folder = os.open(os.path.dirname(os.path.abspath(self.path)), os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if self._log is not None and identity(f"{self.path}-wal") == self._log:
                for name in (f"{self.path}-wal", f"{self.path}-shm"):
                    with suppress(FileNotFoundError):
                        os.unlink(name)
        finally:
            os.close(folder)
        self._log = None

    def _gone(self) -> FileChanged:
        return FileChanged(f"the file {self.path} is gone: put it back, or a backup in its place")


def identity(path: str) -> Identity | None:
    """Which file lies at the path, as (st_dev, st_ino); None where there is none.

    While a connection holds a deleted file open, no other file gets its number.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
