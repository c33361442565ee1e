"""Sealed buckets as documents: the counts of 5 minutes, an hour or a day, with their own dictionaries. A bucket is one
blob, split over as many documents as it needs. Their names consist of its length, its start and a number, so a range of
names is a range of time and needs no index. Each has the blob's token, so documents left over from a longer blob that
was replaced are ignored.
"""

from __future__ import annotations

import json
import secrets
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from guardian.core import codec
from guardian.core.storage import StorageError
from guardian.core.summary import Route
from guardian.core.totals import Part, Totals
from guardian.stores.firestore.buckets import DAY, HOUR, MINUTES5, Seal
from guardian.stores.firestore.documents import Change, Documents, Found
from guardian.stores.firestore.slices import names_in, packed, unpacked
from tracker.firestore.slices import MOST_BYTES, packed_names

SEALS = "guardian_seals"
_LETTER = {DAY: "d", HOUR: "h", MINUTES5: "m"}
_HOURS = "i"
"""The letter of the document with all hours of a day, where they fit into one: who wants some of them reads two
documents. It has the token of the day's own document, and counts for nothing beside another one."""
FEW = 3
"""Fewer hours than these are read one by one."""
_HEAD = struct.Struct("<I")
_VERSION = 1
_DAMAGED = "a summary in Firestore is damaged: restore it from a backup"


def changes(seal: Seal) -> list[Change]:
    """The changes that replace this bucket; one without requests is deleted."""
    if not len(seal.totals.users):
        return [gone(seal.span, seal.start)]
    blob = _blob(seal)
    pieces = pieces_of(blob)
    token = secrets.token_hex(8)
    return [
        Change(SEALS, _name(seal.span, seal.start, place), {"of": len(pieces), "token": token, "body": piece})
        for place, piece in enumerate(pieces)
    ]


def pieces_of(blob: bytes) -> list[bytes]:
    """A blob in pieces that fit into a document each."""
    return [blob[first : first + MOST_BYTES] for first in range(0, len(blob), MOST_BYTES)]


def day_changes(day: Seal, hours: Sequence[Seal]) -> list[Change]:
    """What writes a day, and its hours once more in one document, if there are many and they fit."""
    made, blobs = changes(day), [_blob(each) for each in hours]
    if made[0].fields is None or len(hours) < FEW or sum(map(len, blobs)) > MOST_BYTES:
        return made
    sizes = [[each.start, len(blob)] for each, blob in zip(hours, blobs, strict=True)]
    fields = {"token": made[0].fields["token"], "hours": json.dumps(sizes), "body": b"".join(blobs)}
    return [*made, Change(SEALS, _name_of_hours(day.start), fields)]


def hours_of(documents: Documents, day: int) -> list[Found] | None:
    """The documents of all hours of the day that begins then, if one document has them as they are now."""
    found = {each.name: each for each in documents.get_all(SEALS, [_name(DAY, day, 0), _name_of_hours(day)])}
    whole, packed = found.get(_name(DAY, day, 0)), found.get(_name_of_hours(day))
    if whole is None or packed is None or whole.fields["token"] != packed.fields["token"]:
        return None
    made, at = [], 0
    for start, size in json.loads(packed.fields["hours"]):
        body = packed.fields["body"][at : at + size]
        made.append(as_one(HOUR, start, body))
        at += size
    return made


def as_one(span: int, start: int, blob: bytes) -> Found:
    """The document that a bucket would be, however long its blob is."""
    return Found(_name(span, start, 0), {"of": 1, "token": "", "body": blob})


def names_of_hours(documents: Documents, start: int, end: int) -> list[str]:
    """The names of the documents with all hours of the days that begin in [start, end)."""
    return documents.names(SEALS, _name_of_hours(start), _name_of_hours(end))


def _name_of_hours(day: int) -> str:
    return f"{_HOURS}{max(day, 0):018d}-000"


def _blob(seal: Seal) -> bytes:
    sections = {part.name: body for part, body in seal.totals.pack().items()}
    sections["ids"] = codec.pack([seal.people])
    sections["names"] = packed_names([], list(seal.routes), [])
    sections["minutes"] = codec.pack(list(seal.minutes.T))
    sections["hours"] = codec.pack([seal.hours])
    sections["failed"], sections["failed_names"] = packed(seal.failed)
    sections["seen"] = zlib.compress(json.dumps([[*key, at] for key, at in seal.seen.items()]).encode())
    head = json.dumps({"version": _VERSION, "sections": [[key, len(body)] for key, body in sections.items()]}).encode()
    return b"".join([_HEAD.pack(len(head)), head, *sections.values()])


def gone(span: int, at: int) -> Change:
    """The changes that delete the bucket of this length around a moment."""
    return Change(SEALS, _name(span, at // span * span, 0), None)


def read(documents: Documents, span: int, start: int, end: int) -> list[Seal]:
    """The buckets of this length that begin in [start, end), in order. Raises StorageError where one is damaged."""
    if start >= end:
        return []
    return unpacked_from(span, documents.named(SEALS, *range_of(span, start, end)))


def unpacked_from(span: int, found: Sequence[Found]) -> list[Seal]:
    """The buckets of this length of these documents, which are in the order of their names."""
    return [_seal(span, start, blob) for start, blob in blobs(found)]


def range_of(span: int, start: int, end: int) -> tuple[str, str]:
    """The range of names, [first, end), of the buckets of this length that begin in [start, end)."""
    return _name(span, start, 0), _name(span, end, 0)


def is_of(span: int, name: str) -> bool:
    """Whether a document is of a bucket of this length."""
    return name.startswith(_LETTER[span])


def start_of(name: str) -> int:
    """When the bucket of a document begins, µs."""
    return int(name[1:-4])


def blobs(found: Sequence[Found]) -> Iterator[tuple[int, bytes]]:
    """The start and the whole blob of each bucket of these documents, which are in the order of their names. Raises
    StorageError where one is damaged."""
    for start, group in groupby(found, key=lambda each: start_of(each.name)):
        parts = list(group)
        first = parts[0]
        if not first.name.endswith("-000"):
            continue  # left over from a deleted one
        mine = [each for each in parts if each.fields["token"] == first.fields["token"]]
        if len(mine) != first.fields["of"]:
            raise StorageError(_DAMAGED)
        yield start, b"".join(each.fields["body"] for each in mine)


def _seal(span: int, start: int, blob: bytes) -> Seal:
    try:
        (size,) = _HEAD.unpack_from(blob)
        head = json.loads(blob[_HEAD.size : _HEAD.size + size])
        if head["version"] != _VERSION:
            raise StorageError("a summary in Firestore is of a newer version: upgrade usage-guardian")
        sections: dict[str, bytes] = {}
        at = _HEAD.size + size
        for key, length in head["sections"]:
            sections[key], at = blob[at : at + length], at + length
        [people], [hours] = codec.unpack(sections["ids"]), codec.unpack(sections["hours"])
        return Seal(
            span,
            start,
            Totals.unpack({part: sections[part.name] for part in Part}),
            people,
            [Route(*each) for each in names_in(sections["names"])["routes"]],
            np.stack(codec.unpack(sections["minutes"]), axis=1),
            hours,
            unpacked(sections["failed"], sections["failed_names"]),
            {(kind, line, feature): at for kind, line, feature, at in json.loads(zlib.decompress(sections["seen"]))},
        )
    except (ValueError, KeyError, struct.error, zlib.error) as error:
        raise StorageError(_DAMAGED) from error


def _name(span: int, start: int, place: int) -> str:
    return f"{_LETTER[span]}{max(start, 0):018d}-{place:03d}"
