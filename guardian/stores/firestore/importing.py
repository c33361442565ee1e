"""Imported events in Firestore: slices under an instance name of their own, which also hold the marks of the imported
lines. Events and marks share a document, so an import that was killed resumes after its last commit. The end of the
imported past is written to `guardian_meta/imports` before the events, so rules never take them for the app's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from guardian.stores.firestore.buckets import DAY
from guardian.stores.firestore.documents import NEW, Change, Documents, Found
from guardian.stores.firestore.progress import read_progress
from guardian.stores.firestore.writing import write_with
from guardian.stores.importing import IMPORTED, STRETCH_US
from tracker.event import ANONYMOUS, Event
from tracker.firestore.address import Address
from tracker.firestore.expiry import META
from tracker.firestore.people import SECRETS, People
from tracker.firestore.sink import SLICES
from tracker.pseudonyms import pseudonym

IMPORTS = "imports"
KEY = "import"
"""The key of the marks' hashes."""
_PAGE = 300
_DAYS = 3
"""The marks of this many days are kept in memory: logs are nearly in order of time."""


class FirestoreImports:
    """`Imports` on one database. With the key `pseudonyms`, people are stored under pseudonyms. Raises StorageError if
    the database does not answer."""

    def __init__(self, address: Address, pseudonyms: bytes | None = None) -> None:
        self._documents, self._pseudonyms = Documents(address), pseudonyms
        self._people: People | None = None
        self._days: dict[int, dict[int, list[int]]] = {}
        self.key = self._secret().encode()

    def _secret(self) -> str:
        found = self._documents.get(SECRETS, KEY)
        if found is None:
            made = {"value": secrets.token_hex(16)}
            self._documents.commit([Change(SECRETS, KEY, made, NEW)])  # unless another was first
            return self._secret()
        return str(found.fields["value"])

    def recorded_since_us(self) -> int | None:
        """See Imports."""
        return first_own(self._documents, 0)

    def purged_until_us(self) -> int:
        """See Imports."""
        return read_progress(self._documents).purged_us

    def marks(self, start_us: int) -> list[int]:
        """See Imports. Reads a whole day's marks at once."""
        return self._marks_of_day(start_us // DAY * DAY).get(start_us, [])

    def _marks_of_day(self, day: int) -> dict[int, list[int]]:
        if day not in self._days:
            if len(self._days) >= _DAYS:
                del self._days[next(iter(self._days))]
            found = self._documents.query(
                SLICES, ("start", ">=", day), ("start", "<", day + DAY), fields=("start", "marks")
            )
            marks: dict[int, list[int]] = {}
            for each in found:
                stretch = int(each.fields["start"]) // STRETCH_US * STRETCH_US
                marks.setdefault(stretch, []).extend(np.frombuffer(each.fields.get("marks", b""), "<u8").tolist())
            self._days[day] = marks
        return self._days[day]

    def add(self, events: Sequence[Event], marks: Mapping[int, Sequence[int]]) -> int:
        """See Imports. One commit for each stretch: what was committed before a kill is not imported again."""
        until_us = max((event.at_us + 1 for event in events), default=0)
        if until_us > imported_until(self._documents):
            self._documents.commit([Change(META, IMPORTS, {"until_us": until_us})])
        if self._pseudonyms is not None:
            events = [each._replace(user=self._stored(each.user)) for each in events]
        more = {"release": "", "instance": IMPORTED}
        stored = write_with(self._documents, events, self._asked, more=more, marks=marks)
        for start_us, added in marks.items():
            day = self._days.get(start_us // DAY * DAY)
            if day is not None:
                day.setdefault(start_us, []).extend(added)
        return stored

    def _stored(self, name: str) -> str:
        return name if self._pseudonyms is None or name == ANONYMOUS else pseudonym(self._pseudonyms, name)

    def _asked(self, client: Any) -> People:
        self._people = self._people or People(client)
        return self._people

    def close(self) -> None:
        """See Imports."""
        self._documents.closed = True


def imported_until(documents: Documents) -> int:
    """Every imported event ended before this moment, µs; 0 where there is none."""
    found = documents.get(META, IMPORTS)
    return 0 if found is None else int(found.fields["until_us"])


def is_own(found: Found) -> bool:
    """Whether the app recorded the events of a slice itself."""
    return found.fields.get("instance") != IMPORTED


def first_own(documents: Documents, start_us: int) -> int | None:
    """When (µs) the first event ended, from this moment on, that the app recorded itself; None where there is none."""
    after = start_us
    while True:
        found = documents.query(
            SLICES, ("start", ">=", after), order=[("start", "ASCENDING")], limit=_PAGE, fields=("start", "instance")
        )
        own = next((int(each.fields["start"]) for each in found if is_own(each)), None)
        if own is not None or len(found) < _PAGE:
            return own
        after = max(int(found[-1].fields["start"]), after + 1)
