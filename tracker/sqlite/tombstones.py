"""Who was erased by the daemon, so that events still queued in the app do not bring a name back."""

from __future__ import annotations

import sqlite3

from tracker.keyed import tombstone

__all__ = ["Tombstones", "tombstone"]

_TABLE = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'guardian_tombstones'"


class Tombstones:
    """The erased names of one database. Its tables are the daemon's: without one there are none."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._key = ""
        self._erased: dict[bytes, int] | None = None

    def forget(self) -> None:
        """Ask the database anew from now on."""
        self._erased = None

    def erased_us(self, name: str) -> int | None:
        """When a name was erased the last time, in Unix microseconds; None where it never was."""
        if self._erased is None:
            self._erased = self._read()
        return self._erased.get(tombstone(name, self._key)) if self._erased else None

    def _read(self) -> dict[bytes, int]:
        if self._db.execute(_TABLE).fetchone() is None:
            return {}
        key = self._db.execute("SELECT value FROM guardian_secret WHERE name = 'tombstones'").fetchone()
        if key is None:
            return {}
        self._key = str(key[0])
        return dict(self._db.execute("SELECT hash, erased_us FROM guardian_tombstones").fetchall())
