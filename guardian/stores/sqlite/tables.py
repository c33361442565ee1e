"""The parts of a window's totals in SQLite: from sealed buckets, and from single events where none fits. Call it inside
a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from guardian.core.codec.table import joined
from guardian.core.totals import ALL, Part, Totals, times_of
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.covering import Piece, runs
from guardian.stores.sqlite.people import People
from guardian.stores.sqlite.routes import all_features
from guardian.stores.sqlite.seals import Run
from guardian.stores.sqlite.totals import read_pieces, read_single

AT_ONCE = 25_000
"""About how many rows are decoded at once. The system clears each page of memory that it gives: arrays of a whole month
took more time for that than for all counting, those of a few days are given back and used again."""


class Tables:
    """The stored data of these pieces, which are in order; `single` has the totals of pieces that are not buckets, by
    start and end. Users are joined into persons."""

    def __init__(
        self, db: sqlite3.Connection, people: People, made: Sequence[Piece], single: Mapping[tuple[int, int], Totals]
    ) -> None:
        self._db, self._people, self._made, self._single = db, people, made, single

    @classmethod
    def read(
        cls, db: sqlite3.Connection, people: People, made: Sequence[Piece], parts: Collection[Part] = ALL
    ) -> Tables:
        """For pieces of the whole app. Single events are counted once, whichever of these parts are read later."""
        return cls(db, people, made, {at[:2]: read_single(db, at, people, parts) for at in _single(made)})

    @classmethod
    def by_id(
        cls, db: sqlite3.Connection, people: People, made: Sequence[Piece], parts: Collection[Part] = ALL
    ) -> Tables:
        """The same with a row for each id of a person in single events too, so that rows of PEOPLE and of TIMES belong
        together everywhere."""
        return cls(db, people, made, {at[:2]: read_single(db, at, parts=parts) for at in _single(made)})

    def runs(self, part: Part, number: int = 3) -> Iterator[Run]:
        """The first `number` columns of a part, run by run: some buckets of one length that follow each other, or
        single events; all three of people are read once. Raises ValueError or zlib.error where one is damaged."""
        return iter(self._people_of) if part is Part.PEOPLE and number == 3 else self._read(part, number)

    @cached_property
    def _people_of(self) -> Sequence[Run]:
        return list(self._read(Part.PEOPLE, 3))

    def _read(self, part: Part, number: int) -> Iterator[Run]:
        made = list(runs(self._made))
        sealed = iter(seals.tables_in(self._db, part, [each for each in made if each[0]]))
        for span, at, until in made:
            if span:
                found = _short_runs(next(sealed), range(number))
            else:
                columns = self._single[at, until].columns(part)[:number]
                found = iter([Run([at], list(columns), [0, len(columns[0])])])
            for run in found:
                if part in (Part.PEOPLE, Part.USED):
                    run.columns[0] = self._people.persons(run.columns[0])
                yield run

    def columns(self, part: Part) -> list[np.ndarray]:
        """The same for all pieces, concatenated."""
        found = [run.columns for run in self.runs(part)]
        if not found:
            return [np.zeros(0, np.int64) for _ in range(3)]
        return found[0] if len(found) == 1 else [np.concatenate(each) for each in zip(*found, strict=True)]

    def users(self, nobody: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Number, requests and errors of each verified person, by number; then the requests and errors of unverified
        users."""
        size = max((int(run.columns[0].max(initial=0)) for run in self._people_of), default=0) + 1
        requests, errors, theirs = np.zeros(size, np.int64), np.zeros(size, np.int64), (0, 0)
        for run in self._people_of:
            persons, asked, bad = run.columns
            np.add.at(requests, persons, asked)
            np.add.at(errors, persons, bad)
        if nobody < size:
            theirs = int(requests[nobody]), int(errors[nobody])
            requests[nobody] = 0
        numbers = np.flatnonzero(requests)
        return np.stack((numbers, requests[numbers], errors[numbers]), axis=1), theirs

    def people_by_piece(self) -> dict[Piece, list[np.ndarray]]:
        """The persons of each piece, with their requests and errors."""
        piece_at, found = {piece.start: piece for piece in self._made}, {}
        for run in self.runs(Part.PEOPLE):
            for start, (a, b) in zip(run.starts, pairwise(run.edges), strict=True):
                if start in piece_at:  # a run may contain other pieces too
                    found[piece_at[start]] = [column[a:b] for column in run.columns]
        return found

    def times(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of the persons at whose numbers `wanted` is true, those who were there: their numbers in order, and the
        first_start_us, last_us and active_us of each as in `UserTotals`."""
        if self._people.same and any(piece.span for piece in self._made):
            # A person with several ids may appear with two at once.
            read = read_pieces(self._db, self._made, self._people, (Part.PEOPLE, Part.TIMES))
            users = Totals.merge([part for _, part in read]).users
            users = users[wanted[users[:, 0]]]
            return users[:, 0], users[:, 4], users[:, 5], users[:, 6]
        found = [[np.zeros(0, np.int64)] * 4]
        for people, times in zip(self.runs(Part.PEOPLE), self.runs(Part.TIMES), strict=True):
            here = np.flatnonzero(wanted[people.columns[0]])
            found.append([people.columns[0][here], *(column[here] for column in times.columns)])
        persons, first, length, idle = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return times_of(persons, first, first + length, length - idle)


def _short_runs(stored: seals.Stored, wanted: Collection[int]) -> Iterator[Run]:
    """These columns of what is stored, in several runs where it has many rows: parts of equally long buckets, such as
    PEOPLE and TIMES, are cut alike."""
    first, rows = 0, 0
    for n, table in enumerate(stored.tables, 1):
        rows += table.rows
        if rows >= AT_ONCE or n == len(stored.tables):
            yield Run(stored.starts[first:n], *joined(stored.tables[first:n], wanted))
            first, rows = n, 0


def _single(made: Sequence[Piece]) -> list[Piece]:
    return [piece for piece in made if not piece.span]


def features_of(db: sqlite3.Connection) -> tuple[list[str], np.ndarray]:
    """The names of all features, and the place of each route's among them, by its number."""
    routes = all_features(db)
    features = sorted({*routes.values()})
    place = {feature: n for n, feature in enumerate(features)}
    places = np.zeros(max(routes, default=0) + 1, np.int64)
    for number, feature in routes.items():
        places[number] = place[feature]
    return features, places
