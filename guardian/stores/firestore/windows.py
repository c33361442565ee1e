"""The exact totals of a window in Firestore: from the longest sealed buckets inside it, and from single events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from guardian.core.storage import WindowGone
from guardian.core.summary import Route, fits
from guardian.core.totals import Totals, followed, grouped
from guardian.stores.firestore import seals
from guardian.stores.firestore.directory import Directory, person_of
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.progress import (
    Progress,
    late_slices,
    read_progress,
    read_table,
    stale_buckets,
)
from guardian.stores.firestore.seals import DAY, HOUR, MINUTES5, SPANS, Seal
from guardian.stores.firestore.slices import Table
from guardian.stores.people.aliases import Aliases
from tracker.event import ANONYMOUS
from tracker.firestore.slices import NOBODY

_INSIDE = {DAY: HOUR, HOUR: MINUTES5}


@dataclass
class Numbers:
    """Numbers for the people and routes of one answer: all ids of a person have the same."""

    name_of: Callable[[Sequence[int]], dict[int, str]]
    names: dict[int, str] = field(default_factory=dict)
    routes: dict[int, Route] = field(default_factory=dict)
    _ids: dict[int, int] = field(default_factory=dict)
    _people: dict[str, int] = field(default_factory=dict)
    _routes: dict[Route, int] = field(default_factory=dict)

    def persons(self, ids: np.ndarray) -> np.ndarray:
        """The numbers of the people with these ids."""
        wanted = ids.tolist()
        new = [number for number in wanted if number not in self._ids]
        if new:
            for number, name in self.name_of(new).items():
                person = self._people.setdefault(name, len(self._people))
                self._ids[number], self.names[person] = person, name
        return np.array([self._ids[number] for number in wanted], np.int64)

    def of_routes(self, routes: Iterable[Route]) -> np.ndarray:
        """The numbers of these routes."""
        found = []
        for route in routes:
            number = self._routes.setdefault(route, len(self._routes))
            self.routes[number] = route
            found.append(number)
        return np.array(found, np.int64)


class Windows:
    """One state of the store, to read windows of: how far it was sealed, and what has come late since."""

    def __init__(self, documents: Documents, directory: Directory, aliases: Aliases) -> None:
        self._documents, self._aliases = documents, aliases
        directory.refresh()
        self._directory = directory
        self.progress: Progress = read_progress(documents)
        self._stale = set(stale_buckets(late_slices(documents, self.progress)))
        self.numbers = Numbers(self.persons_of)

    def persons_of(self, ids: Sequence[int]) -> dict[int, str]:
        """The names of the people with these ids."""
        return {number: person_of(self._aliases, name) for number, name in self._directory.names(ids).items()}

    def ids(self, names: Sequence[str]) -> list[int]:
        """All ids of these people, by name, id or address."""
        found = {int(each.fields["id"]) for each in self._directory.documents_of(names, self._aliases)}
        return sorted(found | ({NOBODY} if ANONYMOUS in names else set()))

    def totals(self, start_us: int, end_us: int, features: Sequence[str] = ()) -> Totals:
        """The exact totals of [start, end). Raises WindowGone where retention has deleted what they need."""
        if start_us >= end_us:
            return Totals.of([])
        if self.progress.forgotten_us and start_us < self.progress.forgotten_us:
            raise WindowGone("this window reaches back further than summaries are kept (see retention.summaries_days)")
        if features:
            return self._of_features(start_us, end_us, features)
        until = self.progress.until_us
        found: list[tuple[int, Totals]] = []
        edges = self._sealed(max(start_us, 0), min(end_us, until), SPANS, found)
        edges.append((max(start_us, until), end_us))
        for first, last in edges:
            if first < last:
                self._may_be_read(first, last)
                found.append((first, self._raw(read_table(self._documents, first, last))))
        return Totals.merge([part for _, part in sorted(found, key=lambda each: each[0])])

    def table(self, start_us: int, end_us: int) -> Table:
        """The single events of [start, end)."""
        return read_table(self._documents, start_us, end_us)

    def _of_features(self, start_us: int, end_us: int, features: Sequence[str]) -> Totals:
        purged = self.progress.purged_us
        first = max(0, start_us) // MINUTES5 * MINUTES5
        if start_us < purged and seals.read(self._documents, MINUTES5, first, min(end_us, purged)):
            raise WindowGone(
                "the single events of this window have been deleted (see retention.events_days), and a report of some "
                "features alone counts them: let retention.events_days be longer than its period"
            )
        table = read_table(self._documents, start_us, end_us)
        return self._raw(table.of_features(lambda name: fits(name, features)))

    def _sealed(
        self, start: int, end: int, spans: Sequence[int], found: list[tuple[int, Totals]]
    ) -> list[tuple[int, int]]:
        """Put the longest sealed buckets inside [start, end) into `found`; what is left to be read as single events."""
        if start >= end:
            return []
        if not spans:
            return self._unsealed(start, end)
        span, *shorter = spans
        low, high = -(-start // span) * span, end // span * span
        stale = {at // span * span for at in self._stale}
        left, at = [], start
        for seal in seals.read(self._documents, span, low, high):
            if seal.start not in stale:
                left += self._sealed(at, seal.start, shorter, found)
                found.append((seal.start, self._of(seal)))
                at = seal.end
        return left + self._sealed(at, end, shorter, found)

    def _unsealed(self, start: int, end: int) -> list[tuple[int, int]]:
        """The edges of [start, end) inside of 5 minutes, and the 5 minutes that are stale: in the others there is
        nothing."""
        low, high = -(-start // MINUTES5) * MINUTES5, end // MINUTES5 * MINUTES5
        if low > high:
            return [(start, end)]
        stale = [(at, at + MINUTES5) for at in sorted(self._stale) if low <= at < high]
        return [(a, b) for a, b in ((start, low), *stale, (high, end)) if a < b]

    def _may_be_read(self, start: int, end: int) -> None:
        """Raise WindowGone where an edge lies inside 5 minutes whose events were deleted."""
        for edge in (start, end):
            bucket = edge // MINUTES5 * MINUTES5
            inside = edge % MINUTES5 and edge < self.progress.purged_us
            if inside and seals.read(self._documents, MINUTES5, bucket, bucket + 1):
                raise WindowGone(
                    "the single events at the edge of this window have been deleted (see retention.events_days): "
                    "let it begin and end at full 5 minutes"
                )

    def _raw(self, table: Table) -> Totals:
        table = table.where(np.flatnonzero(table.rows[:, 0] >= self.progress.purged_us))
        return table.totals(self.numbers.persons(table.people), self.numbers.of_routes(table.routes))

    def _of(self, seal: Seal) -> Totals:
        """The totals of a bucket with a row for each person."""
        persons, routes = self.numbers.persons(seal.people), self.numbers.of_routes(seal.routes)
        if len(set(persons.tolist())) == len(persons):
            return seals.renumbered(seal.totals, persons, routes)
        whole = seals.renumbered(seal.totals, np.arange(len(persons)), routes)
        users = whole.users.copy()
        users[:, 0] = persons[users[:, 0]]
        users = users[np.lexsort((users[:, 5], users[:, 4], users[:, 0]))]
        same = users[1:, 0] == users[:-1, 0]
        if (same & (users[1:, 4] <= _reached(users)[:-1])).any():
            return self._anew(seal, users, whole, persons)
        return _by_person(followed(users), whole, persons)

    def _anew(self, seal: Seal, users: np.ndarray, whole: Totals, persons: np.ndarray) -> Totals:
        """The same where the ids of a person were there at the same time: from what lies inside the bucket."""
        if seal.span > MINUTES5:
            inner = seals.read(self._documents, _INSIDE[seal.span], seal.start, seal.end)
            return Totals.merge([self._of(each) for each in inner])
        if seal.start >= self.progress.purged_us:
            return self._raw(read_table(self._documents, seal.start, seal.end))
        return _by_person(_spanned(users), whole, persons)


def _by_person(users: np.ndarray, whole: Totals, persons: np.ndarray) -> Totals:
    used = whole.used.copy()
    used[:, 0] = persons[used[:, 0]]
    return Totals(users, grouped(used), whole.statuses, whole.durations)


def _reached(rows: np.ndarray) -> np.ndarray:
    """The latest `last_us` so far among the rows of each number; they are sorted by number."""
    reached = rows[:, 5].copy()
    for at in np.flatnonzero(rows[1:, 0] == rows[:-1, 0]) + 1:
        reached[at] = max(reached[at], reached[at - 1])
    return reached


def _spanned(rows: np.ndarray) -> np.ndarray:
    """One row a person of 5 minutes whose single events are gone: who was there began with the first of their ids."""
    first = np.flatnonzero(np.diff(rows[:, 0], prepend=-1) != 0)
    found = rows[first]
    for column in (1, 2, 3):
        found[:, column] = np.add.reduceat(rows[:, column], first)
    found[:, 5] = np.maximum.reduceat(rows[:, 5], first)
    found[:, 6] = found[:, 5] - found[:, 4]
    return found
