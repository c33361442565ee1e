"""Erasing people from the state in Firestore, and deleting what is old, in pieces."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from guardian.alerting.forgetting import incident_without, state_without
from guardian.core.off_loop import off_loop
from guardian.core.report.people import text_without
from guardian.core.time import micros
from guardian.stores.alert_state import read_incident
from guardian.stores.erasure import Forgotten, digest, spellings
from guardian.stores.firestore.alerts import INCIDENT, USED_LINK, load, put_incident, put_state
from guardian.stores.firestore.database import StateDatabase, meta
from guardian.stores.firestore.draft import Draft
from guardian.stores.firestore.ledger import REPORT
from guardian.stores.firestore.leftovers import clear_leftovers
from guardian.stores.firestore.mails import OUTBOX, message_of, text_of
from guardian.stores.firestore.queries import Query
from guardian.stores.firestore.sign_ins import end_sessions
from guardian.stores.firestore.stones import buried, bury
from guardian.stores.firestore.watching import OUTAGE, WATCH
from guardian.stores.forgetting import may_say, message_without

UNSUBSCRIBED = "guardian_unsubscribed"
_PAGE, _AT_ONCE = 30, 300


class FirestoreForgetting(StateDatabase):
    """The part of `StateStore` that erases people and deletes old data."""

    async def forget(
        self,
        *names: str,
        rules: Collection[str] = (),
        recipients: Collection[str] = (),
        buried_at: datetime | None = None,
    ) -> Forgotten:
        """See StateStore."""
        people = spellings(names)
        kept = {each.lower() for each in recipients}
        gone = frozenset(name.lower() for name in people if "@" in name and name.lower() not in kept)

        async def alerting(draft: Draft) -> Forgotten:
            if buried_at is not None:
                await bury(draft, people, micros(buried_at))
            unsubscribed = await _leave(draft, gone)
            state = state_without(await load(draft), people, rules, gone)
            # A new version even if nothing named them: the minute being judged right now may.
            await put_state(draft, replace(state, version=state.version + 1))
            incidents = await _from_incidents(draft, people, rules, gone)
            return Forgotten(incidents=incidents, unsubscribed=unsubscribed)

        found = await self.transact(alerting)
        found += await self._each(OUTBOX, lambda draft, name: _mail_without(draft, name, people, gone))
        found += await self._each(REPORT, lambda draft, name: _report_without(draft, name, people))
        await self._clear_leftovers(None)  # cannot be searched for names
        return found

    async def _each(self, collection: str, change: Any) -> Forgotten:
        """Apply `change` to each document of a collection that is numbered in ascending order."""
        found, after = Forgotten(), 0
        while True:
            query = Query(collection, (("id", ">", after),), (("id", False),), _PAGE, ("id",))
            page = await self.read(lambda draft, query=query: draft.find(query))  # type: ignore[misc]
            for name, fields in page:
                after = fields["id"]
                found += await self.transact(lambda draft, name=name: change(draft, name))  # type: ignore[misc]
            if len(page) < _PAGE:
                return found

    async def settle_erasures(self) -> bool:
        """See StateStore: a changed Firestore document leaves no old copy behind."""
        return True

    async def unsettled_erasures(self) -> int:
        """See StateStore."""
        return 0

    async def erased_since(self, names: Collection[str], since: datetime) -> set[str]:
        """See StateStore."""
        people = await off_loop(spellings, names)
        return await self.read(lambda draft: buried(draft, people, micros(since)))

    async def erasures(self) -> tuple[int, ...]:
        """See StateStore."""
        return (int((await self.read(meta))["erasures"]),)

    async def purge_state(self, before: datetime, *, incidents_before: datetime) -> int:
        """See StateStore."""
        at, ended = micros(before), micros(incidents_before)
        mails, reports, incidents = await self._old(at, ended)
        watched = [
            name
            for name, each in await self.read(lambda draft: draft.find(Query(WATCH)))
            if max(each["claimed_us"] or 0, each["told_us"] or 0) < at
        ]
        used = Query(USED_LINK, (("used_us", "<", ended),), fields=("used_us",))
        links = [name for name, _ in await self.read(lambda draft: draft.find(used))]
        for collection, old in (
            (OUTBOX, mails), (REPORT, reports), (INCIDENT, incidents), (WATCH, watched), (USED_LINK, links),
        ):  # fmt: skip
            for first in range(0, len(old), _AT_ONCE):
                await self._delete(collection, old[first : first + _AT_ONCE])
        return len(mails) + len(reports) + len(incidents)

    async def purge_unfinished(self, before: datetime) -> int:
        """See StateStore. The moment is compared with Firestore's clock."""
        return await self._clear_leftovers(before)

    async def _clear_leftovers(self, before: datetime | None) -> int:
        gone = 0
        while some := await self.transact(lambda draft: clear_leftovers(draft, before)):
            gone += some
        return gone

    async def count_old(self, before: datetime, *, incidents_before: datetime) -> int:
        """See StateStore."""
        return sum(map(len, await self._old(micros(before), micros(incidents_before))))

    async def _old(self, at_us: int, ended_us: int) -> tuple[list[str], list[str], list[str]]:
        """The document names of old messages, reports and incidents."""

        async def work(draft: Draft) -> tuple[list[str], list[str], list[str]]:
            old = (("created_us", "<", at_us),)
            mails = await draft.find(Query(OUTBOX, old, fields=("status", "created_us")))
            reports = await draft.find(Query(REPORT, old, fields=("created_us",)))
            over = (("until_us", "<", ended_us),)
            incidents = await draft.find(Query(INCIDENT, over, fields=("until_us",)))
            done = [name for name, each in mails if each["status"] != "pending"]
            return done, [name for name, _ in reports], [name for name, _ in incidents]

        return await self.read(work)

    async def _delete(self, collection: str, names: list[str]) -> None:
        async def work(draft: Draft) -> None:
            for name, fields in (await draft.get_all(collection, names, ["parts", "status"])).items():
                if fields.get("status") != "pending":  # such as one that was sent again
                    draft.drop_parts(fields)
                    draft.delete(collection, name)

        await self.transact(work)


