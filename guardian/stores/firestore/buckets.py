"""A bucket: what was counted in 5 minutes, an hour or a day. Pure. Besides the totals it has what readers would
otherwise count from single events: the requests of each minute, who was there in which hour, each person's newest
failed requests, and when each error first came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardian.core.activity import ERRORS_PER_USER
from guardian.core.summary import Route
from guardian.core.totals import Totals, renumbered
from guardian.stores.firestore.slices import AT, FAILURE, OUTCOME, PERSON, ROUTE, Table, join

MINUTE, MINUTES5, HOUR, DAY = (seconds * 1_000_000 for seconds in (60, 300, 3600, 86400))
SPANS = (DAY, HOUR, MINUTES5)
"""The lengths of buckets, longest first; each is a multiple of the next."""
INSIDE = {DAY: HOUR, HOUR: MINUTES5}
"""For each bucket length, the length of the buckets it is joined from."""

Sighting = tuple[str, str, str]
"""What identifies an error: its kind, the innermost line of its location ("" for none), and the feature."""


@dataclass(frozen=True)
class Seal:
    """A bucket of length `span` that begins at `start`. People and routes are numbered by their index in `people`
    (their ids) and `routes`.

    `minutes` has rows of (minute since the start, route, outcome, requests). `hours` has, in a day's bucket, one bit
    for each hour in which a person was there. `failed` has the failed requests; in an hour's or day's bucket only the
    newest 20 of each person. `seen` says when (µs) each error first came.
    """

    span: int
    start: int
    totals: Totals
    people: np.ndarray
    routes: Sequence[Route]
    minutes: np.ndarray
    hours: np.ndarray
    failed: Table
    seen: Mapping[Sighting, int]

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + self.span

    @property
    def events(self) -> int:
        """How many requests it has."""
        return int(self.totals.users[:, 1].sum())

    def requests(self, start_us: int, end_us: int) -> tuple[int, int]:
        """How many requests, and how many failed ones, lie in the whole minutes of [start, end)."""
        minute = self.minutes[:, 0] * MINUTE + self.start
        rows = self.minutes[(minute >= start_us) & (minute < end_us)]
        return int(rows[:, 3].sum()), int(rows[rows[:, 2] >= 400, 3].sum())

    def there(self, start_us: int, end_us: int) -> np.ndarray:
        """The ids of the people who were there in the whole hours of [start, end); for a day's bucket."""
        first, last = ((at - self.start) // HOUR for at in (max(start_us, self.start), min(end_us, self.end)))
        mask = (1 << last) - (1 << first)
        found: np.ndarray = self.people[(self.hours & mask) != 0]
        return found


def bucket_of(start: int, table: Table) -> Seal:
    """The bucket of the 5 minutes from `start`, whose events are all in the table."""
    places = np.arange(len(table.people)), np.arange(len(table.routes))
    minute = (table.rows[:, AT] - start) // MINUTE
    keys = np.stack((minute, table.rows[:, ROUTE], table.rows[:, OUTCOME]), axis=1)
    rows, counts = np.unique(keys, axis=0, return_counts=True)
    return Seal(
        MINUTES5, start, table.totals(*places), table.people, table.routes, np.column_stack((rows, counts)),
        np.zeros(len(table.people), np.int64), table.failed(), sightings(table),
    )  # fmt: skip


def sightings(table: Table) -> dict[Sighting, int]:
    """When (µs) each error first came."""
    found: dict[Sighting, int] = {}
    failed = table.failed().rows
    for at, failure, route in failed[:, [AT, FAILURE, ROUTE]].tolist():
        kind, _, location = table.failures[failure]
        found.setdefault((kind, location.rsplit("\n", 1)[-1], table.routes[route].feature), at)
    return found


def joined(span: int, start: int, parts: Sequence[Seal]) -> Seal:
    """The bucket that these shorter ones, in order of time, make up."""
    ids = np.unique(np.concatenate([part.people for part in parts]))
    numbers: dict[Route, int] = {}
    hours = np.zeros(len(ids), np.int64)
    totals, minutes, seen = [], [], dict[Sighting, int]()
    for part in parts:
        routes = np.array([numbers.setdefault(each, len(numbers)) for each in part.routes], np.int64)
        people = np.searchsorted(ids, part.people)
        totals.append(renumbered(part.totals, people, routes))
        rows = part.minutes.copy()
        rows[:, 0] += (part.start - start) // MINUTE
        rows[:, 1] = routes[rows[:, 1]]
        minutes.append(rows)
        if span == DAY:
            hours[people] |= 1 << (part.start - start) // HOUR
        for key, at in part.seen.items():
            seen[key] = min(at, seen.get(key, at))
    failed = newest(join([part.failed for part in parts]), ERRORS_PER_USER)
    return Seal(span, start, Totals.merge(totals), ids, list(numbers), np.concatenate(minutes), hours, failed, seen)


def newest(table: Table, most: int) -> Table:
    """The newest events of each person, at most `most` each, in order of time."""
    order = np.argsort(table.rows[:, PERSON], kind="stable")
    person = table.rows[order, PERSON]
    ends = np.searchsorted(person, person, side="right")
    return table.where(np.sort(order[ends - np.arange(len(person)) <= most]))


def added_by(table: np.ndarray) -> dict[int, int]:
    """The counts of a (route, key, count) table, summed by key."""
    found: dict[int, int] = {}
    for _, what, count in table.tolist():
        found[what] = found.get(what, 0) + count
    return found
