"""Parts of long messages that a process left behind which died before the message itself was committed.

A part is written before what it belongs to, and marked in the commit of that. One without a mark belongs to nobody, or
to a change that is under way: that one finds its part gone, and is made again.
"""

from __future__ import annotations

from datetime import datetime

from guardian.stores.firestore.alerts import ALERTS
from guardian.stores.firestore.draft import MARK, PARTS, Draft
from guardian.stores.firestore.ledger import REPORT
from guardian.stores.firestore.mails import OUTBOX
from guardian.stores.firestore.queries import Query

_AT_ONCE = 300


async def clear_leftovers(draft: Draft, before: datetime | None) -> int:
    """Delete some parts that belong to nobody and were written before this moment (None: whenever); how many, 0 when
    none is left. Of parts and their owners only the marks are read; of the owners, only where a mark is missing."""
    parts = await draft.find(Query(PARTS, fields=(MARK,)))
    loose = {name for name, fields in parts if MARK not in fields}
    if before is not None:
        loose = {name for name in loose if draft.changed_at(PARTS, name) < before}
    if loose:
        # Before there were marks, only their owners knew them.
        for collection in (OUTBOX, REPORT, ALERTS):
            for _, fields in await draft.find(Query(collection, fields=("parts",))):
                loose.difference_update(fields.get("parts") or ())
    gone = sorted(loose)[:_AT_ONCE]
    for name in gone:
        draft.delete(PARTS, name)
    return len(gone)
