"""The part of `Moving` on Firestore for imported events, whose marks are kept in their slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from guardian.stores.firestore.documents import Change, Documents, Found
from guardian.stores.firestore.importing import IMPORTS, imported_until, is_own
from guardian.stores.firestore.progress import slices_between
from guardian.stores.importing import IMPORTED
from guardian.stores.moving import STRETCH_US, Recorded
from tracker.firestore.expiry import META
from tracker.firestore.sink import SLICES


def stretch_of(found: Found) -> int:
    """The start of the stretch of a slice, µs."""
    return int(found.fields["start"]) // STRETCH_US * STRETCH_US


def note_imported(documents: Documents, recorded: Iterable[Recorded]) -> None:
    """Record where the imported past ends, before these events are written, so that rules leave them out."""
    moments = (each.event.at_us for each in recorded if each.source is not None and each.source.instance == IMPORTED)
    until_us = max((at_us + 1 for at_us in moments), default=0)
    if until_us > imported_until(documents):
        documents.commit([Change(META, IMPORTS, {"until_us": until_us})])


def read_marks(documents: Documents) -> list[dict[str, Any]]:
    """The rows of the table of marks: one for each stretch, sorted."""
    found = defaultdict[int, list[bytes]](list)
    until_us = imported_until(documents)
    before = documents.query(SLICES, ("start", "<", until_us), fields=("start", "marks")) if until_us else []
    for each in before:
        found[stretch_of(each)].append(bytes(each.fields.get("marks", b"")))
    joined = {start: np.sort(np.frombuffer(b"".join(some), "<u8")).tobytes() for start, some in found.items()}
    return [{"start_us": start, "marks": marks} for start, marks in sorted(joined.items()) if marks]


def changes_of(documents: Documents, marks: Mapping[int, bytes]) -> list[Change]:
    """The changes that distribute each stretch's marks over its imported slices. Marks of deleted events are
    dropped."""
    changes = []
    for start, packed in marks.items():
        found = slices_between(documents, start, start + STRETCH_US)
        mine = [each for each in found if not is_own(each) and stretch_of(each) == start]
        parts = np.array_split(np.frombuffer(packed, "<u8"), len(mine)) if mine else []
        for each, part in zip(mine, parts, strict=True):
            changes.append(Change(SLICES, each.name, {"marks": part.tobytes()}, each.version))
    return changes
