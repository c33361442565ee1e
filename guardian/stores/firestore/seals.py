"""Sealed buckets as documents: what was counted of 5 minutes, an hour or a day, with dictionaries of their own.

A bucket is one blob, in as many documents as its size asks for, named by its length, its start and their number, so
that a range of names is a range of time and needs no index. Each has the blob's token: documents of a blob that was
replaced by a shorter one are passed over.
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
_HEAD = struct.Struct("<I")
_VERSION = 1
_DAMAGED = "a summary in Firestore is damaged: restore it from a backup"


def changes(seal: Seal) -> list[Change]:
    """What writes this bucket, in place of what is there; one without requests goes."""
    if not len(seal.totals.users):
        return [gone(seal.span, seal.start)]
    sections = {part.name: body for part, body in seal.totals.pack().items()}
    sections["ids"] = codec.pack([seal.people])
    sections["names"] = packed_names([], list(seal.routes), [])
    sections["minutes"] = codec.pack(list(seal.minutes.T))
    sections["hours"] = codec.pack([seal.hours])
    sections["failed"], sections["failed_names"] = packed(seal.failed)
    sections["seen"] = zlib.compress(json.dumps([[*key, at] for key, at in seal.seen.items()]).encode())
    head = json.dumps({"version": _VERSION, "sections": [[key, len(body)] for key, body in sections.items()]}).encode()
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


def is_of(span: int, name: str) -> bool:
    """Whether a document is of a bucket of this length."""
    return name.startswith(_LETTER[span])


def start_of(name: str) -> int:
    """When the bucket of a document begins, µs."""
    return int(name[1:-4])


def _read(span: int, found: Sequence[Found]) -> Iterator[Seal]:
    for start, group in groupby(found, key=lambda each: start_of(each.name)):
        parts = list(group)
        first = parts[0]
        if not first.name.endswith("-000"):
            continue  # what is left of one that went
        mine = [each for each in parts if each.fields["token"] == first.fields["token"]]
        if len(mine) != first.fields["of"]:
            raise StorageError(_DAMAGED)
        yield _seal(span, start, b"".join(each.fields["body"] for each in mine))


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
