"""The state store on Firestore, in the database of the events."""

from __future__ import annotations

from datetime import datetime

from guardian.core.time import micros
from guardian.stores.firestore.database import name_of
from guardian.stores.firestore.draft import Draft
from guardian.stores.firestore.forgetting import UNSUBSCRIBED, FirestoreForgetting
from guardian.stores.firestore.lease import FirestoreLease
from guardian.stores.firestore.ledger import FirestoreLedger
from guardian.stores.firestore.outbox import FirestoreOutbox
from guardian.stores.firestore.queries import Query


class FirestoreStateStore(FirestoreLease, FirestoreLedger, FirestoreOutbox, FirestoreForgetting):
    """`StateStore` in one database of Firestore."""

    async def unsubscribe(self, schedule: str, recipient: str, *, wanted: bool, now: datetime) -> None:
        """See StateStore."""
        name = name_of(schedule, recipient)

        async def work(draft: Draft) -> None:
            known = await draft.get(UNSUBSCRIBED, name)
            if wanted and known is not None:
                draft.delete(UNSUBSCRIBED, name)
            elif not wanted and known is None:
                fields = {"schedule": schedule, "recipient": recipient, "at_us": micros(now)}
                draft.put(UNSUBSCRIBED, name, fields)

        await self.transact(work)

    async def unsubscribed(self, schedule: str) -> set[str]:
        """See StateStore."""
        found = await self.find(Query(UNSUBSCRIBED, (("schedule", "==", schedule),)))
        return {str(each["recipient"]) for each in found}
