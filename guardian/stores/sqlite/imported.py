"""What an import leaves in SQLite: the source that tells its events from the app's own, and the table with the marks of
its lines."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from guardian.stores.importing import IMPORTED, STRETCH_US
from tracker.sqlite.migrations import migrate
from tracker.sqlite.schema import Migration

_MIGRATIONS: Sequence[Migration] = (
    (
        "imports/0001_marks",
        """
        CREATE TABLE guardian_imported (start_us INTEGER PRIMARY KEY, marks BLOB NOT NULL);
        """,
    ),
)
NUMBER = f"SELECT id FROM guardian_source WHERE release = '' AND instance = '{IMPORTED}'"
OWN = f"AND source IS NOT coalesce(({NUMBER}), -1)"
"""The SQL condition that a row of guardian_request was not imported."""


def prepare(db: sqlite3.Connection) -> None:
    """Create the table. Raises NewerDatabase."""
    migrate(db, _MIGRATIONS, owner="imports")


def forget(db: sqlite3.Connection, before_us: int) -> None:
    """Delete the marks of whole stretches before this moment: lines that old are no longer imported."""
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'guardian_imported'").fetchone():
        db.execute("DELETE FROM guardian_imported WHERE start_us <= ?", (before_us - STRETCH_US,))
