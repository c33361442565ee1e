"""The tables of `SqliteStateStore`, as named, recorded migrations, and how their rows are read and written.

Times are Unix microseconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.core.time import moment
from guardian.stores.packing import pack_people
from tracker.sqlite.schema import Migration

STATE_MIGRATIONS: Sequence[Migration] = (
    (
        "guardian/0001_state",
        """
        CREATE TABLE guardian_lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, token INTEGER NOT NULL,
                                     expires_us INTEGER NOT NULL) WITHOUT ROWID;

        CREATE TABLE guardian_report (id INTEGER PRIMARY KEY AUTOINCREMENT, schedule TEXT NOT NULL,
                                      start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
                                      created_us INTEGER NOT NULL, body BLOB NOT NULL);

        -- The ledger: which periods of a schedule are done. It is never purged, or a report would go out again.
        CREATE TABLE guardian_period (schedule TEXT NOT NULL, end_us INTEGER NOT NULL, start_us INTEGER NOT NULL,
                                      claimed_us INTEGER NOT NULL, PRIMARY KEY (schedule, end_us, start_us))
                                      WITHOUT ROWID;

        CREATE TABLE guardian_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
                                      recipient TEXT NOT NULL, channel TEXT NOT NULL, kind TEXT NOT NULL,
                                      severity TEXT NOT NULL, subject TEXT NOT NULL, body BLOB NOT NULL,
                                      status TEXT NOT NULL DEFAULT 'pending'
                                          CHECK (status IN ('pending', 'sent', 'dead', 'dropped')),
                                      attempts INTEGER NOT NULL DEFAULT 0, created_us INTEGER NOT NULL,
                                      next_us INTEGER NOT NULL, sent_us INTEGER, transport TEXT, last_error TEXT,
                                      holder TEXT, lease_us INTEGER);
        CREATE INDEX guardian_outbox_pending ON guardian_outbox (channel, recipient, id) WHERE status = 'pending';
        """,
    ),
    (
        "guardian/0002_alerts",
        """
        -- What one minute of alerting hands to the next, as JSON in one row.
        CREATE TABLE guardian_alert_state (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL);

        -- Every incident that opened, for lists and reports; body is the whole of it as JSON.
        CREATE TABLE guardian_incident (id TEXT PRIMARY KEY, rule TEXT NOT NULL, subject TEXT NOT NULL,
                                        status TEXT NOT NULL, opened_us INTEGER NOT NULL, resolved_us INTEGER,
                                        body TEXT NOT NULL) WITHOUT ROWID;
        CREATE INDEX guardian_incident_opened ON guardian_incident (opened_us);

        -- Keys that Guardian made for itself.
        CREATE TABLE guardian_secret (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

        -- Links of mails that have been used: each acts once.
        CREATE TABLE guardian_used_link (nonce TEXT PRIMARY KEY, used_us INTEGER NOT NULL) WITHOUT ROWID;
        """,
    ),
    (
        "guardian/0003_unsubscribed",
        """
        -- Who no longer wants the reports of a schedule.
        CREATE TABLE guardian_unsubscribed (schedule TEXT NOT NULL, recipient TEXT NOT NULL, at_us INTEGER NOT NULL,
                                            PRIMARY KEY (schedule, recipient)) WITHOUT ROWID;
        """,
    ),
    (
        "guardian/0004_watch",
        """
        -- Reports that are late or on their way: told_us is when somebody was told of it, claimed_us when its mails
        -- went into the outbox (NULL: it is not made yet), tries and next_us are about the ping that follows.
        CREATE TABLE guardian_watch (schedule TEXT NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
                                     claimed_us INTEGER, mails INTEGER NOT NULL DEFAULT 0, told_us INTEGER,
                                     tries INTEGER NOT NULL DEFAULT 0, next_us INTEGER NOT NULL DEFAULT 0,
                                     PRIMARY KEY (schedule, start_us, end_us)) WITHOUT ROWID;
        """,
    ),
    (
        "guardian/0005_erasing",
        """
        -- Whom a mail names, and where: compressed JSON. NULL: an older version wrote it, and noted nothing.
        ALTER TABLE guardian_outbox ADD COLUMN people BLOB;

        -- Who was erased, and when, as keyed hashes: what was queued before must not bring them back.
        CREATE TABLE guardian_tombstones (hash BLOB PRIMARY KEY, erased_us INTEGER NOT NULL) WITHOUT ROWID;

        -- Erasures of which the write-ahead log may still hold copies.
        CREATE TABLE guardian_unsettled (erased_us INTEGER PRIMARY KEY);
        """,
    ),
    (
        "guardian/0006_editions",
        """
        -- A report that a clock which was ahead made too early is doubted (1), and made again as the next edition.
        ALTER TABLE guardian_period ADD COLUMN edition INTEGER NOT NULL DEFAULT 1;
        ALTER TABLE guardian_period ADD COLUMN doubted INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE guardian_watch ADD COLUMN edition INTEGER NOT NULL DEFAULT 1;
        """,
    ),
    (
        "guardian/0007_outages",
        """
        -- What was told of messages that could not be delivered: name, since_us and audience (JSON) are those of the
        -- outage that is open for a recipient, NULL where none is; up to dead_id all that was given up has been told.
        CREATE TABLE guardian_outage (channel TEXT NOT NULL, recipient TEXT NOT NULL, dead_id INTEGER NOT NULL,
                                      name TEXT, since_us INTEGER, audience TEXT,
                                      PRIMARY KEY (channel, recipient)) WITHOUT ROWID;
        CREATE INDEX guardian_outbox_dead ON guardian_outbox (channel, recipient, id) WHERE status = 'dead';
        CREATE INDEX guardian_outbox_sent ON guardian_outbox (channel, recipient, sent_us) WHERE status = 'sent';
        CREATE INDEX guardian_outbox_sent_by_channel ON guardian_outbox (channel, sent_us) WHERE status = 'sent';
        """,
    ),
    (
        "guardian/0008_sign_ins",
        """
        -- Links to sign in by, and who is signed in. Of links, browsers, codes and cookies there is only a hash.
        -- browser NULL: of any browser. tries counts codes that were wrong.
        CREATE TABLE guardian_asked (link BLOB PRIMARY KEY, browser BLOB, code BLOB, address TEXT NOT NULL,
                                     expires_us INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
                                     forwarded INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
        CREATE TABLE guardian_signed_in (cookie BLOB PRIMARY KEY, address TEXT NOT NULL, began_us INTEGER NOT NULL,
                                       seen_us INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX guardian_signed_in_address ON guardian_signed_in (address);
        """,
    ),
)

ITEM_COLUMNS = (
    "id, key, recipient, body, kind, channel, severity, subject, status, attempts, created_us, next_us, sent_us, "
    "transport, last_error"
)
"""What `to_item` reads, in order."""


def to_item(row: Sequence[Any]) -> OutboxItem:
    """The outbox item from a row of `ITEM_COLUMNS`."""
    return OutboxItem(
        id=row[0],
        message=Outgoing(*row[1:8]),
        status=row[8],
        attempts=row[9],
        created_at=moment(row[10]),
        next_attempt_at=moment(row[11]),
        sent_at=None if row[12] is None else moment(row[12]),
        transport=row[13],
        last_error=row[14],
    )


def put_mails(db: sqlite3.Connection, mails: Sequence[Outgoing], at_us: int) -> int:
    """Add mails to the outbox inside the caller's transaction, those that could not be written as dead. Returns how
    many had a new key."""
    return db.executemany(
        "INSERT OR IGNORE INTO guardian_outbox (key, recipient, body, kind, channel, severity, subject, people, "
        "created_us, next_us, last_error, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                m.key,
                m.recipient,
                m.body,
                m.kind,
                m.channel,
                m.severity,
                m.subject,
                pack_people(m.people),
                at_us,
                at_us,
                m.unwritten,
                "pending" if m.unwritten is None else "dead",
            )
            for m in mails
        ],
    ).rowcount
