"""Erasing people from the rows of Guardian's own tables, and the tombstones that keep them from coming back."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace

from pydantic import TypeAdapter

from guardian.alerting.engine import AlertState
from guardian.alerting.forgetting import incident_without, state_without
from guardian.alerting.incidents import Incident
from guardian.core.outgoing import Outgoing
from guardian.core.report.people import people_of, replaced
from guardian.stores.alert_state import STATE_JSON
from guardian.stores.erasure import Forgotten, digest, erased
from guardian.stores.forgetting import message_without
from guardian.stores.sqlite.schema import pack, pack_people, read_people, unpack
from tracker.sqlite.tombstones import tombstone

_INCIDENT = TypeAdapter(Incident)
_MAILS = "SELECT id, key, recipient, body, kind, channel, severity, subject, people FROM guardian_outbox"


def erase(
    db: sqlite3.Connection, people: Collection[str], rules: Collection[str] = (), recipients: Collection[str] = ()
) -> Forgotten:
    """Take these people out of incidents, mails and saved reports, inside the caller's transaction.

    `rules` are the alert rules whose subjects are people. Mails to them go, unless they are among `recipients`.
    """
    leaving = set(people) - {each.lower() for each in recipients}
    marks = ", ".join("?" * len(leaving))
    db.execute(
        f"DELETE FROM guardian_outage WHERE recipient IN ({marks}) OR "
        f"EXISTS (SELECT 1 FROM json_each(audience) WHERE json_extract(value, '$[1]') IN ({marks}))",
        (*leaving, *leaving),
    )
    unsubscribed = db.execute(f"DELETE FROM guardian_unsubscribed WHERE recipient IN ({marks})", tuple(leaving))
    bodies = _erase_from_mails(db, people, leaving)
    return Forgotten(
        mails=len(bodies),
        reports=_erase_from_reports(db, people),
        incidents=_erase_from_incidents(db, people, rules),
        unsubscribed=unsubscribed.rowcount,
        bodies=bodies,
    )


def _erase_from_mails(
    db: sqlite3.Connection, people: Collection[str], leaving: Collection[str]
) -> dict[bytes, bytes | None]:
    gone, changed, bodies = [], [], dict[bytes, bytes | None]()
    for number, *columns, noted in db.execute(_MAILS):
        message = replace(Outgoing(*columns), people=read_people(noted))
        if message.channel == "mail" and message.recipient.lower() in leaving:
            gone.append((number,))
            bodies[digest(message.body)] = None
        elif (after := message_without(message, people)) is not message:
            changed.append((after.subject, after.body, pack_people(after.people), number))
            bodies[digest(message.body)] = after.body
    db.executemany("DELETE FROM guardian_outbox WHERE id = ?", gone)
    db.executemany("UPDATE guardian_outbox SET subject = ?, body = ?, people = ? WHERE id = ?", changed)
    return bodies


def _erase_from_reports(db: sqlite3.Connection, people: Collection[str]) -> int:
    changed = []
    for number, body in db.execute("SELECT id, body FROM guardian_report"):
        report = unpack(body)
        if people_of(report) & set(people):
            changed.append((pack(replaced(report, erased(people))), number))
    db.executemany("UPDATE guardian_report SET body = ? WHERE id = ?", changed)
    return len(changed)


def _erase_from_incidents(db: sqlite3.Connection, people: Collection[str], rules: Collection[str]) -> int:
    """Incidents as they are listed, and what alerting remembers from minute to minute."""
    gone, changed = [], []
    for number, body in db.execute("SELECT id, body FROM guardian_incident"):
        before = _INCIDENT.validate_json(body)
        after = incident_without(before, people, rules)
        if after is None:
            gone.append((number,))
        elif after != before:
            changed.append((_INCIDENT.dump_json(after).decode(), number))
    db.executemany("DELETE FROM guardian_incident WHERE id = ?", gone)
    db.executemany("UPDATE guardian_incident SET body = ? WHERE id = ?", changed)
    row = db.execute("SELECT body FROM guardian_alert_state").fetchone()
    state = state_without(STATE_JSON.validate_json(row[0]) if row else AlertState(), people, rules)
    # A new version also where nothing named them: a minute that is judged just now may.
    state = replace(state, version=state.version + 1)
    db.execute("REPLACE INTO guardian_alert_state VALUES (1, ?)", (STATE_JSON.dump_json(state).decode(),))
    return len(gone) + len(changed)


def bury(db: sqlite3.Connection, people: Iterable[str], at_us: int) -> None:
    """Remember, as keyed hashes, that these people were erased at this moment."""
    key = _key(db)
    rows = [(tombstone(name, key), at_us) for name in people]
    db.executemany("REPLACE INTO guardian_tombstones VALUES (?, ?)", rows)
    db.execute("REPLACE INTO guardian_unsettled VALUES (?)", (at_us,))


def buried(db: sqlite3.Connection, people: Iterable[str], since_us: int) -> set[str]:
    """Those of these people who were erased at this moment or after it."""
    stones = {
        stone for (stone,) in db.execute("SELECT hash FROM guardian_tombstones WHERE erased_us >= ?", (since_us,))
    }
    if not stones:
        return set()
    key = _key(db)
    return {name for name in people if tombstone(name, key) in stones}


def _key(db: sqlite3.Connection) -> str:
    db.execute("INSERT OR IGNORE INTO guardian_secret VALUES ('tombstones', ?)", (secrets.token_urlsafe(32),))
    return str(db.execute("SELECT value FROM guardian_secret WHERE name = 'tombstones'").fetchone()[0])


def empty_log(db: sqlite3.Connection) -> bool:
    """Move what the write-ahead log holds into the file and cut the log, so that no copy of what was erased is left.

    False while somebody reads an older state: until they have done so, the log has to stay.
    """
    (before,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 500")
    try:
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        db.execute(f"PRAGMA busy_timeout = {before}")
    return not busy
