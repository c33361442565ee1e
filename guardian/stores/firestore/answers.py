"""Results computed from the pieces of a window: totals, a timeline, and people's failed requests. Events and summaries
hold ids. Without aliases each id is one person, so only the names that are shown have to be read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np

from guardian.core.activity import TOP_HELP, Activity
from guardian.core.counting import grouped
from guardian.core.overlaps import overlapping, spanned
from guardian.core.summary import Counts, Route, Summary, TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Totals, followed, renumbered
from guardian.stores.firestore.buckets import MINUTES5, Seal, added_by, newest
from guardian.stores.firestore.directory import Directory, person_of
from guardian.stores.firestore.naming import Namer, OrPlaceholder
from guardian.stores.firestore.slices import OUTCOME, PERSON, Table, join
from guardian.stores.firestore.windows import Piece, Windows
from guardian.stores.people.aliases import Aliases
from tracker.event import Event
from tracker.firestore.slices import NOBODY


class Answer:
    """Numbers the people (whatever ids they have) and the routes of one answer."""

    def __init__(self, windows: Windows, directory: Directory, aliases: Aliases) -> None:
        self.windows, self._directory, self._aliases = windows, directory, aliases
        self.routes: dict[int, Route] = {}
        self._numbers: dict[Route, int] = {}
        self._persons: dict[int | str, int] = {}
        self._of_ids: dict[int, int] = {}
        self._ids: list[int] = []

    def persons(self, ids: np.ndarray) -> np.ndarray:
        """The people's numbers for these ids."""
        wanted = ids.tolist()
        new = [number for number in wanted if number not in self._of_ids]
        if new:
            for number, person in zip(new, self._who(new), strict=True):
                if person not in self._persons:
                    self._persons[person] = len(self._ids)
                    self._ids.append(number)
                self._of_ids[number] = self._persons[person]
        return np.array([self._of_ids[number] for number in wanted], np.int64)

    def _who(self, ids: Sequence[int]) -> list[int | str]:
        """A key that is the same for all ids of a person."""
        if self._aliases.addresses:
            names = self._directory.names(ids)
            return [person_of(self._aliases, names[number]) for number in ids]
        erased = self._directory.erased()
        return [person_of(self._aliases, erased[number]) if number in erased else number for number in ids]

    def names(self, persons: Iterable[int]) -> dict[int, str]:
        """The names of the people with these numbers."""
        wanted = sorted(set(persons))
        found = self._directory.names(self._ids[person] for person in wanted)
        return {person: person_of(self._aliases, found[self._ids[person]]) for person in wanted}

    @property
    def nobody(self) -> int:
        """The person number that stands for unverified senders; -1 if there were none."""
        return self._of_ids.get(NOBODY, -1)

    def of_routes(self, routes: Iterable[Route]) -> np.ndarray:
        """The numbers for these routes."""
        found = []
        for route in routes:
            number = self._numbers.setdefault(route, len(self._numbers))
            self.routes[number] = route
            found.append(number)
        return np.array(found, np.int64)

    def totals(self, pieces: Sequence[Piece], *, active: bool = True) -> Totals:
        """The totals of these pieces. Without `active`, the active time of who was there under two ids at the same time
        is not right: to tell it, shorter buckets are read."""
        found = [
            self._sealed(each.content, active) if isinstance(each.content, Seal) else self._single(each.content)
            for each in pieces
        ]
        return Totals.merge(found)

    def _single(self, table: Table) -> Totals:
        return table.totals(self.persons(table.people), self.of_routes(table.routes))

    def _sealed(self, seal: Seal, active: bool) -> Totals:
        """A bucket's totals with one row for each person, instead of each id."""
        persons, routes = self.persons(seal.people), self.of_routes(seal.routes)
        if len(set(persons.tolist())) == len(persons):
            return renumbered(seal.totals, persons, routes)
        whole = renumbered(seal.totals, np.arange(len(persons)), routes)
        users = whole.users.copy()
        users[:, 0] = persons[users[:, 0]]
        users = users[np.lexsort((users[:, 5], users[:, 4], users[:, 0]))]
        if len(overlapping(users)):
            # Two ids of one person overlap in time: only the shorter buckets inside tell the order.
            if active and seal.span > MINUTES5:
                return Totals.merge([self._sealed(each, active) for each in self.windows.inside(seal)])
            if active and seal.start >= self.windows.progress.purged_us:
                return self._single(self.windows.table(seal.start, seal.end))
            users = spanned(users)
        used = whole.used.copy()
        used[:, 0] = persons[used[:, 0]]
        return Totals(followed(users), grouped(used), whole.statuses, whole.durations)

    def bars(self, pieces: Sequence[Piece], edges: Sequence[datetime]) -> list[TimelineBar]:
        """A bar for each two neighbours."""
        times = [micros(edge) for edge in edges]
        there: list[list[np.ndarray]] = [[] for _ in times[1:]]
        counts = [[0, 0] for _ in times[1:]]
        for piece in pieces:
            place = bisect_right(times, piece.start) - 1
            while place < len(counts) and times[place] < piece.end:
                requests, errors, ids = _within(piece, times[place], times[place + 1])
                counts[place][0] += requests
                counts[place][1] += errors
                there[place].append(self.persons(ids))
                place += 1
        nobody = self.nobody
        people = [np.unique(np.concatenate(each)) if each else np.zeros(0, np.int64) for each in there]
        return [
            TimelineBar(start, requests, errors, int((who != nobody).sum()))
            for start, (requests, errors), who in zip(edges, counts, people, strict=False)
        ]

    def bar(self, start: datetime, totals: Totals, routes: Sequence[int]) -> TimelineBar:
        """The bar that starts at `start`, counting only these route numbers."""
        people = np.unique(totals.used[np.isin(totals.used[:, 1], routes), 0])
        mine = totals.statuses[np.isin(totals.statuses[:, 0], routes)]
        failed = int(mine[mine[:, 1] >= 400, 2].sum())
        return TimelineBar(start, int(mine[:, 2].sum()), failed, int((people != self.nobody).sum()))

    def summary(self, pieces: Sequence[Piece]) -> Summary:
        """The totals with everybody's name."""
        totals = self.totals(pieces)
        return totals.summary(self.names(totals.users[:, 0].tolist()), self.routes)

    def activity(self, pieces: Sequence[Piece], start_us: int, per_user: int, most: int | None) -> Activity:
        """What a report shows; reads only the names that it may show."""
        totals, failed = self.totals(pieces), newest_of(self, pieces, per_user)
        shown = _shown(totals.users[totals.users[:, 0] != self.nobody], most) | {self.nobody}
        known = self.names(number for number in shown if number >= 0)
        names = OrPlaceholder(known)
        summary = totals.summary({number: names[number] for number in totals.users[:, 0].tolist()}, self.routes)
        return Activity.of(summary, self._events(failed, names), start_us, most=most)

    def counts(self, pieces: Sequence[Piece], edges: Sequence[datetime]) -> Counts:
        """The totals without people and latencies, and a bar between each two neighbouring edges, if there are
        edges."""
        totals = self.totals(pieces, active=False)
        routes = totals.by_route(self.routes)
        for each in routes.values():
            each.durations = {}
        known = totals.users[:, 0] != self.nobody
        requests, errors = totals.users[:, 1:3].sum(axis=0).tolist()
        anonymous = requests - int(totals.users[known, 1].sum())
        bars = tuple(self.bars(pieces, edges)) if edges else ()
        return Counts(int(known.sum()), requests, errors, routes, anonymous, bars)

    def latencies(self, pieces: Sequence[Piece], times: Sequence[int]) -> list[dict[int, int]]:
        """Between each two neighbouring edges, which no piece may cross, how many latencies fell into each bin."""
        spans = pairwise(times)
        return [
            added_by(self.totals([one for one in pieces if a <= one.start < b], active=False).durations)
            for a, b in spans
        ]

    def failures(self, table: Table) -> dict[str, list[Event]]:
        """These events grouped by person's name, in order of time."""
        ids = table.people[np.unique(table.rows[:, PERSON])] if len(table) else table.people[:0]
        return self._events(table, self.names(self.persons(ids).tolist()))

    def _events(self, table: Table, names: Mapping[int, str]) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for event in table.events(self._namer(table, names)):
            found.setdefault(event.user, []).append(event)
        return found

    def _namer(self, table: Table, names: Mapping[int, str]) -> Namer:
        self.persons(table.people)
        return Namer(self._of_ids, names)

    def events(self, table: Table) -> list[Event]:
        """These events, with the names of people."""
        ids = table.people[np.unique(table.rows[:, PERSON])] if len(table) else table.people[:0]
        return table.events(self._namer(table, self.names(self.persons(ids).tolist())))

    def ids(self, names: Sequence[str]) -> np.ndarray:
        """All ids of these people, by name, id or address."""
        found = {int(each.fields["id"]) for each in self._directory.documents_of(names, self._aliases)}
        return np.array(sorted(found | ({NOBODY} if "anonymous" in names else set())), np.int64)


