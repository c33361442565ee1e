"""The outbox in Firestore: messages waiting for delivery, their attempts, and their outcome."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from guardian.core.clock import LONGEST_WAIT, is_over
from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.core.time import micros, moment
from guardian.stores.erasure import named
from guardian.stores.firestore.database import StateDatabase
from guardian.stores.firestore.draft import Draft, Fields
from guardian.stores.firestore.mails import LIGHT, OUTBOX, item_of, place_of, put_mails
from guardian.stores.firestore.queries import Query
from guardian.stores.firestore.stones import buried
from guardian.stores.forgetting import message_without
from guardian.stores.state import FAITHFUL_TRIES, PATIENCE

STATUSES = ("pending", "sent", "dead", "dropped")
PENDING = Query(OUTBOX, (("status", "==", "pending"),), fields=LIGHT)
"""Everything that waits: a part is not enough to tell which message is next for a recipient."""
_FREE: Fields = {"holder": None, "lease_us": None}


class FirestoreOutbox(StateDatabase):
    """The part of `StateStore` that keeps mails and messages."""

    async def enqueue(
        self, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None, since: datetime | None = None
    ) -> int:
        """See StateStore."""

        async def work(draft: Draft) -> int:
            gone = set() if since is None else await buried(draft, named(mails), micros(since))
            return await put_mails(draft, [message_without(m, gone) for m in mails] if gone else mails, micros(now))

        return await self.transact(work, token=token)

    async def claim_due(
        self,
        now: datetime,
        *,
        holder: str,
        lease: timedelta,
        limit: int,
        channel: str | None = None,
        besides: Collection[str] = (),
        resting: Collection[str] = (),
    ) -> list[OutboxItem]:
        """See StateStore. If two processes claim at once, one succeeds and the other starts over."""

        async def work(draft: Draft) -> list[str]:
            first: dict[Any, tuple[str, Fields]] = {}
            for name, each in sorted(await draft.find(PENDING), key=lambda found: int(found[1]["id"])):
                if channel in (None, each["channel"]) and each["channel"] not in besides:
                    lane = each["channel"], each["recipient"], each["kind"] == "report", each["attempts"] >= PATIENCE
                    first.setdefault(lane, (name, each))
            due = sorted((_urgency(each), name) for name, each in first.values() if _is_due(each, now, resting))[:limit]
            for _, name in due:
                draft.put(OUTBOX, name, {"holder": holder, "lease_us": micros(now + lease)})
            return [name for _, name in due]

        names = await self.transact(work)
        if not names:
            return []

        async def claimed(draft: Draft) -> list[OutboxItem]:
            found = await draft.get_all(OUTBOX, names)
            mine = [found[name] for name in names if name in found and found[name]["holder"] == holder]
            return [item_of(fields, await draft.body(fields)) for fields in mine]

        return await self.read(claimed)

    async def mark_sent(self, item: OutboxItem, *, holder: str, now: datetime, transport: str) -> None:
        """See StateStore."""

        def sent(fields: Fields) -> Fields | None:
            tries = fields["attempts"] + 1
            values = {"status": "sent", "sent_us": micros(now), "transport": transport, "attempts": tries}
            return None if fields["status"] == "sent" else {**values, "last_error": None, **_FREE}

        await self._change(item, sent)

    async def mark_failed(
        self,
        item: OutboxItem,
        *,
        holder: str,
        now: datetime,
        error: str,
        retry_at: datetime | None,
        transport: str | None,
    ) -> None:
        """See StateStore. Changes nothing if another holder has the item by now, or it no longer waits."""

        def failed(fields: Fields) -> Fields | None:
            if (fields["status"], fields["holder"]) != ("pending", holder):
                return None
            values = {"transport": transport, "attempts": fields["attempts"] + 1, "last_error": error}
            status = "dead" if retry_at is None else "pending"
            return {**values, "status": status, "next_us": micros(retry_at or now), **_FREE}

        await self._change(item, failed)

    async def outbox(self, *, status: str | None = None, limit: int = 100) -> list[OutboxItem]:
        """See StateStore."""
        where = () if status is None else (("status", "==", status),)
        return await self._items(Query(OUTBOX, where, (("id", True),), limit))

    async def outbox_item(self, item_id: int) -> OutboxItem | None:
        """See StateStore."""
        items = await self._items(_numbered(item_id))
        return items[0] if items else None

    async def _items(self, query: Query) -> list[OutboxItem]:
        async def work(draft: Draft) -> list[OutboxItem]:
            return [item_of(fields, await draft.body(fields)) for _, fields in await draft.find(query)]

        return await self.read(work)

    async def retry(self, item_id: int, now: datetime) -> bool:
        """See StateStore."""

        def again(fields: Fields) -> Fields | None:
            leased = fields["lease_us"] is not None and fields["lease_us"] > micros(now)
            if fields["status"] == "sent" or fields["unwritten"] or leased:
                return None
            return {"status": "pending", "next_us": micros(now), "attempts": 0, **_FREE}

        return await self._change(item_id, again)

    async def drop(self, item_id: int, now: datetime) -> bool:
        """See StateStore."""
        return await self._change(
            item_id, lambda fields: {"status": "dropped", **_FREE} if fields["status"] in ("pending", "dead") else None
        )

    async def _change(self, item: OutboxItem | int, change: Callable[[Fields], Fields | None]) -> bool:
        """Write the new values that `change` gives for an item; whether there were any."""

        async def work(draft: Draft) -> bool:
            if isinstance(item, int):
                found = await draft.find(_numbered(item))
            else:
                name = place_of(item.message.key)
                fields = await draft.get(OUTBOX, name)
                found = [] if fields is None or fields["id"] != item.id else [(name, fields)]
            values = change(found[0][1]) if found else None
            if values is None:
                return False
            draft.put(OUTBOX, found[0][0], values)
            return True

        return await self.transact(work)

    async def outbox_counts(self) -> dict[str, int]:
        """See StateStore."""

        async def work(draft: Draft) -> dict[str, int]:
            return {each: await draft.count(Query(OUTBOX, (("status", "==", each),))) for each in STATUSES}

        return await self.read(work)


def _numbered(item_id: int) -> Query:
    return Query(OUTBOX, (("id", "==", item_id),), limit=1)


def _is_due(fields: Fields, now: datetime, resting: Collection[str]) -> bool:
    """Whether it may be tried now. An item that was never tried is always due, whatever its time: clocks get set."""
    due = not fields["attempts"] or is_over(moment(fields["next_us"]), now, LONGEST_WAIT)
    free = fields["lease_us"] is None or is_over(moment(fields["lease_us"]), now, LONGEST_WAIT)
    return due and free and (fields["transport"] not in resting or fields["attempts"] >= FAITHFUL_TRIES)


def _urgency(fields: Fields) -> tuple[bool, bool, bool, int]:
    """Alerts before reports, the gravest first, then the oldest."""
    grave = fields["severity"]
    return fields["kind"] == "report", grave != "critical", grave not in ("critical", "warning"), int(fields["id"])
