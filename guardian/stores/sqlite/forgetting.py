"""Erasing one person from the rows of Guardian's own tables."""

from __future__ import annotations

import json
import sqlite3

from guardian.stores.forgetting import alerts_without, incident_without, names_person, without_person
from guardian.stores.sqlite.schema import pack, unpack


def erase(db: sqlite3.Connection, email: str) -> int:
    """Delete the mails that name the person and the incidents about them, and take the name out of saved reports and of
    other incidents, inside the caller's transaction.

    How many rows went or changed.
    """
    incidents = _erase_from_incidents(db, email)
    mails = db.execute("SELECT id, recipient, subject, body FROM guardian_outbox")
    gone = [(number,) for number, *texts, body in mails if names_person(texts, body, email)]
    db.executemany("DELETE FROM guardian_outbox WHERE id = ?", gone)
    changed = []
    for number, body in db.execute("SELECT id, body FROM guardian_report"):
        before = unpack(body)
        after = without_person(before, email)
        if after != before:
            changed.append((pack(after), number))
    db.executemany("UPDATE guardian_report SET body = ? WHERE id = ?", changed)
    return len(gone) + len(changed) + incidents


def _erase_from_incidents(db: sqlite3.Connection, email: str) -> int:
    """Incidents as they are listed, and what alerting remembers from minute to minute; both are JSON."""
    gone, changed = [], []
    for number, body in db.execute("SELECT id, body FROM guardian_incident"):
        before = json.loads(body)
        after = incident_without(before, email)
        if after is None:
            gone.append((number,))
        elif after != before:
            changed.append((json.dumps(after, ensure_ascii=False), number))
    db.executemany("DELETE FROM guardian_incident WHERE id = ?", gone)
    db.executemany("UPDATE guardian_incident SET body = ? WHERE id = ?", changed)
    row = db.execute("SELECT body FROM guardian_alert_state").fetchone()
    remembered = alerts_without(json.loads(row[0]) if row else {}, email)
    db.execute("REPLACE INTO guardian_alert_state VALUES (1, ?)", (json.dumps(remembered, ensure_ascii=False),))
    return len(gone) + len(changed)
