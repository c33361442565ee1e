"""How far sealing and deleting have come, in one document, and the slices that follows from it.

Every 5 minutes before `until_us` are sealed, but for those into which a slice has come late. Such a one was written
after `mark_us` and is not among `sealed`, which holds the slices written after it that are in seals, and when each was
written. Between a slice's time by Firestore's clock and the moment from which it is seen pass seconds: the mark stays
a minute behind.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from guardian.core.time import micros
from guardian.stores.firestore.buckets import MINUTES5
from guardian.stores.firestore.documents import NEW, Change, Documents, Found, as_time
from guardian.stores.firestore.slices import AT, Table, bare, table_of, wordy
from tracker.firestore.expiry import FIELD, KEEP, META, PROGRESS
from tracker.firestore.sink import SLICES

_SEALED = struct.Struct(">Qq")
BEHIND_US = 60 * 1_000_000
"""How far the mark stays behind what was read."""


@dataclass(frozen=True)
class Progress:
    """The document. `unjoined` are the starts of hours and days, as (length, start), to be made of shorter buckets.

    Errors before `cleared_us` have no text any more; sealed buckets are brought to that up to `bared_us`, and have lost
    the failed requests that were purged up to `emptied_us`. `purged` counts the events that were deleted, `unsaid`
    those of them of which nobody was told. Single events expire `keep_us` after they ended, and a little (0: never);
    since `longer_us` that is longer than before.
    """

    until_us: int = 0
    purged_us: int = 0
    forgotten_us: int = 0
    mark_us: int = 0
    cleared_us: int = 0
    emptied_us: int = 0
    bared_us: int = 0
    sealed: Mapping[int, int] = field(default_factory=dict)
    unjoined: frozenset[tuple[int, int]] = frozenset()
    purged: int = 0
    unsaid: int = 0
    keep_us: int = 0
    longer_us: int = 0
    version: Any = NEW
    read_us: int = 0

    def change(self) -> Change:
        """What writes it, where nobody else has since it was read."""
        fields = {
            "until_us": self.until_us,
            "purged_us": self.purged_us,
            "forgotten_us": self.forgotten_us,
            "mark_us": self.mark_us,
            "cleared_us": self.cleared_us,
            "emptied_us": self.emptied_us,
            "bared_us": self.bared_us,
            "sealed": b"".join(
                _SEALED.pack(number, at) for number, at in sorted(self.sealed.items()) if at > self.mark_us
            ),
            "unjoined": [f"{span}:{start}" for span, start in sorted(self.unjoined)],
            "purged": self.purged,
            "unsaid": self.unsaid,
            KEEP: self.keep_us,
            "longer_us": self.longer_us,
        }
        return Change(META, PROGRESS, fields, self.version)

    def kept(self, failed: Table) -> Table:
        """What of the failed requests of sealed buckets is left, whatever these still say."""
        failed = failed.where(np.flatnonzero(failed.rows[:, AT] >= self.purged_us))
        return bare(failed, wordy(failed, self.cleared_us))

    def with_stale(self, starts: Sequence[int], spans: Sequence[int]) -> Progress:
        """The same with the longer buckets around these moments to be joined."""
        longer = {(span, start // span * span) for start in starts for span in spans}
        return replace(self, unjoined=self.unjoined | longer)


def read_progress(documents: Documents) -> Progress:
    """The document as it is now."""
    found = documents.get(META, PROGRESS)
    if found is None:
        return Progress()
    fields, packed = found.fields, found.fields["sealed"]
    return Progress(
        until_us=int(fields["until_us"]),
        purged_us=int(fields["purged_us"]),
        forgotten_us=int(fields["forgotten_us"]),
        mark_us=int(fields["mark_us"]),
        cleared_us=int(fields["cleared_us"]),
        emptied_us=int(fields["emptied_us"]),
        bared_us=int(fields["bared_us"]),
        sealed=dict(_SEALED.iter_unpack(packed)),
        unjoined=frozenset((int(span), int(at)) for span, at in (each.split(":") for each in fields["unjoined"])),
        purged=int(fields["purged"]),
        unsaid=int(fields["unsaid"]),
        keep_us=int(fields.get(KEEP, 0)),
        longer_us=int(fields.get("longer_us", 0)),
        version=found.version,
        read_us=micros(found.read_at) if found.read_at is not None else 0,
    )


def number_of(name: str) -> int:
    """What stands for a slice among `sealed`."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def late_slices(documents: Documents, progress: Progress) -> list[Found]:
    """The slices of sealed 5 minutes that are in no seal, without their events."""
    if not progress.until_us:
        return []
    found = documents.query(SLICES, ("written", ">", as_time(progress.mark_us)), fields=("start",))
    return [
        each
        for each in found
        if progress.purged_us <= each.fields["start"] < progress.until_us
        and number_of(each.name) not in progress.sealed
    ]


def stale_buckets(late: Sequence[Found]) -> list[int]:
    """The starts of the 5 minutes that these slices belong to, in order."""
    return sorted({int(each.fields["start"]) // MINUTES5 * MINUTES5 for each in late})


def slices_between(documents: Documents, start_us: int, end_us: int, *, limit: int | None = None) -> list[Found]:
    """The slices with events of [start, end), and maybe some around it, in the order of time; the first so many."""
    if start_us >= end_us:
        return []
    first = max(0, start_us) // MINUTES5 * MINUTES5
    return documents.query(
        SLICES, ("start", ">=", first), ("start", "<", min(end_us, 2**62)), order=[("start", "ASCENDING")], limit=limit
    )


def read_table(documents: Documents, start_us: int, end_us: int) -> Table:
    """The single events of [start, end)."""
    found = slices_between(documents, start_us, end_us)
    return as_table(found).between(max(start_us, 0), min(end_us, 2**62))


def as_table(found: Sequence[Found]) -> Table:
    """The events of these slices, but for those that have expired: Firestore deletes them within a day or so."""
    return table_of((each.name, each.fields) for each in found if _is_there(each))


def _is_there(found: Found) -> bool:
    until = found.fields.get(FIELD)
    return until is None or found.read_at is None or bool(until > found.read_at)