async def _leave(draft: Draft, gone: Collection[str]) -> int:
    """Remove people who get no more mail from the notes about recipients. Returns how many unsubscriptions were
    removed."""
    if not gone:
        return 0
    for address in gone:
        await end_sessions(draft, address)
    for name, each in await draft.find(Query(OUTAGE)):
        mine = each["recipient"].lower() in gone and each["channel"] == "mail"
        if mine or any(told["recipient"].lower() in gone for told in each["audience"]):
            draft.delete(OUTAGE, name)
    left = [name for name, each in await draft.find(Query(UNSUBSCRIBED)) if each["recipient"].lower() in gone]
    for name in left:
        draft.delete(UNSUBSCRIBED, name)
    return len(left)


async def _from_incidents(draft: Draft, people: Collection[str], rules: Collection[str], gone: Collection[str]) -> int:
    changed = 0
    for name, fields in await draft.find(Query(INCIDENT)):
        if not may_say(fields["body"], people):
            continue
        before = read_incident(fields["body"])
        after = incident_without(before, people, rules, gone)
        changed += after != before
        if after is None:
            draft.delete(INCIDENT, name)
        elif after != before:
            put_incident(draft, name, after)
    return changed


async def _mail_without(draft: Draft, name: str, people: Collection[str], gone: Collection[str]) -> Forgotten:
    fields = await draft.get(OUTBOX, name)
    if fields is None:
        return Forgotten()
    message = message_of(fields, await draft.body(fields))
    if message.channel == "mail" and message.recipient.lower() in gone:
        draft.drop_parts(fields)
        draft.delete(OUTBOX, name)
        return Forgotten(mails=1, bodies={digest(message.body): None})
    new = await off_loop(message_without, message, people)
    if new is message:
        return Forgotten()
    draft.drop_parts(fields)
    draft.put(OUTBOX, name, await text_of(draft, new))
    return Forgotten(mails=1, bodies={digest(message.body): new.body})


async def _report_without(draft: Draft, name: str, people: Collection[str]) -> Forgotten:
    fields = await draft.get(REPORT, name)
    if fields is None:
        return Forgotten()
    text = zlib.decompress(await draft.body(fields))
    new = await off_loop(text_without, text, people)
    if new is text:
        return Forgotten()
    draft.drop_parts(fields)
    draft.put(REPORT, name, await draft.keep(zlib.compress(new)))
    return Forgotten(reports=1)
