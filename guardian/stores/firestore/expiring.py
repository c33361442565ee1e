"""Writes down how long single events are kept, so that trackers can set the time after which Firestore deletes them
itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.firestore.progress import read_progress
from tracker.firestore.expiry import FIELD, expires_at
from tracker.firestore.sink import SLICES

LONGEST_US = 36_500 * 86_400 * 1_000_000
"""A hundred years: a longer span would exceed the calendar."""
_CATCH_UP_US = 2 * 86_400 * 1_000_000
"""How long after the span grew to keep looking for slices that expire too soon: trackers read the new span with a
delay."""
_PAGE = 200


def let_expire(documents: Documents, keep_us: int, now_us: int) -> int:
    """Write the span down. If it has grown, existing slices get a later expiry; returns how many."""
    keep_us, progress = min(keep_us, LONGEST_US), read_progress(documents)
    if keep_us != progress.keep_us:
        longer_us = now_us if 0 < progress.keep_us < keep_us else 0
        documents.commit([replace(progress, keep_us=keep_us, longer_us=longer_us).change()])
        progress = read_progress(documents)  # if another process was faster, the next cleanup does it
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
