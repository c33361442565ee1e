"""The names behind the ids of people, and the ids behind a name.

Names are read when something shows them, and cached. Every erasure changes `guardian_meta/erased` in the same commit;
that document is read before each answer, and the cache is dropped if it has changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from guardian.core.unlinked import unlinked_name
from guardian.stores.firestore.documents import Change, Documents, Found, in_pieces
from guardian.stores.people.aliases import Aliases
from tracker.event import ANONYMOUS
from tracker.firestore.expiry import META
from tracker.firestore.people import PEOPLE, SECRETS
from tracker.firestore.slices import NOBODY
from tracker.keyed import tombstone
from tracker.names import clean_name
from tracker.pseudonyms import pseudonym

ERASED = "erased"
_PART = "~"
"""Separates the name of an erased person from the number of a further id."""
_IN = 30
"""How many values a Firestore condition may list."""


def erased_name(stem: str, place: int) -> str:
    """The new name for an erased person's id with this index (from 0). It tells which ids belong together, so totals
    still count one person."""
    return stem if place == 0 else f"{stem}{_PART}{place}"


def person_of(aliases: Aliases, name: str) -> str:
    """The person behind a recorded name."""
    return name.partition(_PART)[0] if name.startswith("erased-") else aliases.person(name)


class Directory:
    """The people of one database."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._names: dict[int, str] = {NOBODY: ANONYMOUS}
        self._erased: dict[int, str] | None = None
        self._epoch: object = None
        self._key: str | None = None

    def refresh(self) -> object:
        """Drop the cache if somebody was erased since it was filled. Returns a value that changes with each erasure."""
        found = self._documents.get(META, ERASED)
        epoch = None if found is None else found.fields["epoch"]
        if epoch != self._epoch:
            self._names, self._erased, self._epoch = {NOBODY: ANONYMOUS}, None, epoch
        return epoch

    def names(self, ids: Iterable[int]) -> dict[int, str]:
        """The names under which these ids were recorded; an id without a name gets one that leads nowhere."""
        wanted = sorted(set(ids))
        missing = [number for number in wanted if number not in self._names]
        for each in self.documents_with(missing):
            self._names[int(each.fields["id"])] = each.fields["name"]
        return {number: self._names.get(number) or unlinked_name(f"{number:016x}") for number in wanted}

    def erased(self) -> dict[int, str]:
        """The ids of erased people, with the unlinkable names they have now."""
        if self._erased is None:
            found = self._documents.query(PEOPLE, ("name", ">=", "erased-"), ("name", "<", "erased."))
            self._erased = {int(each.fields["id"]): str(each.fields["name"]) for each in found}
        return self._erased

    def documents_with(self, ids: Iterable[int]) -> list[Found]:
        """The documents of these ids."""
        return [
            each
            for some in in_pieces(sorted(ids), _IN)
            for each in self._documents.query(PEOPLE, ("id", "in", list(some)))
        ]

    def everyone(self) -> list[Found]:
        """The documents of all people, in the order in which they were first seen."""
        found = self._documents.query(PEOPLE)
        for each in found:
            self._names[int(each.fields["id"])] = each.fields["name"]
        return sorted(found, key=lambda each: (each.fields.get("seen", 0), each.name))

    def documents_of(self, names: Iterable[str], aliases: Aliases) -> list[Found]:
        """The documents of all ids of these people, who are given by name, id or address (in any case)."""
        wanted = {person_of(aliases, known) for name in names for known in aliases.recorded(clean_name(name) or name)}
        erased = {name for name in wanted if name.startswith("erased-")}
        if erased:
            return [each for each in self.everyone() if person_of(aliases, each.fields["name"]) in wanted]
        recorded = sorted({each for name in wanted for each in aliases.names_of(name)})
        hashes = [self._hash(each) for each in recorded]
        found = self._documents.get_all(PEOPLE, hashes)
        return sorted(found, key=lambda each: (each.fields.get("seen", 0), each.name))

    def ids_of(self, names: Iterable[str], aliases: Aliases) -> dict[str, list[int]]:
        """The ids of each of these people, keyed by `person_of`; without erased people. Reads only people who are not
        cached yet or may have several ids.
        """
        found: dict[str, set[int]] = {name: set() for name in names}
        for number, name in self._names.items():
            if (ids := found.get(person_of(aliases, name))) is not None:
                ids.add(number)
        others: dict[str, list[str]] = {}
        for known, name in aliases.addresses.items():
            others.setdefault(name, []).append(known)
        missing = [name for name, ids in found.items() if not ids or name in others]
        recorded = {known for name in missing for known in (name, *others.get(name, ()))}
        if aliases.key is not None:
            recorded |= {pseudonym(aliases.key, name) for name in missing}
        hashes = [self._hash(known) for known in sorted(recorded)]
        for each in self._documents.get_all(PEOPLE, hashes) if hashes else ():
            if (theirs := found.get(person_of(aliases, each.fields["name"]))) is not None:
                theirs.add(int(each.fields["id"]))
        return {name: sorted(ids) for name, ids in found.items()}

    def _hash(self, name: str) -> str:
        if self._key is None:
            found = self._documents.get(SECRETS, "tombstones")
            if found is None:
                return "none"  # nobody was ever recorded
            self._key = str(found.fields["value"])
        return tombstone(name, self._key).hex()

    def unlinked(self, people: Iterable[Sequence[Found]]) -> list[Change]:
        """The changes that give each person (a list of documents) an unlinkable name."""
        changes = [Change(META, ERASED, {"epoch": secrets.token_hex(8)})]
        for found in people:
            stem = unlinked_name(secrets.token_hex(8))
            for place, each in enumerate(found):
                name = erased_name(stem, place)
                changes.append(Change(PEOPLE, each.name, None))
                changes.append(Change(PEOPLE, name, {**each.fields, "name": name}))
        return changes
