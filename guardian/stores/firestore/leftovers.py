"""Parts of long messages left behind by a process that died before it committed the message. A part is written before
its owner, and marked by the owner's commit. A part without a mark is an orphan, or belongs to a change in progress; if
it is removed, that change fails and is made again.
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
    """Delete some of the orphaned parts written before this moment (None: at any time). Returns how many; 0 when none
    is left. Reads only the marks of parts, and their owners only where a mark is missing."""
    parts = await draft.find(Query(PARTS, fields=(MARK,)))
    loose = {name for name, fields in parts if MARK not in fields}
    if before is not None:
        loose = {name for name in loose if draft.changed_at(PARTS, name) < before}
    if loose:
        # Parts from before there were marks are known to their owners only.
        for collection in (OUTBOX, REPORT, ALERTS):
            for _, fields in await draft.find(Query(collection, fields=("parts",))):
                loose.difference_update(fields.get("parts") or ())
    gone = sorted(loose)[:_AT_ONCE]
    for name in gone:
        draft.delete(PARTS, name)
    return len(gone)
