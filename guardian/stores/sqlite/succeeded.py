"""Who has successfully used a feature since a moment, from SQLite; sealed buckets are used wherever they suffice. Call
it inside a transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from guardian.core.totals import Part
from guardian.stores.people.aliases import Aliases
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import AT_US, MINUTES5, SPANS, ids, meta
from guardian.stores.sqlite.covering import Piece, cover, pieces
from guardian.stores.sqlite.people import People, read_people
from guardian.stores.sqlite.routes import all_features
from guardian.stores.sqlite.sampling import LATENCY, TIMED
from guardian.stores.succeeded import Asked, Counted, Singles, succeeded


def read_succeeded(
    db: sqlite3.Connection,
    aliases: Aliases,
    since: Mapping[tuple[str, str], int],
    end_us: int,
    within_us: float | None = None,
) -> set[tuple[str, str]]:
    """See `HistoryStore.succeeded`."""
    asked = Asked.of(since)
    first_us = max(meta(db, "purged_until_us"), meta(db, "forgotten_until_us"))
    people = read_people(db, aliases)
    if within_us is not None:
        names, quick = _Names(db, people, asked), f"AND {TIMED} AND {LATENCY} <= ?"
        singles = Singles(lambda start_us, end_us, some: names.read(start_us, end_us, some, quick, within_us))
        return succeeded(asked, end_us, singles, first_us)
    return succeeded(asked, end_us, _Sealed(db, people, asked), first_us)


class _Names:
    """Maps this database's numbers of people and routes to indices."""

    def __init__(self, db: sqlite3.Connection, people: People, asked: Asked) -> None:
        self._db, self._people = db, people
        self._numbers = np.array(_numbers(db, people, asked.people), np.int64)
        self._place = _places({number: n for n, number in enumerate(self._numbers.tolist()) if number >= 0})
        code = {name: n for n, name in enumerate(asked.features)}
        self._feature = _places({number: code[name] for number, name in all_features(db).items() if name in code})

    def read(
        self, start_us: int, end_us: int, people: np.ndarray, only: str = "", *values: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Summaries.good`; `only` is an additional SQL condition."""
        wanted = {*self._numbers[people].tolist()}
        wanted |= {number for number, person in self._people.same.items() if person in wanted}
        rows = self._db.execute(
            f"SELECT {AT_US}, user, route FROM guardian_request WHERE id >= ? AND id < ? AND failure IS NULL "
            f"AND user IN (SELECT value FROM json_each(?)) {only}",
            (*ids(start_us, end_us), json.dumps([*wanted]), *values),
        )
        at_us, users, routes = np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 3).T
        return at_us, self._persons(users), self._of(routes)

    def _persons(self, numbers: np.ndarray) -> np.ndarray:
        return self._place.take(self._people.persons(numbers), mode="clip")

    def _of(self, routes: np.ndarray) -> np.ndarray:
        return self._feature.take(routes, mode="clip")


class _Sealed(_Names):
    """The summaries of this database."""

    def pieces(self, start_us: int, end_us: int) -> Sequence[Piece]:
        """See Summaries."""
        return pieces(self._db, start_us, end_us)

    def inside(self, piece: Piece) -> Sequence[Piece]:
        """See Summaries."""
        if piece.span == MINUTES5:
            return [piece._replace(span=0)]
        shorter = SPANS[SPANS.index(piece.span) + 1 :]
        return list(cover(self._db, piece.start, piece.end, shorter, piece.end, ()))

    def counted(self, piece: Piece) -> Counted | None:
        """See Summaries."""
        if not piece.span:
            return None
        read = (piece.span, piece.start, piece.end)
        people, requests, errors = seals.columns(self._db, Part.PEOPLE, *read, (0, 1, 2))
        users, routes, used = seals.columns(self._db, Part.USED, *read, (0, 1, 2))
        return Counted(self._persons(people), requests, errors, self._persons(users), self._of(routes), used)

    def good(self, piece: Piece, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See Summaries."""
        return self.read(piece.start, piece.end, people)


def _places(place: Mapping[int, int]) -> np.ndarray:
    """An array that maps numbers to indices; -1 for all others, including its last element."""
    found = np.full(max(place, default=-1) + 2, -1, np.int64)
    found[list(place)] = list(place.values())
    return found


def _numbers(db: sqlite3.Connection, people: People, names: Sequence[str]) -> list[int]:
    """The number that stands for each of these persons; unknown persons get distinct negative numbers."""
    if people.first is not None:
        known: Mapping[str, int] = people.first
    else:
        sql = "SELECT email, id FROM guardian_user WHERE email IN (SELECT value FROM json_each(?))"
        known = dict(db.execute(sql, (json.dumps(list(names)),)))
    return [known.get(name, -1 - n) for n, name in enumerate(names)]
