"""How long single events are kept, written down for the trackers, so that Firestore may delete them by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.firestore.progress import read_progress
from tracker.firestore.expiry import FIELD, expires_at
from tracker.firestore.sink import SLICES

LONGEST_US = 36_500 * 86_400 * 1_000_000
"""More than a hundred years is no span that a calendar ends in."""
_CATCH_UP_US = 2 * 86_400 * 1_000_000
"""For so long after the span has grown, slices are looked for that expire too soon: trackers ask now and then."""
_PAGE = 200


def let_expire(documents: Documents, keep_us: int, now_us: int) -> int:
    """Write the span down; where it is longer than before, what is there expires later. How many slices changed."""
    keep_us, progress = min(keep_us, LONGEST_US), read_progress(documents)
    if keep_us != progress.keep_us:
        longer_us = now_us if 0 < progress.keep_us < keep_us else 0
        documents.commit([replace(progress, keep_us=keep_us, longer_us=longer_us).change()])
        progress = read_progress(documents)  # where another one was faster, the next cleanup does it
    if progress.longer_us and now_us < progress.longer_us + _CATCH_UP_US:
        return _put_off(documents, progress.keep_us)
    return 0


def _put_off(documents: Documents, keep_us: int) -> int:
    after, changed = 0, 0
    while True:
        found = documents.query(
            SLICES, ("start", ">=", after), order=[("start", "ASCENDING")], limit=_PAGE, fields=("start", "end", FIELD)
        )
        for each in found:
            wanted = expires_at(int(each.fields["end"]), keep_us)
            if each.fields.get(FIELD, datetime.max.replace(tzinfo=wanted[FIELD].tzinfo)) < wanted[FIELD]:
                changed += documents.commit([Change(SLICES, each.name, wanted, each.version)])
        if len(found) < _PAGE:
            return changed
        after = max(int(found[-1].fields["start"]), after + 1)
