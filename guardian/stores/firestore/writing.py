"""Writing events from within Guardian, for imports and demonstrations, in the format of the tracker's sink."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from guardian.stores.firestore.buckets import MINUTES5
from guardian.stores.firestore.documents import NEW, Change, Documents, in_commits
from guardian.stores.firestore.progress import read_progress
from tracker.event import Event
from tracker.firestore.expiry import expires_at
from tracker.firestore.people import People
from tracker.firestore.sink import FEATURES, SLICES, document_name
from tracker.firestore.slices import slices_of, storable

Fields = dict[str, Any]


def write(documents: Documents, events: Sequence[Event]) -> int:
    """Store events. Returns how many were stored: an event that cannot be stored is skipped."""
    return write_with(documents, events, lambda client: People(client))


def write_with(
    documents: Documents,
    events: Sequence[Event],
    people: Callable[[Any], People],
    *,
    more: Mapping[str, Any] | None = None,
    marks: Mapping[int, Sequence[int]] | None = None,
) -> int:
    """The same with a given client and `people` to look up ids. `more` are additional fields of each slice. `marks`,
    keyed by the start of 5 minutes, are stored in the same commit with their slices, as 8-byte little-endian
    numbers."""
    from google.cloud import firestore

    good = [event for event in events if storable(event)]
    ids = documents.ask(lambda client: people(client).ids((event.user, event.at_us) for event in good))
    slices = list(slices_of(good, lambda event: ids[event.user, event.at_us]))
    if marks is not None:
        _put_marks(slices, marks)
    token, written = secrets.token_hex(8), {**(more or {}), "written": firestore.SERVER_TIMESTAMP}
    keep_us = read_progress(documents).keep_us
    named = [
        (f"{token}-{serial}", {**fields, **written, **expires_at(fields["end"], keep_us)})
        for serial, fields in enumerate(slices, 1)
    ]
    groups = [
        [Change(SLICES, name, fields, NEW) for name, fields in some]
        for _, some in groupby(named, key=lambda each: _stretch(each[1]))
    ]
    features = {event.feature for event in good}
    groups += [[Change(FEATURES, document_name(name), {"name": name})] for name in features]
    for some in in_commits(groups):
        documents.commit(some)
    return len(good)


def _stretch(fields: Mapping[str, Any]) -> int:
    return int(fields["start"]) // MINUTES5 * MINUTES5


def _put_marks(slices: Sequence[Fields], marks: Mapping[int, Sequence[int]]) -> None:
    """Distribute a stretch's marks over its slices, so that none grows too large."""
    for start, some in groupby(slices, key=_stretch):
        mine = list(some)
        parts = np.array_split(np.array(marks.get(start, ()), "<u8"), len(mine))
        for fields, part in zip(mine, parts, strict=True):
            fields["marks"] = part.tobytes()
