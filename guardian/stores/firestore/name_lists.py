"""Names of people in lists of thousands, so that who shows a thousand people does not read a thousand documents.

    guardian_names/{place}    token, ids: 8-byte little-endian numbers, names: zlib of a JSON array in their order
    guardian_meta/erased      epoch: changes with each erasure; lists: the token of each list by its place, 0 where
                              there is none; groups: the ids of erased people who had several

A person's own document in `guardian_people` says what is true; a list repeats it. Who erases somebody rewrites their
list, or deletes it, in the commit that changes that document, and who adds names to a list does it on the condition
that nobody was erased since these were read. An earlier version of this program that erases somebody leaves only the
epoch: then no list is believed any more, and the next one that is written replaces those there were.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from guardian.core.unlinked import token_of, unlinked_name
from guardian.stores.firestore.documents import NEW, Change, Documents, Found
from tracker.firestore.expiry import META

NAMES, ERASED = "guardian_names", "erased"
MOST_BYTES = 800_000
"""A list grows up to so many bytes before they are compressed: some 24,000 addresses."""
MOST_GROUPED = 50_000
"""Of so many ids at most the index says whose they were, since a document holds 1 MiB; where there are more, people's
own documents say it."""
_TOKEN, _GROUP = struct.Struct("<q"), struct.Struct("<qQ")
_DAMAGED = (zlib.error, struct.error, ValueError, LookupError, TypeError, AttributeError)


class Index(NamedTuple):
    """What `guardian_meta/erased` says: the epoch (None where nobody was erased), the tokens of the lists by place (0:
    no list), the new name of each id of erased people who had several (None where nobody knows), and its version."""

    epoch: str | None = None
    tokens: tuple[int, ...] = ()
    groups: Mapping[int, str] | None = None
    version: Any = NEW

    def change(self) -> Change:
        """The change that writes it, unless somebody else has written it since."""
        known = self.groups if self.groups is None or len(self.groups) <= MOST_GROUPED else None
        groups = (_GROUP.pack(number, int(token_of(name), 16)) for number, name in sorted((known or {}).items()))
        lists = b"".join(map(_TOKEN.pack, self.tokens))
        fields = {"epoch": self.epoch, "lists": lists, "groups": None if known is None else b"".join(groups)}
        return Change(META, ERASED, fields, self.version)


class NameList(NamedTuple):
    """One list: its token, its ids, and its names in the same order as they are stored."""

    token: int
    ids: np.ndarray
    body: bytes

    @classmethod
    def of(cls, token: int, names: Mapping[int, str]) -> NameList:
        """The list with these names by id."""
        return cls(token, np.array([*names], np.int64), _packed(names.values()))

    def all(self) -> dict[int, str]:
        """Its names by id."""
        return dict(zip(self.ids.tolist(), json.loads(_text(self.body)), strict=True))

    def among(self, wanted: np.ndarray) -> dict[int, str]:
        """Its names of those among these ids that it has."""
        here = np.flatnonzero(np.isin(self.ids, wanted))
        if not len(here):
            return {}
        names = json.loads(_text(self.body))
        return {number: names[place] for number, place in zip(self.ids[here].tolist(), here.tolist(), strict=True)}

    def size(self) -> int:
        """Its bytes before they were compressed."""
        return self.ids.nbytes + len(zlib.decompress(self.body))

    def sent(self) -> int:
        """Its bytes as they are written."""
        return self.ids.nbytes + len(self.body)

    def change(self, place: int) -> Change:
        """The change that writes it at this place."""
        fields = {"token": self.token, "ids": self.ids.astype("<i8").tobytes(), "names": self.body}
        return Change(NAMES, name_of(place), fields)


def read_index(documents: Documents) -> Index:
    """The index as it is now. One that is damaged says nothing of lists and groups."""
    found = documents.get(META, ERASED)
    if found is None:
        return Index()
    fields = found.fields
    epoch, packed = fields.get("epoch"), fields.get("groups")
    try:
        tokens = tuple(token for (token,) in _TOKEN.iter_unpack(fields.get("lists", b"")))
        pairs = () if packed is None else _GROUP.iter_unpack(packed)
        groups = None if packed is None else {number: unlinked_name(f"{token:016x}") for number, token in pairs}
    except _DAMAGED:
        return Index(epoch, version=found.version)
    return Index(epoch, tokens, groups, found.version)


def read_lists(documents: Documents, index: Index, places: Sequence[int]) -> dict[int, NameList]:
    """The lists at these places, without those that are not as the index says, or are damaged: people's own documents
    say the same."""
    found = documents.get_all(NAMES, [name_of(place) for place in places])
    return {int(each.name): made for each in found if (made := _as_indexed(each, index)) is not None}


def read_all(documents: Documents, index: Index) -> tuple[dict[int, NameList], list[str]]:
    """All lists by their place, and the names of the documents that are none of these, such as a damaged one's."""
    found = documents.named(NAMES, name_of(0), "~")
    lists = {int(each.name): made for each in found if (made := _as_indexed(each, index)) is not None}
    return lists, [each.name for each in found if each.name not in map(name_of, lists)]


def fitting(known: NameList | None, names: Sequence[tuple[int, str]]) -> int:
    """How many of these (id, name) pairs fit into this list beside what it has; into a new one, where it is None, at
    least one."""
    size, many = (0, 0) if known is None else (known.size(), 0)
    for _, name in names:
        size += _TOKEN.size + len(_json([name])) + 1
        if size > MOST_BYTES and (known is not None or many):
            break
        many += 1
    return many


def name_of(place: int) -> str:
    """The name of the document of the list at this place."""
    return f"{place:06d}"


def _as_indexed(found: Found, index: Index) -> NameList | None:
    try:
        place, token = int(found.name), found.fields["token"]
        if place >= len(index.tokens) or token != index.tokens[place] or not token:
            return None
        made = NameList(token, np.frombuffer(found.fields["ids"], "<i8"), bytes(found.fields["names"]))
        return made if len(json.loads(_text(made.body))) == len(made.ids) else None
    except _DAMAGED:
        return None


def _packed(names: Iterable[str]) -> bytes:
    return zlib.compress(_json(list(names)))


def _json(names: list[str]) -> bytes:
    return json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _text(body: bytes) -> str:
    return zlib.decompress(body).decode("utf-8", "surrogatepass")
