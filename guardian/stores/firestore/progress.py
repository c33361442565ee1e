"""How far sealing and deleting have come, in one document, and which slices still have to be sealed. All 5-minute
buckets before `until_us` are sealed, except those that received a late slice. A slice is late if it was written after
`mark_us` and is not in `sealed`, which maps the sealed slices written after `mark_us` to their write times. The mark
stays a minute behind, because a slice becomes visible up to some seconds after its timestamp by Firestore's clock.
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

_SEALED, _COUNT, _PACK, _DAY = (struct.Struct(each) for each in (">Qq", ">qq", ">qq", ">q"))
_STATE = ("until_us", "forgotten_us", "mark_us", "emptied_us", "bared_us", "sealed", "unjoined")
"""Each sealing, deleting or rewriting changes one of these fields."""
BEHIND_US = 60 * 1_000_000
"""How far the mark stays behind the time of reading."""


@dataclass(frozen=True)
class Progress:
    """The document. `unjoined` are the hours and days, as (length, start), that have yet to be joined from shorter
    buckets.

    Errors before `cleared_us` have lost their text; in sealed buckets this is done up to `bared_us`, and purged failed
    requests are removed up to `emptied_us`. `purged` counts the deleted events, `unsaid` those of them not yet reported
    to a caller. Single events expire a little later than `keep_us` after their end (0: never); `longer_us` is when that
    span last grew. `counts` has the events of each day that are sealed and not purged, by the day's start, without what
    joining the day will still add; None where they have to be counted. `packs` has the token of each pack by its start
    (guardian.stores.firestore.packs), `unpacked` the days that these do not have as they are now; None where nobody
    knows.
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
    counts: Mapping[int, int] | None = field(default_factory=dict)
    packs: Mapping[int, int] | None = field(default_factory=dict)
    unpacked: frozenset[int] = frozenset()
    version: Any = NEW
    read_us: int = 0

    def change(self) -> Change:
        """The change that writes it, unless somebody else has written it since."""
        fields: dict[str, Any] = {
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
            "counts": _packed_counts(self.counts, self.until_us),
        }
        if self.packs is None:
            fields |= {"packs": b"", "unpacked": b""}
        else:
            fields["packs"] = _digest(fields) + b"".join(_PACK.pack(*each) for each in sorted(self.packs.items()))
            fields["unpacked"] = b"".join(map(_DAY.pack, sorted(self.unpacked)))
        return Change(META, PROGRESS, fields, self.version)

    def kept(self, failed: Table) -> Table:
        """The failed requests of sealed buckets that still count, whatever else the buckets hold."""
        failed = failed.where(np.flatnonzero(failed.rows[:, AT] >= self.purged_us))
        return bare(failed, wordy(failed, self.cleared_us))

    def with_stale(self, starts: Sequence[int], spans: Sequence[int]) -> Progress:
        """The progress with the hours and days around these moments marked to be joined."""
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
        counts=_counts_in(fields.get("counts", b""), int(fields["until_us"])),
        packs=_packs_in(fields),
        unpacked=frozenset(day for (day,) in _DAY.iter_unpack(fields.get("unpacked", b""))),
        version=found.version,
        read_us=micros(found.read_at) if found.read_at is not None else 0,
    )


def _packed_counts(counts: Mapping[int, int] | None, until_us: int) -> bytes:
    """The field, with how far all was sealed then: an earlier version of this program that seals leaves it alone."""
    if counts is None:
        return b""
    return b"".join(_COUNT.pack(*each) for each in [(until_us, 0), *sorted(counts.items())])


def _counts_in(packed: bytes, until_us: int) -> dict[int, int] | None:
    (then_us, _), *counts = _COUNT.iter_unpack(packed) if packed else [(-1, 0)]
    return dict(counts) if then_us == until_us else None


def _digest(fields: Mapping[str, Any]) -> bytes:
    """What tells whether a version of this program that knows no packs has changed something since."""
    return blake2b(repr([fields[name] for name in _STATE]).encode(), digest_size=8).digest()


def _packs_in(fields: Mapping[str, Any]) -> dict[int, int] | None:
    digest, packs = fields.get("packs", b"")[:8], fields.get("packs", b"")[8:]
    return dict(_PACK.iter_unpack(packs)) if digest == _digest(fields) else None


def number_of(name: str) -> int:
    """The key of a slice in `sealed`."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def late_slices(documents: Documents, progress: Progress) -> list[Found]:
    """The late slices: of sealed 5 minutes, but in no seal. Without their events."""
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
    """The first slices with events of [start, end), in order of time; may include some from around it."""
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
    """The events of these slices, without expired ones, which Firestore deletes within a day or so."""
    return table_of((each.name, each.fields) for each in found if _is_there(each))


def _is_there(found: Found) -> bool:
    until = found.fields.get(FIELD)
    return until is None or found.read_at is None or bool(until > found.read_at)
