"""Writing events from within Guardian, as an import or a demonstration does: as the tracker's sink writes them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from guardian.stores.firestore.documents import NEW, Change, Documents, in_commits
from tracker.event import Event
from tracker.firestore.people import People
from tracker.firestore.sink import FEATURES, SLICES, document_name
from tracker.firestore.slices import slices_of, storable


def write(documents: Documents, events: Sequence[Event], *, marks: dict[str, Any] | None = None) -> int:
    """Store events; how many were stored (a poison event costs only itself). `marks` are more fields of each slice."""
    from google.cloud import firestore

    good = [event for event in events if storable(event)]
    ids = documents.ask(lambda client: People(client).ids((event.user, event.at_us) for event in good))
    token = secrets.token_hex(8)
    changes = [
        Change(SLICES, f"{token}-{serial}", {**fields, **(marks or {}), "written": firestore.SERVER_TIMESTAMP}, NEW)
        for serial, fields in enumerate(slices_of(good, lambda event: ids[event.user, event.at_us]), 1)
    ]
    features = {event.feature for event in good}
    changes += [Change(FEATURES, document_name(name), {"name": name}) for name in features]
    for some in in_commits([each] for each in changes):
        documents.commit(some)
    return len(good)
