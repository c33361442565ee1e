"""`AlertStore` on SQLite: a row of state and every incident, committed together with the mails they cause."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter

from guardian.alerting.actions import Edit
from guardian.alerting.engine import STATE_JSON, AlertState
from guardian.alerting.incidents import Incident, Memory
from guardian.alerting.links import LinkUsed
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros
from guardian.stores.sqlite.database import StateDatabase
from guardian.stores.sqlite.schema import put_mails

_INCIDENT = TypeAdapter(Incident)
T = TypeVar("T")


class SqliteAlertStore:
    """`AlertStore` in the database of the outbox."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def load(self) -> AlertState:
        """See AlertStore."""
        return await self._state.transact(_load)

    async def commit(
        self,
        before: AlertState,
        after: AlertState,
        mails: Sequence[Outgoing],
        *,
        now: datetime,
        token: int | None = None,
    ) -> AlertState:
        """See AlertStore."""

        def work(db: sqlite3.Connection) -> AlertState:
            merged = _merge(before, _load(db), after)
            _save(db, merged)
            _close_orphans(db, merged, micros(now))
            put_mails(db, mails, micros(now))
            return merged

        return await self._state.transact(work, token=token)

    async def change(self, incident_id: str, edit: Edit) -> Incident | None:
        """See AlertStore."""
        changed = await self._state.transact(lambda db: _edited(db, edit, incident_id))
        return changed[0] if changed else None

    async def change_by_link(self, nonce: str, incident_id: str, edit: Edit, now: datetime) -> Incident | None:
        """See AlertStore."""

        def work(db: sqlite3.Connection) -> Incident | None:
            row = (nonce, micros(now))
            if not db.execute("INSERT OR IGNORE INTO guardian_used_link VALUES (?, ?)", row).rowcount:
                raise LinkUsed
            changed = _edited(db, edit, incident_id)
            return changed[0] if changed else None

        return await self._state.transact(work)

    async def change_all(self, edit: Edit) -> list[Incident]:
        """See AlertStore."""
        return await self._state.transact(lambda db: _edited(db, edit))

    async def incidents(
        self, *, open_only: bool = False, since: datetime | None = None, limit: int = 100
    ) -> list[Incident]:
        """See AlertStore."""
        where, values = "1", []
        if open_only:
            where += " AND status != 'resolved'"
        if since is not None:
            where += " AND (resolved_us IS NULL OR resolved_us >= ?)"
            values.append(micros(since))

        def work(db: sqlite3.Connection) -> list[Incident]:
            sql = f"SELECT body FROM guardian_incident WHERE {where} ORDER BY opened_us DESC, id LIMIT ?"
            return [_INCIDENT.validate_json(body) for (body,) in db.execute(sql, (*values, limit))]

        return await self._state.transact(work)

    async def incident(self, incident_id: str) -> Incident | None:
        """See AlertStore."""

        def work(db: sqlite3.Connection) -> Incident | None:
            row = db.execute("SELECT body FROM guardian_incident WHERE id = ?", (incident_id,)).fetchone()
            return _INCIDENT.validate_json(row[0]) if row else None

        return await self._state.transact(work)

    async def link_key(self) -> str:
        """See AlertStore."""

        def work(db: sqlite3.Connection) -> str:
            db.execute("INSERT OR IGNORE INTO guardian_secret VALUES ('links', ?)", (secrets.token_urlsafe(32),))
            return str(db.execute("SELECT value FROM guardian_secret WHERE name = 'links'").fetchone()[0])

        return await self._state.transact(work)


def _edited(db: sqlite3.Connection, edit: Edit, incident_id: str | None = None) -> list[Incident]:
    """What became of the incident (None: of each) that was not over; without those that an edit took away."""
    state = _load(db)
    ids = [i.id for i in state.incidents() if i.status != "resolved" and incident_id in (None, i.id)]
    for each in ids:
        state = edit(state, state.by_id()[each])
    if ids:
        _save(db, state)
    return [incident for incident in state.incidents() if incident.id in ids]


def _load(db: sqlite3.Connection) -> AlertState:
    row = db.execute("SELECT body FROM guardian_alert_state").fetchone()
    return STATE_JSON.validate_json(row[0]) if row else AlertState()


def _save(db: sqlite3.Connection, state: AlertState) -> None:
    db.execute("REPLACE INTO guardian_alert_state VALUES (1, ?)", (STATE_JSON.dump_json(state).decode(),))
    db.executemany(
        "REPLACE INTO guardian_incident VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (i.id, i.rule, i.subject, i.status, i.opened_us, i.resolved_us, _INCIDENT.dump_json(i).decode())
            for i in state.incidents()
            if i.opened_us is not None
        ],
    )


def _close_orphans(db: sqlite3.Connection, state: AlertState, now_us: int) -> None:
    """End the incidents of rules that the settings no longer have: nobody will ever judge them again."""
    known = state.by_id()
    for number, body in db.execute("SELECT id, body FROM guardian_incident WHERE status != 'resolved'").fetchall():
        if number not in known:
            ended = replace(_INCIDENT.validate_json(body), status="resolved", resolved_us=now_us)
            db.execute(
                "UPDATE guardian_incident SET status = 'resolved', resolved_us = ?, body = ? WHERE id = ?",
                (now_us, _INCIDENT.dump_json(ended).decode(), number),
            )


def _merge(before: AlertState, stored: AlertState, after: AlertState) -> AlertState:
    """`after`, with what people did between `before` and `stored`: that is all that can differ between those two."""
    then, ours = before.by_id(), after.by_id()
    for theirs in stored.incidents():
        mine = ours.get(theirs.id)
        if mine is None or theirs == then.get(theirs.id):
            continue
        touched = replace(
            mine,
            acknowledged_by=theirs.acknowledged_by,
            acted=theirs.acted,
            silenced_until_us=theirs.silenced_until_us,
            fixed_us=theirs.fixed_us,
            names=theirs.names,
        )
        if theirs.status in ("acknowledged", "resolved") and mine.status != "resolved":
            touched = replace(touched, status=theirs.status, resolved_us=theirs.resolved_us, closing=theirs.closing)
        after = after.changed(touched)
    memories = {name: _merged(name, before, stored, memory) for name, memory in after.memories.items()}
    waited, waits = ({h.transition.incident.id for h in state.held} for state in (before, stored))
    held = [h for h in after.held if h.transition.incident.id not in waited - waits]
    after = replace(after, memories=memories)
    known = after.by_id()
    return replace(after, held=tuple(h.refreshed(known) for h in held))


def _merged(rule: str, before: AlertState, stored: AlertState, after: Memory) -> Memory:
    """A rule's memory, with what was marked as fixed between those two, and without what was erased between them."""
    then, now = (state.memories.get(rule, Memory()) for state in (before, stored))
    marked = {subject: at for subject, at in now.fixed_us.items() if then.fixed_us.get(subject) != at}

    def kept(mine: Mapping[str, T], old: Mapping[str, T], new: Mapping[str, T]) -> dict[str, T]:
        return {subject: value for subject, value in mine.items() if subject in new or subject not in old}

    return Memory(
        kept(after.latest, then.latest, now.latest),
        kept(after.number, then.number, now.number),
        kept(after.last_good_us, then.last_good_us, now.last_good_us),
        {**kept(after.fixed_us, then.fixed_us, now.fixed_us), **marked},
    )