def newest_of(answer: Answer, pieces: Sequence[Piece], most: int) -> Table:
    """The newest failed events of each person in these pieces, at most `most` each, in order of time."""
    tables = [each.content.failed if isinstance(each.content, Seal) else each.content.failed() for each in pieces]
    table = answer.windows.progress.kept(join(tables))
    return newest(_by_person(table, answer.persons(table.people)), most)


def _by_person(table: Table, persons: np.ndarray) -> Table:
    """The table with a single entry in `people` for all ids of a person."""
    _, first, places = np.unique(persons, return_index=True, return_inverse=True)
    rows = table.rows.copy()
    if len(rows):
        rows[:, PERSON] = places[rows[:, PERSON]]
    return Table(rows, table.people[first], table.routes, table.failures)


def _within(piece: Piece, start: int, end: int) -> tuple[int, int, np.ndarray]:
    """The requests, errors and people's ids of the part of a piece inside [start, end)."""
    content = piece.content
    if isinstance(content, Seal):
        if start <= piece.start and piece.end <= end:
            users = content.totals.users
            return int(users[:, 1].sum()), int(users[:, 2].sum()), content.people
        return *content.requests(start, end), content.there(start, end)
    rows = content.rows
    return len(rows), int((rows[:, OUTCOME] >= 400).sum()), content.people[np.unique(rows[:, PERSON])]


def _shown(users: np.ndarray, most: int | None) -> set[int]:
    """The numbers of the people whom a report may name."""
    requests, errors = users[:, 1], users[:, 2]
    first = np.ones(len(users), bool)
    if most is not None and len(users) > most:
        first[:] = False
        if most:
            edge = np.lexsort((-requests, -errors))[most - 1]
            first = (errors > errors[edge]) | ((errors == errors[edge]) & (requests >= requests[edge]))
    in_need = (errors >= 3) | ((errors > 0) & (errors * 2 >= requests))
    if in_need.sum() > TOP_HELP:
        in_need &= errors >= np.sort(errors[in_need])[-TOP_HELP]
    return set(users[first | in_need, 0].tolist())
