"""The SQLite layout: compact rows of our own under the published tables, as named, recorded migrations.

The published names (`user_sessions`, `feature_usage`, `user_errors`) are views and answer SELECT with fixed columns.
Everything under them starts with `guardian_`, so the tables can live in an app's own database file.

App and daemon are upgraded apart, so older programs meet newer tables. Changes add; inserts name their columns; a
migration that an older program could not live with sets `least_format` in guardian_meta above that program's FORMAT.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence, Set
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import quote

SEQUENCE_BITS = 10
"""An event's id is its time in Unix microseconds, shifted by this many bits, plus a sequence number."""

FORMAT = 2
"""The newest shape of these tables that this version knows; see `least_format` above."""

Migration = tuple[str, str]


class NewerDatabase(Exception):
    """The database was written by a newer version of Guardian, whose layout this version does not know."""


_ISO = "strftime('%Y-%m-%dT%H:%M:%S', {us} / 1000000, 'unixepoch') || printf('.%06d+00:00', {us} % 1000000)"
_EVENT_TIME = _ISO.format(us="(e.id >> 10)")

TRACKER_MIGRATIONS: Sequence[Migration] = (
    (
        "tracker/0001_compact_events",
        f"""
        CREATE TABLE guardian_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

        -- Dictionaries: an e-mail, a route, an error text is stored once. Erasing a person is one row here.
        CREATE TABLE guardian_user (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE);
        CREATE TABLE guardian_route (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, method TEXT NOT NULL,
                                     feature TEXT NOT NULL, UNIQUE (endpoint, method, feature));
        CREATE TABLE guardian_failure (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, message TEXT NOT NULL,
                                       location TEXT NOT NULL, UNIQUE (kind, message, location));

        -- id = microseconds << 10 | sequence: rows lie in the order of time, and the key is the time.
        CREATE TABLE guardian_event (id INTEGER PRIMARY KEY, user INTEGER NOT NULL, route INTEGER NOT NULL,
                                     status INTEGER NOT NULL, duration_us INTEGER NOT NULL, failure INTEGER);
        CREATE INDEX guardian_event_failed ON guardian_event (id, user) WHERE failure IS NOT NULL;

        CREATE TABLE guardian_session (id INTEGER PRIMARY KEY, user INTEGER NOT NULL, start_us INTEGER NOT NULL,
                                       end_us INTEGER NOT NULL);
        CREATE INDEX guardian_session_user ON guardian_session (user, end_us);
        CREATE INDEX guardian_session_end ON guardian_session (end_us);

        -- One row a writing process: its heartbeat and its part of accepted = stored + dropped + queued.
        CREATE TABLE guardian_recorder (id TEXT PRIMARY KEY, started_us INTEGER NOT NULL, seen_us INTEGER NOT NULL,
                                        accepted INTEGER NOT NULL, stored INTEGER NOT NULL, dropped INTEGER NOT NULL,
                                        version TEXT NOT NULL) WITHOUT ROWID;

        -- Sealed summaries, and the 5-minute buckets (start, microseconds) that a late event has made stale.
        CREATE TABLE guardian_summary (span_us INTEGER NOT NULL, start_us INTEGER NOT NULL, body BLOB NOT NULL,
                                       PRIMARY KEY (span_us, start_us)) WITHOUT ROWID;
        CREATE TABLE guardian_dirty (start_us INTEGER PRIMARY KEY) WITHOUT ROWID;

        CREATE VIEW feature_usage AS
        SELECT CAST(e.id AS TEXT) AS id, u.email AS user_email, r.feature AS feature_name, r.endpoint AS endpoint,
               r.method AS method, {_EVENT_TIME} AS timestamp, e.status < 400 AS success,
               f.message AS error_message, CAST(round(e.duration_us / 1000.0) AS INTEGER) AS duration_ms,
               e.status AS status_code, {_EVENT_TIME} AS created_at
        FROM guardian_event e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
        LEFT JOIN guardian_failure f ON f.id = e.failure;

        CREATE VIEW user_errors AS
        SELECT CAST(e.id AS TEXT) AS id, u.email AS user_email, r.endpoint AS endpoint, r.method AS method,
               f.kind AS error_type, e.status AS error_code, f.message AS error_message,
               NULLIF(f.location, '') AS stack_trace, {_EVENT_TIME} AS timestamp, {_EVENT_TIME} AS created_at
        FROM guardian_event e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
        JOIN guardian_failure f ON f.id = e.failure
        WHERE e.failure IS NOT NULL;

        CREATE VIEW user_sessions AS
        SELECT CAST(s.id AS TEXT) AS id, u.email AS user_email,
               {_ISO.format(us="s.start_us")} AS session_start, {_ISO.format(us="s.end_us")} AS session_end,
               (s.end_us - s.start_us) / 1000000 AS duration_seconds,
               CAST(NULL AS TEXT) AS ip_address, CAST(NULL AS TEXT) AS user_agent,
               {_ISO.format(us="s.start_us")} AS created_at
        FROM guardian_session s JOIN guardian_user u ON u.id = s.user;
        """,
    ),
    # Not `tracker/…`: version 0.1 stops at a migration of that name that it does not know.
    (
        "events/0002_requests",
        f"""
        DROP VIEW feature_usage;
        DROP VIEW user_errors;
        ALTER TABLE guardian_event RENAME TO guardian_request;
        -- status is the event's outcome: 1200 is an answer of 200 that the app noted as failed.
        -- What latency means for an answer that streams: microseconds to its first byte. NULL: as long as it took.
        ALTER TABLE guardian_request ADD COLUMN latency_us INTEGER;
        -- Which release and instance answered: a row of guardian_source.
        ALTER TABLE guardian_request ADD COLUMN source INTEGER;
        CREATE TABLE guardian_source (id INTEGER PRIMARY KEY, release TEXT NOT NULL, instance TEXT NOT NULL,
                                      UNIQUE (release, instance));

        -- What version 0.1 writes to and reads: its inserts name no columns, so the old shape stays.
        CREATE VIEW guardian_event AS SELECT id, user, route, status, duration_us, failure FROM guardian_request;
        CREATE TRIGGER guardian_event_insert INSTEAD OF INSERT ON guardian_event BEGIN
            INSERT INTO guardian_request (id, user, route, status, duration_us, failure)
            VALUES (new.id, new.user, new.route, new.status, new.duration_us, new.failure);
        END;
        CREATE TRIGGER guardian_event_delete INSTEAD OF DELETE ON guardian_event BEGIN
            DELETE FROM guardian_request WHERE id = old.id;
        END;

        -- What a writing process could not make out, by reason: refused tokens, dropped events, a replaced file.
        CREATE TABLE guardian_recorder_note (recorder TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL,
                                             count INTEGER NOT NULL, seen_us INTEGER NOT NULL,
                                             PRIMARY KEY (recorder, kind, detail)) WITHOUT ROWID;

        -- Names without an @ were stored in lower case once. spelling is the one that such a row stands for: NULL until
        -- one has come, the empty text once there were two.
        CREATE TABLE guardian_spelling (user INTEGER PRIMARY KEY, spelling TEXT);
        INSERT INTO guardian_spelling SELECT id, NULL FROM guardian_user
        WHERE instr(email, '@') = 0 AND email NOT IN ('anonymous') AND email NOT LIKE 'erased-%';

        CREATE VIEW feature_usage AS
        SELECT CAST(e.id AS TEXT) AS id, u.email AS user_email, r.feature AS feature_name, r.endpoint AS endpoint,
               r.method AS method, {_EVENT_TIME} AS timestamp, e.status < 400 AS success,
               f.message AS error_message, CAST(round(e.duration_us / 1000.0) AS INTEGER) AS duration_ms,
               e.status % 1000 AS status_code, {_EVENT_TIME} AS created_at
        FROM guardian_request e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
        LEFT JOIN guardian_failure f ON f.id = e.failure;

        CREATE VIEW user_errors AS
        SELECT CAST(e.id AS TEXT) AS id, u.email AS user_email, r.endpoint AS endpoint, r.method AS method,
               f.kind AS error_type, e.status % 1000 AS error_code, f.message AS error_message,
               NULLIF(f.location, '') AS stack_trace, {_EVENT_TIME} AS timestamp, {_EVENT_TIME} AS created_at
        FROM guardian_request e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
        JOIN guardian_failure f ON f.id = e.failure
        WHERE e.failure IS NOT NULL;
        """,
    ),
)


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
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o660))
    name = path if create else f"file:{quote(os.path.abspath(path))}?mode=rw"  # (SQLite, "URI Filenames")
    db = sqlite3.connect(name, timeout=timeout, isolation_level=None, check_same_thread=False, uri=not create)
    try:
        # Only takes effect before the first table is made; later it is a no-op.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA secure_delete = ON")
    except BaseException:
        db.close()
        raise
    return db


def migrate(db: sqlite3.Connection, migrations: Sequence[Migration], *, owner: str) -> list[str]:
    """Apply what is missing of `migrations`, in order, in one transaction; the names that were applied.

    `owner` is the part of a migration's name before the slash. Raises NewerDatabase when the database has a migration
    of this owner that is not in the list; nothing is changed then. See `prepare` for the tables of this module.
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
        db.execute("ROLLBACK")
        raise
    return applied


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables of this module, or bring them up to date. What a newer version has added is left alone.

    Raises NewerDatabase where a newer version has changed them so that this one cannot use them. Where nothing is
    missing, nobody's lock is waited for.
    """
    if _is_prepared(db):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        _apply(db, TRACKER_MIGRATIONS, _done(db))
        _check_format(db)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
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
