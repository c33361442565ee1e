"""Erasing people from the events in Firestore, and erasing them again if events that were queued before bring them
back."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from guardian.core.unlinked import unlinked_name
from guardian.stores.firestore.clients import forget_clients
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Change, Documents, Found, as_time
from guardian.stores.firestore.progress import slices_between
from guardian.stores.firestore.slices import AT, PERSON, Table, packed, unpacked
from guardian.stores.firestore.unlinking import remove, unlink
from tracker.firestore.people import PEOPLE, TOMBSTONES, new_id
from tracker.firestore.sink import SLICES

_EARLIER_US = 600 * 1_000_000
"""How long before a person's document was made a slice may already mention them."""


def erase(documents: Documents, people: Directory, found: Sequence[Found]) -> bool:
    """Replace the names in a person's documents by an unlinkable one; False if there are no documents."""
    if not found:
        return False
    ids = [int(each.fields["id"]) for each in found]
    forget_clients(documents, ids)  # first, so that an interrupted erasure can be repeated
    unlink(documents, [found])
    forget_clients(documents, ids)
    return True


def erase_buried(documents: Documents, people: Directory, since_us: int) -> int:
    """Erase again each name that was erased after this moment and has events from before its tombstone. Returns how
    many. Later events stay, as those of a new person.
    """
    found = documents.query(TOMBSTONES, ("erased_us", ">", since_us))
    stones = {each.name: int(each.fields["erased_us"]) for each in found}
    back = documents.get_all(PEOPLE, sorted(stones))
    return sum(_buried(documents, people, each, stones[each.name]) for each in back)


def _buried(documents: Documents, people: Directory, person: Found, erased_us: int) -> bool:
    """Whether the person of this document had events from before their tombstone; these become anonymous."""
    number, seen = int(person.fields["id"]), int(person.fields.get("seen", 0))
    if seen > erased_us:
        found = documents.query(SLICES, ("written", ">", as_time(seen - _EARLIER_US)))
    else:
        found = slices_between(documents, 0, erased_us + 1)
    nobody, name = new_id(), unlinked_name(secrets.token_hex(8))
    again = False
    forget_clients(documents, [number], until_us=erased_us)
    for each in found:
        table = unpacked(each.fields["body"], each.fields["names"])
        mine = _of(table, number) & (table.rows[:, AT] <= erased_us)
        if mine.any():
            if not again:
                documents.commit([Change(PEOPLE, name, {"id": nobody, "name": name, "seen": seen})])
                again = True
            _given_to(documents, each, table, mine, nobody)
    if again and not _comes_later(documents, number, erased_us):
        remove(documents, [person])
    return again


def _of(table: Table, number: int) -> np.ndarray:
    """Flags of the rows of the person with this id."""
    mine: np.ndarray = table.people[table.rows[:, PERSON]] == number
    return mine


def _given_to(documents: Documents, found: Found, table: Table, rows: np.ndarray, number: int) -> None:
    """Replace a slice by one whose rows belong to another person; its sealed buckets are made again."""
    from google.cloud import firestore

    changed = table.rows.copy()
    changed[rows, PERSON] = len(table.people)
    body, names = packed(Table(changed, np.append(table.people, number), table.routes, table.failures))
    fields = {**found.fields, "body": body, "names": names, "written": firestore.SERVER_TIMESTAMP}
    documents.commit([Change(SLICES, found.name, None), Change(SLICES, f"{found.name}-{secrets.token_hex(4)}", fields)])


def _comes_later(documents: Documents, number: int, erased_us: int) -> bool:
    """Whether the person has events after this moment."""
    for each in slices_between(documents, erased_us, 2**62):
        table = unpacked(each.fields["body"], each.fields["names"])
        if (_of(table, number) & (table.rows[:, AT] > erased_us)).any():
            return True
    return False
