"""`AlertStore` on Firestore: one document for the state and one for each incident, committed together with the
mails."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from guardian.alerting.actions import Edit
from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident
from guardian.alerting.links import LinkUsed
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros
from guardian.stores.alert_state import INCIDENT_JSON, STATE_JSON, read_incident, read_state
from guardian.stores.alerts import ChangedMeanwhile
from guardian.stores.firestore.database import StateDatabase, name_of
from guardian.stores.firestore.draft import Draft, Fields
from guardian.stores.firestore.mails import put_mails
from guardian.stores.firestore.queries import Query

ALERTS, NOW, INCIDENT, USED_LINK = "guardian_alert_state", "now", "guardian_incident", "guardian_used_link"
OPEN_US = 2**62
"""Stands for the end (µs) of an incident that goes on: later than any time in a query."""


class FirestoreAlertStore:
    """`AlertStore` in the database of the outbox."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def load(self) -> AlertState:
        """See AlertStore."""
        return await self._state.read(load)

    async def commit(
        self, state: AlertState, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None
    ) -> AlertState:
        """See AlertStore."""

        async def work(draft: Draft) -> AlertState:
            before = await load(draft)
            written = await save(draft, before, state)
            known = written.by_id()
            gone = {i.id: i for i in before.incidents() if i.opened_us is not None and i.id not in known}
            for name, fields in (await draft.get_all(INCIDENT, map(name_of, gone))).items():
                incident = read_incident(fields["body"])
                if incident.status != "resolved":
                    put_incident(draft, name, incident.ended("removed", micros(now)))
            await put_mails(draft, mails, micros(now))
            return written

        return await self._state.transact(work, token=token)

    async def change(self, incident_id: str, edit: Edit) -> Incident | None:
        """See AlertStore."""

        async def work(draft: Draft) -> list[Incident]:
            return await _edited(draft, edit, incident_id)

        return next(iter(await self._state.transact(work)), None)

    async def change_by_link(self, nonce: str, incident_id: str, edit: Edit, now: datetime) -> Incident | None:
        """See AlertStore."""

        async def work(draft: Draft) -> list[Incident] | None:
            if await draft.get(USED_LINK, name_of(nonce)) is not None:
                return None
            draft.put(USED_LINK, name_of(nonce), {"nonce": nonce, "used_us": micros(now)})
            return await _edited(draft, edit, incident_id)

        changed = await self._state.transact(work)
        if changed is None:
            raise LinkUsed
        return changed[0] if changed else None

    async def change_all(self, edit: Edit) -> list[Incident]:
        """See AlertStore."""

        async def work(draft: Draft) -> list[Incident]:
            return await _edited(draft, edit)

        return await self._state.transact(work)

    async def incidents(
        self, *, open_only: bool = False, since: datetime | None = None, limit: int = 100
    ) -> list[Incident]:
        """See AlertStore."""
        if open_only:
            query = Query(INCIDENT, (("until_us", "==", OPEN_US),))
        elif since is not None:
            query = Query(INCIDENT, (("until_us", ">=", micros(since)),))
        else:
            query = Query(INCIDENT, (), (("opened_us", True), ("id", False)), limit)

        async def work(draft: Draft) -> list[Incident]:
            return [read_incident(fields["body"]) for _, fields in await draft.find(query)]

        found = await self._state.read(work)
        return sorted(found, key=lambda incident: (-(incident.opened_us or 0), incident.id))[:limit]

    async def incident(self, incident_id: str) -> Incident | None:
        """See AlertStore."""

        async def work(draft: Draft) -> Incident | None:
            fields = await draft.get(INCIDENT, name_of(incident_id))
            return None if fields is None else read_incident(fields["body"])

        return await self._state.read(work)

    async def link_key(self, *, make: bool = True) -> str:
        """See AlertStore."""
        return await self._state.secret("links", make=make)

    async def renew_link_key(self) -> None:
        """See AlertStore."""
        await self._state.renew_secret("links")


async def load(draft: Draft) -> AlertState:
    """The state as it is stored; an empty one before the first."""
    fields = await draft.get(ALERTS, NOW)
    return AlertState() if fields is None else read_state(zlib.decompress(await draft.body(fields)).decode())


async def save(draft: Draft, before: AlertState, state: AlertState) -> AlertState:
    """Add the state, and the incidents that differ from the stored state `before`, to the draft; returns the state as
    it will be stored. Raises ChangedMeanwhile if it did not come from the stored version.
    """
    if before.version != state.version:
        raise ChangedMeanwhile
    state = replace(state, version=state.version + 1)
    await put_state(draft, state)
    known = before.by_id()
    changed = {i.id: i for i in state.incidents() if i.opened_us is not None and known.get(i.id) != i}
    await draft.get_all(INCIDENT, map(name_of, changed))
    for incident in changed.values():
        put_incident(draft, name_of(incident.id), incident)
    return state


async def put_state(draft: Draft, state: AlertState) -> None:
    """Replace the state that was read."""
    old = await draft.get(ALERTS, NOW)
    if old is not None:
        draft.drop_parts(old)
    draft.put(ALERTS, NOW, await draft.keep(zlib.compress(STATE_JSON.dump_json(state))))


def put_incident(draft: Draft, name: str, incident: Incident) -> None:
    """Write an incident that has opened; its document must have been read before."""
    until = OPEN_US if incident.status != "resolved" or incident.resolved_us is None else incident.resolved_us
    fields: Fields = {"id": incident.id, "opened_us": incident.opened_us, "until_us": until}
    draft.put(INCIDENT, name, {**fields, "body": INCIDENT_JSON.dump_json(incident).decode()})


async def _edited(draft: Draft, edit: Edit, incident_id: str | None = None) -> list[Incident]:
    """The edited incident (None: all of them), if it was going on; without incidents that the edit removed."""
    before = state = await load(draft)
    ids = [i.id for i in state.incidents() if i.status != "resolved" and incident_id in (None, i.id)]
    for each in ids:
        state = edit(state, state.by_id()[each])
    if ids:
        state = await save(draft, before, state)
    return [incident for incident in state.incidents() if incident.id in ids]
