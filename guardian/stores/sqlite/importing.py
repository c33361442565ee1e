"""Imported events in SQLite: they have a source of their own, and the marks of their lines are stored by stretch. A row
of guardian_imported holds the marks of one stretch, sorted, 8 bytes each, little-endian.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from guardian.core.storage import StorageError
from guardian.stores.importing import IMPORTED
from guardian.stores.sqlite.buckets import meta, time_of
from guardian.stores.sqlite.damage import readable
from guardian.stores.sqlite.database import cannot_open
from guardian.stores.sqlite.imported import NUMBER, OWN, prepare
from tracker.event import Event
from tracker.pseudonyms import read_key
from tracker.sqlite.connection import undo
from tracker.sqlite.migrations import NewerDatabase
from tracker.sqlite.writer import Writer

_SOURCE = ("", IMPORTED)
_MARK = np.dtype("<u8")
_KEY = "import_key"


class SqliteImports:
    """`Imports` on the file at `path`, which is created if missing. Stores pseudonyms if the app does. Raises
    StorageError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._writer = Writer(str(path), timeout=10.0, key=read_key(path))
        except NewerDatabase as error:
            raise StorageError(f"{path}: {error}") from error
        except (ValueError, OSError) as error:
            raise StorageError(str(error)) from error
        except sqlite3.Error as error:
            raise StorageError(cannot_open(path, error)) from error
        self._db = self._writer.db
        try:
            with readable(self._path):
                prepare(self._db)
                self._source, self.key = self._begin()
        except BaseException:
            self.close()
            raise

    def recorded_since_us(self) -> int | None:
        """See Imports."""
        with readable(self._path):
            (first,) = self._db.execute(f"SELECT min(id) FROM guardian_request WHERE true {OWN}").fetchone()
        return None if first is None else time_of(first)

    def purged_until_us(self) -> int:
        """See Imports."""
        with readable(self._path):
            return meta(self._db, "purged_until_us")

    def marks(self, start_us: int) -> list[int]:
        """See Imports."""
        with readable(self._path):
            found: list[int] = _read(self._db, start_us).tolist()
            return found

    def add(self, events: Sequence[Event], marks: Mapping[int, Sequence[int]]) -> int:
        """See Imports."""

        def along(db: sqlite3.Connection) -> None:
            for start_us, added in marks.items():
                all_of_them = np.sort(np.concatenate((_read(db, start_us), np.array(added, _MARK))))
                db.execute("REPLACE INTO guardian_imported VALUES (?, ?)", (start_us, all_of_them.tobytes()))

        with readable(self._path):
            return self._writer.write(events, source=self._source, along=along)

    def close(self) -> None:
        """See Imports."""
        self._writer.close()

    def _begin(self) -> tuple[int, bytes]:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("INSERT OR IGNORE INTO guardian_source (release, instance) VALUES (?, ?)", _SOURCE)
            db.execute("INSERT OR IGNORE INTO guardian_meta VALUES (?, ?)", (_KEY, secrets.token_hex(16)))
            (source,) = db.execute(NUMBER).fetchone()
            (key,) = db.execute("SELECT value FROM guardian_meta WHERE key = ?", (_KEY,)).fetchone()
            db.execute("COMMIT")
        except BaseException:
            undo(db)
            raise
        return source, str(key).encode()


def _read(db: sqlite3.Connection, start_us: int) -> np.ndarray:
    row = db.execute("SELECT marks FROM guardian_imported WHERE start_us = ?", (start_us,)).fetchone()
    return np.frombuffer(row[0] if row else b"", _MARK)
