"""The SQLite layout: compact rows of our own under the published tables, as named, recorded migrations.

The published names (`user_sessions`, `feature_usage`, `user_errors`) are views and answer SELECT with fixed columns.
Everything under them starts with `guardian_`, so the tables can live in an app's own database file.

App and daemon are upgraded apart, so older programs meet newer tables. Changes add; inserts name their columns; a
migration that an older program could not live with sets `least_format` in guardian_meta above that program's FORMAT.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracker.names import ERASED_GLOB
from tracker.sqlite.keys import time_sql

FORMAT = 2
"""The newest shape of these tables that this version knows; see `least_format` above."""

Migration = tuple[str, str]
"""Its name, which is recorded, and its statements."""


_ISO = "strftime('%Y-%m-%dT%H:%M:%S', {us} / 1000000, 'unixepoch') || printf('.%06d+00:00', {us} % 1000000)"
_EVENT_TIME = _ISO.format(us=time_sql("e.id"))

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
        WHERE instr(email, '@') = 0 AND email NOT IN ('anonymous') AND email NOT GLOB '{ERASED_GLOB}';

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
    (
        "events/0003_clients",
        f"""
        -- Where the app's owner has asked for it: from where a session came. Not columns of guardian_session, since
        -- version 0.1 inserts there without naming any. A session that goes, by whichever version, takes it along.
        CREATE TABLE guardian_session_client (session INTEGER PRIMARY KEY, ip_address TEXT, user_agent TEXT);
        CREATE TRIGGER guardian_session_gone AFTER DELETE ON guardian_session BEGIN
            DELETE FROM guardian_session_client WHERE session = old.id;
        END;

        DROP VIEW user_sessions;
        CREATE VIEW user_sessions AS
        SELECT CAST(s.id AS TEXT) AS id, u.email AS user_email,
               {_ISO.format(us="s.start_us")} AS session_start, {_ISO.format(us="s.end_us")} AS session_end,
               (s.end_us - s.start_us) / 1000000 AS duration_seconds,
               c.ip_address AS ip_address, c.user_agent AS user_agent,
               {_ISO.format(us="s.start_us")} AS created_at
        FROM guardian_session s JOIN guardian_user u ON u.id = s.user
        LEFT JOIN guardian_session_client c ON c.session = s.id;
        """,
    ),
    (
        "events/0004_late",
        """
        -- How many events came after their minute (its start, microseconds) had ended: who has read it reads it again.
        -- A hint: what a tracker that does not write it stores late is found by counting.
        CREATE TABLE guardian_late (start_us INTEGER PRIMARY KEY, count INTEGER NOT NULL);
        """,
    ),
    (
        "events/0005_releases",
        """
        -- When the first request of this release and instance came: the first of a release is when it was released.
        ALTER TABLE guardian_source ADD COLUMN first_us INTEGER;
        """,
    ),
    (
        "events/0006_sessions",
        """
        -- Each request of a session moved its row in this index, which was 2 % of the file. Only retention asked for
        -- sessions by their ends alone, and looks at all of them instead.
        DROP INDEX IF EXISTS guardian_session_end;
        """,
    ),
)
