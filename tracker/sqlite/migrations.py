"""Brings the tables of a database up to date: each migration once, recorded by its name."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence, Set
from datetime import UTC, datetime

from tracker.sqlite.connection import undo
from tracker.sqlite.schema import FORMAT, TRACKER_MIGRATIONS, Migration


class NewerDatabase(Exception):
    """The database was written by a newer version of Guardian, whose layout this version does not know."""


def migrate(db: sqlite3.Connection, migrations: Sequence[Migration], *, owner: str) -> list[str]:
    """Apply what is missing of `migrations`, in order, in one transaction; the names that were applied.

    `owner` is the part of a migration's name before the slash. Raises NewerDatabase when the database has a migration
    of this owner that is not in the list; nothing is changed then. See `prepare` for the tables of the tracker.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        done = _done(db)
        newer = sorted(name for name in done - {name for name, _ in migrations} if name.startswith(f"{owner}/"))
        if newer:
            raise _newer(f"the migration {newer[0]!r}")
        applied = _apply(db, migrations, done)
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise
    return applied


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables of the tracker, or bring them up to date. What a newer version has added is left alone.

    Raises NewerDatabase where a newer version has changed them so that this one cannot use them. If nothing is missing,
    this waits for no lock.
    """
    if _is_prepared(db):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        _apply(db, TRACKER_MIGRATIONS, _done(db))
        _check_format(db)
        db.execute("COMMIT")
    except BaseException:
        undo(db)
        raise


def _is_prepared(db: sqlite3.Connection) -> bool:
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'guardian_migration'").fetchone():
        return False
    done = {name for (name,) in db.execute("SELECT name FROM guardian_migration")}
    if not done.issuperset(name for name, _ in TRACKER_MIGRATIONS):
        return False
    _check_format(db)
    return True


def _check_format(db: sqlite3.Connection) -> None:
    least = db.execute("SELECT value FROM guardian_meta WHERE key = 'least_format'").fetchone()
    if least is not None and int(least[0]) > FORMAT:
        raise _newer(f"the format {int(least[0])}")


def _newer(what: str) -> NewerDatabase:
    return NewerDatabase(
        f"the database has {what}, which this version of Guardian does not know: "
        "upgrade usage-guardian, or point it at another database file"
    )


def _done(db: sqlite3.Connection) -> set[str]:
    db.execute("CREATE TABLE IF NOT EXISTS guardian_migration (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
    return {name for (name,) in db.execute("SELECT name FROM guardian_migration")}


def _apply(db: sqlite3.Connection, migrations: Sequence[Migration], done: Set[str]) -> list[str]:
    missing = [(name, sql) for name, sql in migrations if name not in done]
    for name, sql in missing:
        for statement in _statements(sql):
            db.execute(statement)
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        db.execute("INSERT INTO guardian_migration VALUES (?, ?)", (name, stamp))
    return [name for name, _ in missing]


def _statements(sql: str) -> list[str]:
    """The single statements of a script: executescript would commit the transaction that they must share."""
    statements, current = [], ""
    for piece in sql.split(";"):
        current += piece + ";"
        if sqlite3.complete_statement(current):
            if current.strip(" \n;"):
                statements.append(current)
            current = ""
    return statements
