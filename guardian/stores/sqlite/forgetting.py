"""Erasing people from the rows of Guardian's own tables, and the tombstones that keep them from coming back."""

from __future__ import annotations

import secrets
import sqlite3
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from guardian.alerting.engine import AlertState
from guardian.alerting.forgetting import incident_without, state_without
from guardian.core.outgoing import Outgoing
from guardian.core.report.people import text_without
from guardian.stores.alert_state import INCIDENT_JSON, STATE_JSON, read_incident, read_state
from guardian.stores.erasure import Forgotten, digest
from guardian.stores.forgetting import may_name, may_say, message_without
from guardian.stores.packing import noted_names, pack_people, read_people
from tracker.sqlite.tombstones import tombstone

_MAILS = (
    "SELECT id, key, recipient, body, kind, channel, severity, subject, people FROM guardian_outbox "
    "WHERE id > ? ORDER BY id"
)
_SLICE_SECONDS = 0.1
"""The longest that one look at mails or reports takes, unless a single one takes longer: others use the thread too."""
_SLICE_BYTES = 4_000_000
"""The most bytes written in one transaction, unless a single row is longer: others wait for the lock."""


@dataclass
class Changes:
    """The changes to write to mails or saved reports, and the last number that was examined (None: all were)."""

    last: int | None = 0
    forgotten: Forgotten = field(default_factory=Forgotten)
    gone: list[tuple[int, bytes]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)


def leaving(people: Collection[str], recipients: Collection[str]) -> frozenset[str]:
    """The addresses of these people, in lower case, that get no more mail because they are not among the recipients."""
    kept = {each.lower() for each in recipients}
    return frozenset(name.lower() for name in people if "@" in name and name.lower() not in kept)


def erase_alerts(
    db: sqlite3.Connection, people: Collection[str], rules: Collection[str], gone: Collection[str]
) -> Forgotten:
    """Remove these people from incidents and the alert state, and those who leave (`gone`) from the notes about
    recipients, inside the caller's transaction. `rules` are the alert rules whose subjects are people."""
    marks = ", ".join("?" * len(gone))
    db.execute(
        f"DELETE FROM guardian_outage WHERE channel = 'mail' AND lower(recipient) IN ({marks}) OR "
        f"EXISTS (SELECT 1 FROM json_each(audience) WHERE lower(json_extract(value, '$[1]')) IN ({marks}))",
        (*gone, *gone),
    )
    unsubscribed = db.execute(f"DELETE FROM guardian_unsubscribed WHERE lower(recipient) IN ({marks})", tuple(gone))
    for table in ("guardian_asked", "guardian_signed_in"):
        db.execute(f"DELETE FROM {table} WHERE address IN ({marks})", tuple(gone))
    incidents = _erase_from_incidents(db, people, rules, gone)
    return Forgotten(incidents=incidents, unsubscribed=unsubscribed.rowcount)


def look_at_mails(db: sqlite3.Connection, after: int, people: Collection[str], gone: Collection[str]) -> Changes:
    """The changes to make to the next mails, read outside a transaction. Mails to people who leave are deleted."""
    found, ends = Changes(), perf_counter() + _SLICE_SECONDS
    size = 0
    for number, *columns, noted in db.execute(_MAILS, (after,)):
        message, found.last = Outgoing(*columns), number
        if message.channel == "mail" and message.recipient.lower() in gone:
            found.gone.append((number, message.body))
            found.forgotten += Forgotten(mails=1, bodies={digest(message.body): None})
        elif may_name(message, noted_names(noted), people):
            message = replace(message, people=read_people(noted))
            if (new := message_without(message, people)) is not message:
                found.changed.append((new.subject, new.body, pack_people(new.people), number, message.body))
                found.forgotten += Forgotten(mails=1, bodies={digest(message.body): new.body})
                size += len(new.body)
        if size > _SLICE_BYTES or perf_counter() > ends:
            return found
    found.last = None
    return found


def write_mails(db: sqlite3.Connection, changes: Changes) -> bool:
    """Write the changes inside the caller's transaction. False if somebody else has changed a mail meanwhile: then
    examine them all again."""
    db.executemany("DELETE FROM guardian_outbox WHERE id = ? AND body = ?", changes.gone)
    sql = "UPDATE guardian_outbox SET subject = ?, body = ?, people = ? WHERE id = ? AND body = ?"
    return _written(db, sql, "guardian_outbox", changes.changed)


def look_at_reports(db: sqlite3.Connection, after: int, people: Collection[str]) -> Changes:
    """Like `look_at_mails`, for saved reports."""
    found, ends = Changes(), perf_counter() + _SLICE_SECONDS
    size = 0
    for number, body in db.execute("SELECT id, body FROM guardian_report WHERE id > ? ORDER BY id", (after,)):
        found.last = number
        text = zlib.decompress(body)
        if (new := text_without(text, people)) is not text:
            found.changed.append((zlib.compress(new), number, body))
            found.forgotten += Forgotten(reports=1)
            size += len(body)
        if size > _SLICE_BYTES or perf_counter() > ends:
            return found
    found.last = None
    return found


def write_reports(db: sqlite3.Connection, changes: Changes) -> bool:
    """Like `write_mails`, for saved reports."""
    sql = "UPDATE guardian_report SET body = ? WHERE id = ? AND body = ?"
    return _written(db, sql, "guardian_report", changes.changed)


def _written(db: sqlite3.Connection, sql: str, table: str, rows: Iterable[tuple[Any, ...]]) -> bool:
    there = f"SELECT 1 FROM {table} WHERE id = ?"
    return all(db.execute(sql, row).rowcount or db.execute(there, row[-2:-1]).fetchone() is None for row in rows)


def _erase_from_incidents(
    db: sqlite3.Connection, people: Collection[str], rules: Collection[str], leaving: Collection[str]
) -> int:
    """Erases from the stored incidents, and from the alert state."""
    gone, changed = [], []
    for number, body in db.execute("SELECT id, body FROM guardian_incident"):
        if not may_say(body, people):
            continue
        before = read_incident(body)
        after = incident_without(before, people, rules, leaving)
        if after is None:
            gone.append((number,))
        elif after != before:
            changed.append((INCIDENT_JSON.dump_json(after).decode(), number))
    db.executemany("DELETE FROM guardian_incident WHERE id = ?", gone)
    db.executemany("UPDATE guardian_incident SET body = ? WHERE id = ?", changed)
    row = db.execute("SELECT body FROM guardian_alert_state").fetchone()
    state = state_without(read_state(row[0]) if row else AlertState(), people, rules, leaving)
    # A new version even if nothing named them: the minute being judged right now may.
    state = replace(state, version=state.version + 1)
    db.execute("REPLACE INTO guardian_alert_state VALUES (1, ?)", (STATE_JSON.dump_json(state).decode(),))
    return len(gone) + len(changed)


def bury(db: sqlite3.Connection, people: Iterable[str], at_us: int) -> None:
    """Record, as keyed hashes, that these people were erased at this moment."""
    key = _key(db)
    rows = [(tombstone(name, key), at_us) for name in people]
    db.executemany("REPLACE INTO guardian_tombstones VALUES (?, ?)", rows)
    db.execute("REPLACE INTO guardian_unsettled VALUES (?)", (at_us,))


def buried(db: sqlite3.Connection, people: Iterable[str], since_us: int) -> set[str]:
    """The people among these who were erased at this moment or later."""
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
