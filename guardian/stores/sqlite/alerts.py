"""`AlertStore` on SQLite: one row for the state and one for each incident, committed together with the mails they
cause."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from guardian.alerting.actions import Edit
from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident
from guardian.alerting.links import LinkUsed
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros
from guardian.stores.alert_state import INCIDENT_JSON, STATE_JSON, read_incident, read_state
from guardian.stores.alerts import ChangedMeanwhile
from guardian.stores.sqlite.database import StateDatabase
from guardian.stores.sqlite.incidents import SqliteIncidents
from guardian.stores.sqlite.schema import put_mails

_STATE = "SELECT body FROM guardian_alert_state"

_Known = tuple[str, AlertState]
"""What is stored, and what that means."""
NOTHING: _Known = ("", AlertState())
"""What is stored before the first minute."""


class SqliteAlertStore(SqliteIncidents):
    """`AlertStore` in the database of the outbox."""

    def __init__(self, state: StateDatabase) -> None:
        super().__init__(state)
        self._read = NOTHING  # what was read last: it is long, and seldom another

    async def load(self) -> AlertState:
        """See AlertStore."""
        for (text,) in await self._state.read(_STATE):
            if text != self._read[0]:
                self._read = (text, await off_loop(read_state, text))
            return self._read[1]
        return AlertState()

    async def commit(
        self, state: AlertState, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None
    ) -> AlertState:
        """See AlertStore."""

        def work(db: sqlite3.Connection) -> _Known:
            saved = _save(db, state, self._read)
            _close_orphans(db, saved[1], micros(now))
            put_mails(db, mails, micros(now))
            return saved

        self._read = await self._state.transact(work, token=token)
        return self._read[1]

    async def change(self, incident_id: str, edit: Edit) -> Incident | None:
        """See AlertStore."""
        changed = await self._state.transact(lambda db: _edited(db, edit, incident_id))
        return changed[0] if changed else None

    async def change_by_link(self, nonce: str, incident_id: str, edit: Edit, now: datetime) -> Incident | None:
        """See AlertStore."""

        def work(db: sqlite3.Connection) -> list[Incident] | None:
            row = (nonce, micros(now))
            if not db.execute("INSERT OR IGNORE INTO guardian_used_link VALUES (?, ?)", row).rowcount:
                return None
            return _edited(db, edit, incident_id)

        changed = await self._state.transact(work)
        if changed is None:
            raise LinkUsed
        return changed[0] if changed else None

    async def change_all(self, edit: Edit) -> list[Incident]:
        """See AlertStore."""
        return await self._state.transact(lambda db: _edited(db, edit))

    async def link_key(self, *, make: bool = True) -> str:
        """See AlertStore."""
        rows = await self._state.read("SELECT value FROM guardian_secret WHERE name = 'links'")
        if rows or not make:
            return str(rows[0][0]) if rows else ""

        def work(db: sqlite3.Connection) -> str:
            db.execute("INSERT OR IGNORE INTO guardian_secret VALUES ('links', ?)", (secrets.token_urlsafe(32),))
            return str(db.execute("SELECT value FROM guardian_secret WHERE name = 'links'").fetchone()[0])

        return await self._state.transact(work)

    async def renew_link_key(self) -> None:
        """See AlertStore. The old secret is overwritten in the file."""
        await self._state.update("REPLACE INTO guardian_secret VALUES ('links', ?)", (secrets.token_urlsafe(32),))
        await self._state.read("PRAGMA wal_checkpoint(TRUNCATE)")


def _edited(db: sqlite3.Connection, edit: Edit, incident_id: str | None = None) -> list[Incident]:
    """The edited incident (None: all of them), if it was going on; without incidents that the edit removed."""
    known = _load(db, NOTHING)
    state = known[1]
    ids = [i.id for i in state.incidents() if i.status != "resolved" and incident_id in (None, i.id)]
    for each in ids:
        state = edit(state, state.by_id()[each])
    if ids:
        _, state = _save(db, state, known)
    return [incident for incident in state.incidents() if incident.id in ids]


def _load(db: sqlite3.Connection, known: _Known) -> _Known:
    """What is stored; where that is what is known, nothing is read out of it."""
    (text,) = db.execute(_STATE).fetchone() or ("",)
    if text == known[0]:
        return known
    return text, read_state(text)


def _save(db: sqlite3.Connection, state: AlertState, known: _Known) -> _Known:
    """Store the state and the incidents that differ from the stored state; returns what is stored now. `known` is what
    was read last. Raises ChangedMeanwhile if the state did not come from the stored version."""
    _, before = _load(db, known)
    if before.version != state.version:
        raise ChangedMeanwhile
    state = replace(state, version=state.version + 1)
    text = STATE_JSON.dump_json(state).decode()
    db.execute("REPLACE INTO guardian_alert_state VALUES (1, ?)", (text,))
    stored = before.by_id()
    db.executemany(
        "REPLACE INTO guardian_incident VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (i.id, i.rule, i.subject, i.status, i.opened_us, i.resolved_us, INCIDENT_JSON.dump_json(i).decode())
            for i in state.incidents()
            if i.opened_us is not None and stored.get(i.id) != i
        ],
    )
    return text, state


def _close_orphans(db: sqlite3.Connection, state: AlertState, now_us: int) -> None:
    """End the incidents of rules that left the settings, since they will never be judged again."""
    known = state.by_id()
    going_on = db.execute("SELECT id FROM guardian_incident WHERE status != 'resolved'").fetchall()
    for (number,) in going_on:
        if number not in known:
            (body,) = db.execute("SELECT body FROM guardian_incident WHERE id = ?", (number,)).fetchone()
            ended = read_incident(body).ended("removed", now_us)
            db.execute(
                "UPDATE guardian_incident SET status = 'resolved', resolved_us = ?, body = ? WHERE id = ?",
                (now_us, INCIDENT_JSON.dump_json(ended).decode(), number),
            )
