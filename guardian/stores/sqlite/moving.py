"""`Moving` on a SQLite file, for rows of tables; `moving_events` has the part for events and summaries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from guardian.stores.alert_state import read_incident
from guardian.stores.moving import HEAVY, TABLES, Key, Lead, Move, Row
from guardian.stores.sqlite.buckets import begin_epoch
from guardian.stores.sqlite.damage import readable
from guardian.stores.sqlite.moving_events import NAME, USERS, SqliteMovingEvents
from tracker.sqlite.dictionaries import OTHER

_MOVE = "moved_from"
_PLAIN = {
    "secret": "guardian_secret",
    "tombstone": "guardian_tombstones",
    "period": "guardian_period",
    "report": "guardian_report",
    "outbox": "guardian_outbox",
    "used_link": "guardian_used_link",
    "unsubscribed": "guardian_unsubscribed",
    "watch": "guardian_watch",
    "outage": "guardian_outage",
    "signed_in": "guardian_signed_in",
    "note": "guardian_recorder_note",
    "mark": "guardian_imported",
}
"""The SQLite tables whose columns have the names of the fields."""
_SELECT = {
    "person": f"SELECT {NAME} FROM {USERS} WHERE u.email != 'anonymous'",
    "number": "SELECT 'mails', coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'guardian_outbox'), 0) "
    "UNION ALL SELECT 'reports', coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'guardian_report'), 0)",
    "alert_state": "SELECT 'now', body FROM guardian_alert_state",
    "incident": "SELECT id, body FROM guardian_incident",
    "recorder": "SELECT id, started_us, seen_us, accepted, stored, dropped, version FROM guardian_recorder",
    "import_key": "SELECT key, value FROM guardian_meta WHERE key = 'import_key'",
    "release": "SELECT release, min(first_us) FROM guardian_source WHERE first_us IS NOT NULL "
    f"AND release NOT IN ('', '{OTHER}') GROUP BY release",
    "feature": "SELECT DISTINCT feature FROM guardian_route",
    "session": f"SELECT {NAME}, v.start_us, v.end_us, c.ip_address, c.user_agent FROM guardian_session v "
    f"JOIN ({USERS}) ON u.id = v.user LEFT JOIN guardian_session_client c ON c.session = v.id",
}
_PERSON = "(SELECT id FROM guardian_user WHERE email = :person)"
_SEQUENCE = "CASE :name WHEN 'mails' THEN 'guardian_outbox' ELSE 'guardian_report' END"
_FIRST = "(SELECT min(id) FROM guardian_source WHERE release = :release)"
_PUT: dict[str, tuple[str, ...]] = {
    "person": ("INSERT OR IGNORE INTO guardian_user (email) VALUES (:name)",),
    "number": (
        f"DELETE FROM sqlite_sequence WHERE name = {_SEQUENCE}",
        f"INSERT INTO sqlite_sequence (name, seq) VALUES ({_SEQUENCE}, :value)",
    ),
    "alert_state": ("REPLACE INTO guardian_alert_state (id, body) VALUES (1, :body)",),
    "incident": (
        "REPLACE INTO guardian_incident (id, rule, subject, status, opened_us, resolved_us, body) "
        "VALUES (:id, :rule, :subject, :status, :opened_us, :resolved_us, :body)",
    ),
    "recorder": (
        "REPLACE INTO guardian_recorder (id, started_us, seen_us, accepted, stored, dropped, version) "
        "VALUES (:recorder, :started_us, :seen_us, :accepted, :stored, :dropped, :version)",
    ),
    "import_key": ("REPLACE INTO guardian_meta (key, value) VALUES (:name, :value)",),
    "release": (
        f"INSERT INTO guardian_source (release, instance) SELECT :release, '' WHERE {_FIRST} IS NULL",
        f"UPDATE guardian_source SET first_us = CASE id WHEN {_FIRST} THEN :first_us END WHERE release = :release",
    ),
    "session": (
        f"DELETE FROM guardian_session WHERE user = {_PERSON} AND start_us = :start_us",
        f"INSERT INTO guardian_session (user, start_us, end_us) VALUES ({_PERSON}, :start_us, :end_us)",
        "INSERT INTO guardian_session_client (session, ip_address, user_agent) "
        "SELECT last_insert_rowid(), :ip_address, :user_agent WHERE coalesce(:ip_address, :user_agent) IS NOT NULL",
    ),
}
_DELETE = {
    "person": "DELETE FROM guardian_user WHERE email = :name",
    "alert_state": "DELETE FROM guardian_alert_state",
    "incident": "DELETE FROM guardian_incident WHERE id = :id",
    "recorder": "DELETE FROM guardian_recorder WHERE id = :recorder",
    "import_key": "DELETE FROM guardian_meta WHERE key = :name",
    "release": "UPDATE guardian_source SET first_us = NULL WHERE release = :release",
    "session": f"DELETE FROM guardian_session WHERE user = {_PERSON} AND start_us = :start_us",
}


class SqliteMoving(SqliteMovingEvents):
    """`Moving` on one SQLite file."""

    gives = frozenset(TABLES)
    takes = gives - {"feature"}

    def lead(self, name: str) -> Lead:
        """See Moving."""
        sql = "SELECT holder, expires_us, token FROM guardian_lease WHERE name = ?"
        with readable(self._path):
            found = self._db.execute(sql, (name,)).fetchone()
        return Lead(*found) if found else Lead()

    def move(self) -> Move | None:
        """See Moving."""
        with readable(self._path):
            found = self._db.execute("SELECT value FROM guardian_meta WHERE key = ?", (_MOVE,)).fetchone()
            return Move(*json.loads(found[0])) if found else None

    def note_move(self, move: Move) -> None:
        """See Moving."""
        with self._transaction() as db:
            db.execute("REPLACE INTO guardian_meta (key, value) VALUES (?, ?)", (_MOVE, json.dumps(move)))

    def rows(self, table: str) -> Iterator[Sequence[Row]]:
        """See Moving."""
        fields = TABLES[table].fields
        sql = _SELECT.get(table) or f"SELECT {', '.join(fields)} FROM {_PLAIN[table]}"
        with readable(self._path):
            asked = self._db.execute(sql)
            while found := asked.fetchmany(20 if table in HEAVY else 1_000):
                yield [_out(table, dict(zip(fields, row, strict=True))) for row in found]

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """See Moving."""
        fields = TABLES[table].fields
        marks = ", ".join(f":{field}" for field in fields)
        plain = f"REPLACE INTO {_PLAIN.get(table)} ({', '.join(fields)}) VALUES ({marks})"
        with self._transaction() as db:
            for row in rows:
                for statement in _PUT.get(table, (plain,)):
                    db.execute(statement, _into(table, dict(row)))

    def delete(self, table: str, keys: Sequence[Key]) -> None:
        """See Moving."""
        names = TABLES[table].fields[: TABLES[table].keys]
        plain = f"DELETE FROM {_PLAIN.get(table)} WHERE {' AND '.join(f'{name} = :{name}' for name in names)}"
        with self._transaction() as db:
            db.executemany(_DELETE.get(table, plain), [dict(zip(names, key, strict=True)) for key in keys])
            if table == "person":
                begin_epoch(db)


def _out(table: str, row: dict[str, Any]) -> Row:
    if table == "period":
        row["doubted"] = bool(row["doubted"])
    elif table == "outage":
        row["audience"] = json.loads(row["audience"] or "[]")
    return row


def _into(table: str, row: dict[str, Any]) -> dict[str, Any]:
    if table == "outage":
        row["audience"] = json.dumps(row["audience"]) if row["name"] is not None else None
    elif table == "incident":
        incident = read_incident(row["body"])
        for field in ("rule", "subject", "status", "opened_us", "resolved_us"):
            row[field] = getattr(incident, field)
    return row
