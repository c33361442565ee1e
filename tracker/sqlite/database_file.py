"""Whether the file at a path is still the one that was opened: a connection goes on with a file that was deleted or
replaced, and says nothing (https://www.sqlite.org/howtocorrupt.html, 2.4)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

Identity = tuple[int, int]


class FileChanged(sqlite3.OperationalError):
    """The file that was opened is gone from its path, or another one lies there; the message says which."""


class OpenedFile:
    """The database file that was at `path` when `note` was called."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._real = path
        self._file: Identity | None = None
        self._log: Identity | None = None

    def note(self) -> None:
        """From now on the file that lies there is the one that was opened."""
        # SQLite keeps the log beside the file itself, wherever a link leads.
        self._real = os.path.realpath(self.path)
        self._file, self._log = identity(self.path), identity(f"{self._real}-wal")

    def check(self) -> None:
        """Raises FileChanged where it is gone or another one lies there. Takes about 5 µs."""
        found = identity(self.path)
        if found is None:
            raise self._gone()
        if found != self._file:
            raise FileChanged(f"the file {self.path} was replaced by another one")
        self._log = identity(f"{self._real}-wal")

    def leave(self, db: sqlite3.Connection) -> None:
        """Before another file that lies there now is opened: remove the write-ahead log of the one before, `db`.

        SQLite does not know whose log it is, and would write the old file's pages over the new one's. What the log has
        goes into the old file first, wherever that is now. A log of the new file's own stays, and where the same file
        is back, its own. Raises FileChanged where there is no file.
        """
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
        with _locked(os.path.dirname(self._real)):
            # Where a link leads elsewhere now, the old file and its log are still where they were.
            gone = identity(self._real) != self._file
            if gone and self._log is not None and identity(f"{self._real}-wal") == self._log:
                for name in (f"{self._real}-wal", f"{self._real}-shm"):
                    with suppress(FileNotFoundError):
                        os.unlink(name)
        self._log = None

    def _gone(self) -> FileChanged:
        return FileChanged(f"the file {self.path} is gone: put it back, or a backup in its place")


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Keep other processes of ours out of a folder; on Windows, where no open file can be replaced, nobody."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def identity(path: str) -> Identity | None:
    """Which file lies at the path, as (st_dev, st_ino); None where there is none.

    While a connection holds a deleted file open, no other file gets its number.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
