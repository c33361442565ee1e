"""A mark for each day of sealed summaries. It changes with each row of the day that is written or deleted, whoever does
that: so what was read of a day stays true for as long as its mark, and need not be read again.

Marks are drawn at random, so a day that has an old mark again, as after a backup was put back, has its old rows again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from guardian.stores.sqlite.buckets import DAY, transaction
from guardian.stores.sqlite.seal_keys import day_sql

_OTHER = -1
"""The row with the mark of all days that have none of their own: nothing of them was written since there are marks."""


def _begin(row: str) -> str:
    """The SQL that gives the day of this row another mark. It must not depend on how conflicts are resolved, which is
    up to the statement that a trigger is for."""
    day = day_sql(f"{row}.id")
    return (
        f"DELETE FROM guardian_day_mark WHERE day = {day}; "
        f"INSERT INTO guardian_day_mark VALUES ({day}, randomblob(12));"
    )


_TRIGGERS = {
    "guardian_day_mark_added": f"AFTER INSERT ON guardian_seal BEGIN {_begin('new')} END",
    "guardian_day_mark_gone": f"AFTER DELETE ON guardian_seal BEGIN {_begin('old')} END",
    "guardian_day_mark_changed": f"AFTER UPDATE ON guardian_seal BEGIN {_begin('old')} {_begin('new')} END",
}
_KEPT = (
    f"(SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'guardian_seal') >= {len(_TRIGGERS)}"
)
"""Whether the triggers are there: a program that makes the table anew drops them, and leaves the marks."""
_MARKS = f"SELECT day, mark FROM guardian_day_mark WHERE (day BETWEEN ? AND ? OR day = {_OTHER}) AND {_KEPT}"


def prepare(db: sqlite3.Connection) -> None:
    """Create the marks, beside the table of sealed summaries. Once that is done, this waits for no lock."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'guardian_day_mark%'")}
    if there >= {"guardian_day_mark", *_TRIGGERS}:
        return
    with transaction(db):
        # Where a trigger was missing, no mark says anything. Triggers go with the table that they are on.
        db.execute("DROP TABLE IF EXISTS guardian_day_mark")
        db.execute("CREATE TABLE guardian_day_mark (day INTEGER PRIMARY KEY, mark BLOB NOT NULL)")
        db.execute("INSERT INTO guardian_day_mark VALUES (?, randomblob(12))", (_OTHER,))
        for name, what in _TRIGGERS.items():
            db.execute(f"DROP TRIGGER IF EXISTS {name}")
            db.execute(f"CREATE TRIGGER {name} {what}")


class Marks(dict[int, object]):
    """The marks of some days by their number since 1970, as one state of the database has them. Equal marks mean equal
    rows."""

    def __init__(self, known: Mapping[int, object]) -> None:
        super().__init__(known)
        # No mark is equal to another one where there are none, as in a backup of an older version that was put back,
        # or where nothing changes them.
        self._other = self.pop(_OTHER, None) or object()

    def __missing__(self, day: int) -> object:
        return self._other


def read_marks(db: sqlite3.Connection, start_us: int, end_us: int) -> Marks:
    """The marks of the days of [start, end). Call it inside the transaction that reads their summaries."""
    try:
        return Marks(dict(db.execute(_MARKS, (start_us // DAY, end_us // DAY))))
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return Marks({})
