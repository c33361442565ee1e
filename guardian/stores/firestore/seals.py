"""Sealed buckets as documents: the totals of 5 minutes, an hour or a day, with dictionaries of their own.

A bucket is one blob, in as many documents as its size asks for, named by its length, its start and their number, so
that a range of names is a range of time and needs no index. Each has the blob's token: documents of a blob that was
replaced by a shorter one are passed over.
"""

from __future__ import annotations

import json
import secrets
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from guardian.core import codec
from guardian.core.storage import StorageError
from guardian.core.summary import Route
from guardian.core.totals import Part, Totals
from guardian.stores.firestore.documents import Change, Documents, Found
from guardian.stores.firestore.slices import names_in
from tracker.firestore.slices import MOST_BYTES, packed_names

MINUTES5, HOUR, DAY = (seconds * 1_000_000 for seconds in (300, 3600, 86400))
SPANS = (DAY, HOUR, MINUTES5)
"""The lengths of buckets, longest first; each is a multiple of the next."""
SEALS = "guardian_seals"
_LETTER = {DAY: "d", HOUR: "h", MINUTES5: "m"}
_HEAD = struct.Struct("<I")


@dataclass(frozen=True)
class Seal:
    """A bucket of length `span` that begins at `start`: its totals, whose people and routes are places in `people`
    (their ids) and `routes`."""

    span: int
    start: int
    totals: Totals
    people: np.ndarray
    routes: Sequence[Route]

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + self.span


def joined(span: int, start: int, parts: Sequence[Seal]) -> Seal:
    """The bucket that these shorter ones, in the order of time, are all of."""
    ids = np.unique(np.concatenate([part.people for part in parts]))
    numbers: dict[Route, int] = {}
    found = []
    for part in parts:
        places = np.array([numbers.setdefault(each, len(numbers)) for each in part.routes], np.int64)
        found.append(renumbered(part.totals, np.searchsorted(ids, part.people), places))
    return Seal(span, start, Totals.merge(found), ids, list(numbers))


def renumbered(totals: Totals, people: np.ndarray, routes: np.ndarray) -> Totals:
    """The same totals under other numbers: those of the people and routes at each place, all different."""
    users, used, statuses, durations = (
        table.copy() for table in (totals.users, totals.used, totals.statuses, totals.durations)
    )
    for table, column, numbers in (
        (users, 0, people), (used, 0, people), (used, 1, routes), (statuses, 0, routes), (durations, 0, routes),
    ):  # fmt: skip
        if len(table):
            table[:, column] = numbers[table[:, column]]
    return Totals(
        users[np.argsort(users[:, 0], kind="stable")],
        *(table[np.lexsort((table[:, 1], table[:, 0]))] for table in (used, statuses, durations)),
    )


def changes(seal: Seal) -> list[Change]:
    """What writes this bucket, in place of what is there; one without requests goes."""
    name = _name(seal.span, seal.start, 0)
    if not len(seal.totals.users):
        return [Change(SEALS, name, None)]
    sections = {part.name: body for part, body in seal.totals.pack().items()}
    sections["ids"] = codec.pack([seal.people])
    sections["names"] = packed_names([], list(seal.routes), [])
    head = json.dumps({"version": 1, "sections": [[key, len(body)] for key, body in sections.items()]}).encode()
    blob = b"".join([_HEAD.pack(len(head)), head, *sections.values()])
    pieces = [blob[first : first + MOST_BYTES] for first in range(0, len(blob), MOST_BYTES)]
    token = secrets.token_hex(8)
    return [
        Change(SEALS, _name(seal.span, seal.start, place), {"of": len(pieces), "token": token, "body": piece})
        for place, piece in enumerate(pieces)
    ]


def gone(span: int, at: int) -> Change:
    """What removes the bucket of this length around a moment."""
    return Change(SEALS, _name(span, at // span * span, 0), None)


def read(documents: Documents, span: int, start: int, end: int) -> list[Seal]:
    """The buckets of this length that begin in [start, end), in order. Raises StorageError where one is damaged."""
    if start >= end:
        return []
    found = documents.named(SEALS, *range_of(span, start, end))
    return list(_read(span, found))


def range_of(span: int, start: int, end: int) -> tuple[str, str]:
    """Between which names, [first, end), the buckets of this length lie that begin in [start, end)."""
    return _name(span, start, 0), _name(span, end, 0)


def _read(span: int, found: Sequence[Found]) -> Iterator[Seal]:
    for start, group in groupby(found, key=lambda each: int(each.name[1:-4])):
        parts = list(group)
        first = parts[0]
        if not first.name.endswith("-000"):
            continue  # what is left of one that went
        mine = [each for each in parts if each.fields["token"] == first.fields["token"]]
        if len(mine) != first.fields["of"]:
            raise StorageError("a summary in Firestore is damaged: restore it from a backup")
        yield _seal(span, start, b"".join(each.fields["body"] for each in mine))


def _seal(span: int, start: int, blob: bytes) -> Seal:
    try:
        (size,) = _HEAD.unpack_from(blob)
        head = json.loads(blob[_HEAD.size : _HEAD.size + size])
        if head["version"] != 1:
            raise StorageError("a summary in Firestore is of a newer version: upgrade usage-guardian")
        sections: dict[str, bytes] = {}
        at = _HEAD.size + size
        for key, length in head["sections"]:
            sections[key], at = blob[at : at + length], at + length
        totals = Totals.unpack({part: sections[part.name] for part in Part})
        [people] = codec.unpack(sections["ids"])
        routes: Mapping[str, list[list[str]]] = names_in(sections["names"])
    except (ValueError, KeyError, struct.error, zlib.error) as error:
        raise StorageError("a summary in Firestore is damaged: restore it from a backup") from error
    return Seal(span, start, totals, people, [Route(*each) for each in routes["routes"]])


def _name(span: int, start: int, place: int) -> str:
    return f"{_LETTER[span]}{max(start, 0):018d}-{place:03d}"
