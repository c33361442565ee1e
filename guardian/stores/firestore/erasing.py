"""Erasing people from the events in Firestore, and erasing anew who came back by events that were queued before."""

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
from tracker.firestore.people import PEOPLE, TOMBSTONES, new_id
from tracker.firestore.sink import SLICES

_EARLIER_US = 600 * 1_000_000
"""How long before a person's document was made a slice with them may have been written."""


def erase(documents: Documents, people: Directory, found: Sequence[Found]) -> bool:
    """Put an unlinkable name in the place of those of a person's documents; False where there are none."""
    if not found:
        return False
    ids = [int(each.fields["id"]) for each in found]
    forget_clients(documents, ids)  # first, so that who is interrupted here still knows whose they are
    documents.commit(people.unlinked([found]))
    forget_clients(documents, ids)
    return True


def erase_buried(documents: Documents, people: Directory, since_us: int) -> int:
    """Erase anew each name erased after this moment that has events of before its tombstone; how many there were.

    The person's later events stay theirs: they are a new person's.
    """
    found = documents.query(TOMBSTONES, ("erased_us", ">", since_us))
    stones = {each.name: int(each.fields["erased_us"]) for each in found}
    back = documents.get_all(PEOPLE, sorted(stones))
    return sum(_buried(documents, people, each, stones[each.name]) for each in back)


def _buried(documents: Documents, people: Directory, person: Found, erased_us: int) -> bool:
    """Whether the person of this document had events of before their tombstone; those are nobody's now."""
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
        documents.commit([*people.unlinked([]), Change(PEOPLE, person.name, None)])
    return again


def _of(table: Table, number: int) -> np.ndarray:
    """Which rows are those of the person with this id."""
    mine: np.ndarray = table.people[table.rows[:, PERSON]] == number
    return mine


def _given_to(documents: Documents, found: Found, table: Table, rows: np.ndarray, number: int) -> None:
    """Put a slice whose rows belong to another person in the place of one: what was sealed of it is sealed again."""
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
