"""Joins several users of the SQLite store into one person: which numbers belong together, and their common totals.

Sealed summaries count by number, so they stay valid whatever the aliases say. Rows of two numbers are joined if one
follows the other. If they overlap in time, the person's row is computed from the shorter buckets inside, and within 5
minutes and hours that have none (`lone_hours`) from single events. The result is exact, and only people with several
ids cost time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from guardian.core.counting import grouped
from guardian.core.overlaps import overlapping, spanned
from guardian.core.totals import Part, Totals, followed
from guardian.core.unlinked import AMONG, first_name, is_unlinked
from guardian.stores.people.aliases import NO_ALIASES, Aliases
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import AT_US, DAY, HOUR, MINUTES5, ids, meta
from guardian.stores.sqlite.names import KeptNames, Names
from tracker.event import ANONYMOUS
from tracker.names import ERASED_PREFIX, clean_name

_INSIDE = {DAY: HOUR, HOUR: MINUTES5}
_NUMBER = """
    SELECT id FROM guardian_user WHERE email = :name UNION ALL
    SELECT id FROM guardian_user JOIN guardian_spelling ON user = id
    WHERE email = :old AND (spelling IS NULL OR spelling = :name) LIMIT 1
"""
_EVERYBODY = "SELECT json_group_array(id), json_group_array(email) FROM guardian_user"
ERASED = "SELECT id, email FROM guardian_user WHERE email >= '{}' AND email < '{}'".format(*AMONG)
"""The users who are named as the erased are; somebody may have such a name (`is_unlinked`)."""
_FEW = 10_000
"""Up to this many names are looked up one by one; for more it is faster to read all names as one text."""


@dataclass(frozen=True)
class People:
    """The users of a database as persons. `same` maps a user's number to the number that stands for the person, if it
    is another one. `first` maps a person's name to that number; None without aliases, when every user is a person.
    `known` has names that were read before."""

    aliases: Aliases = NO_ALIASES
    same: Mapping[int, int] = field(default_factory=dict)
    spelled: Mapping[int, str] = field(default_factory=dict)
    first: Mapping[str, int] | None = None
    known: Names = field(default_factory=Names, compare=False, repr=False)

    def name(self, number: int, email: str) -> str:
        """The person's name for the user with this number, recorded as `email`."""
        if is_unlinked(email):
            return first_name(email)
        return self.spelled.get(number) or self.aliases.person(email)

    def names(self, rows: Iterable[tuple[int, str]]) -> dict[int, str]:
        """The persons' names, by number, for users with these recorded names."""
        if self.spelled or self.aliases.addresses:
            return {number: self.name(number, email) for number, email in rows}
        return {number: first_name(email) if email.startswith(ERASED_PREFIX) else email for number, email in rows}

    def numbers(self, db: sqlite3.Connection, names: Iterable[str]) -> list[int]:
        """The numbers of the persons with these names, ids or addresses (in any case)."""
        found: set[int] = set()
        for name in names:
            for known in self.aliases.recorded(clean_name(name) or name):
                person = self.first and self.first.get(self.aliases.person(known))
                row = (person,) if person else db.execute(_NUMBER, {"name": known, "old": known.lower()}).fetchone()
                found |= {self.same.get(row[0], row[0])} if row else set()
        return sorted(found | {number for number, person in self.same.items() if person in found})

    def persons(self, numbers: np.ndarray) -> np.ndarray:
        """The person's number for each of these user numbers."""
        known, persons = self._pairs
        if not len(known):
            return numbers
        places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where(known[places] == numbers, persons[places], numbers)

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = np.array(sorted(self.same.items()), np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def joined(self, db: sqlite3.Connection, part: Totals, start_us: int, span_us: int) -> Totals:
        """The totals of a sealed bucket with one row for each person. Call it inside the transaction that read the
        bucket."""
        persons = self.persons(part.users[:, 0])
        if (persons == part.users[:, 0]).all():
            return part
        used = part.used.copy()
        used[:, 0] = self.persons(used[:, 0])
        return Totals(self._rows(db, part.users, start_us, span_us), grouped(used), part.statuses, part.durations)

    def _rows(self, db: sqlite3.Connection, rows: np.ndarray, start_us: int, span_us: int) -> np.ndarray:
        """One row of `Totals.users` for each person, from the bucket's rows by user number."""
        rows = rows.copy()
        rows[:, 0] = self.persons(rows[:, 0])
        rows = rows[np.lexsort((rows[:, 5], rows[:, 4], rows[:, 0]))]
        twice = overlapping(rows)
        if not len(twice):
            return followed(rows)
        if span_us == MINUTES5 and start_us < meta(db, "purged_until_us"):
            return spanned(rows)
        inner = self._inside(db, twice, start_us, span_us)
        rows = np.concatenate((followed(rows[~np.isin(rows[:, 0], twice)]), inner))
        return rows[np.argsort(rows[:, 0], kind="stable")]

    def _inside(self, db: sqlite3.Connection, persons: np.ndarray, start_us: int, span_us: int) -> np.ndarray:
        """The persons' rows, computed from the shorter buckets inside, or single events where there are none."""
        found, end_us = list[np.ndarray](), start_us + span_us
        if inner := _INSIDE.get(span_us):
            for at, part in seals.read_run(db, inner, start_us, end_us, (Part.PEOPLE, Part.TIMES)):
                users = part.users
                found.append(self._rows(db, users[np.isin(self.persons(users[:, 0]), persons)], at, inner))
        if not found:
            return self._single(db, persons, start_us, end_us)
        rows = np.concatenate(found)
        return followed(rows[np.argsort(rows[:, 0], kind="stable")])

    def _single(self, db: sqlite3.Connection, persons: np.ndarray, start_us: int, end_us: int) -> np.ndarray:
        """The persons' rows, computed from the single events of [start, end)."""
        sql = f"SELECT {AT_US}, user, route, status, duration_us, duration_us FROM guardian_request"
        table = np.array(
            db.execute(f"{sql} WHERE id >= ? AND id < ? ORDER BY id", ids(start_us, end_us)).fetchall(), np.int64
        ).reshape(-1, 6)
        table[:, 1] = self.persons(table[:, 1])
        return Totals.of(table[np.isin(table[:, 1], persons)]).users


def read_people(db: sqlite3.Connection, aliases: Aliases, kept: KeptNames | None = None) -> People:
    """The people of this database as it is now, with the names that are `kept` of it. Without aliases, only erased
    people have several numbers."""
    known = Names() if kept is None else kept.now(db)
    if not aliases.addresses:
        return People(aliases, same=_same(People(), db.execute(ERASED).fetchall())[0], known=known)
    spelled = _spelled(db, aliases)
    people = People(aliases, spelled=spelled)
    same, first = _same(people, db.execute("SELECT id, email FROM guardian_user ORDER BY id").fetchall())
    return People(aliases, same, spelled, first, known)


def person_names(db: sqlite3.Connection, aliases: Aliases, numbers: Sequence[int]) -> dict[int, str]:
    """The persons' names of these user numbers; all numbers of one person have the same name."""
    return names_of(db, People(aliases, spelled=_spelled(db, aliases) if aliases.addresses else {}), numbers)


def _spelled(db: sqlite3.Connection, aliases: Aliases) -> dict[int, str]:
    """The persons of the users whose names were stored in lower case."""
    # Old versions stored names without an @ in lower case (see tracker.sqlite.schema); an empty spelling means that
    # several match.
    old = db.execute(
        "SELECT u.id, coalesce(s.spelling, u.email), s.spelling IS NULL FROM guardian_spelling s "
        "JOIN guardian_user u ON u.id = s.user WHERE s.spelling IS NOT ''"
    ).fetchall()
    return {
        number: address
        for number, name, unknown in old
        if (address := aliases.addresses.get(name) or (aliases.of_lower(name) if unknown else None))
    }


def _same(people: People, rows: Iterable[tuple[int, str]]) -> tuple[dict[int, int], dict[str, int]]:
    first: dict[str, int] = {}
    same: dict[int, int] = {}
    for number, email in sorted(rows):
        person = first.setdefault(people.name(number, email), number)
        if person != number:
            same[number] = person
    return same, first


def names_of(db: sqlite3.Connection, people: People, numbers: Sequence[int]) -> dict[int, str]:
    """The names of the persons with these numbers, and maybe of others."""
    if len(numbers) <= _FEW:
        kept = people.known.of(db, numbers)
        return people.names((number, kept[number]) for number in numbers if number in kept)
    known, emails = map(json.loads, db.execute(_EVERYBODY).fetchone())
    if people.spelled or people.aliases.addresses:
        return people.names(zip(known, emails, strict=True))
    # Only erased ones have other names than they are stored under: each of the others looked at takes 10 ms.
    return dict(zip(known, emails, strict=True)) | people.names(db.execute(ERASED))


def number_of_nobody(db: sqlite3.Connection) -> int:
    """The user number for unverified senders; 0, which no user has, if there were none."""
    row = db.execute("SELECT id FROM guardian_user WHERE email = ?", (ANONYMOUS,)).fetchone()
    return row[0] if row else 0
