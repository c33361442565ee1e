"""Single events from Firestore in order of time, in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from guardian.stores.firestore.buckets import MINUTES5
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.progress import as_table, slices_between
from guardian.stores.firestore.slices import Table

CHUNK = 5_000
"""How many events a piece has at most."""
_SLICES = 200


def tables_between(documents: Documents, start_us: int, end_us: int) -> Iterator[Table]:
    """The single events of [start, end) in order of time, in pieces."""
    first = start_us
    while found := slices_between(documents, first, end_us, limit=_SLICES):
        full = len(found) == _SLICES
        last = int(found[-1].fields["start"]) // MINUTES5 * MINUTES5
        if full:
            # More slices may follow for the 5 minutes of the last one.
            found = [each for each in found if each.fields["start"] < last] or slices_between(
                documents, last, last + MINUTES5
            )
            last = int(found[-1].fields["start"]) // MINUTES5 * MINUTES5
        table = as_table(found).between(start_us, end_us)
        for at in range(0, len(table), CHUNK):
            yield table.where(np.arange(at, min(at + CHUNK, len(table))))
        if not full:
            return
        first = last + MINUTES5
