"""The bars of a timeline in SQLite, for the whole app or some features: from sealed summaries, without names. Call it
inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np

from guardian.core.counting import among
from guardian.core.summary import TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import DAY, ids
from guardian.stores.sqlite.covering import Cover, Piece, runs
from guardian.stores.sqlite.numbers import read_numbers
from guardian.stores.sqlite.people import People, number_of_nobody
from guardian.stores.sqlite.seal_marks import read_marks
from guardian.stores.sqlite.tables import Tables
from guardian.stores.sqlite.totals import read_raw

_PEOPLE = (Part.PEOPLE,)
_MOST = 5_000
"""So many bars are kept."""
_Numbers = tuple[int, int, int]
"""The requests of a bar, how many failed, and how many verified users there were."""
_Who = tuple[int, Mapping[int, int]]
"""The number of nobody in particular, and which numbers of users stand for another one."""
_Key = tuple[tuple[Piece, ...], tuple[object, ...]]
"""The sealed buckets of a bar and its pieces of lone hours, and the marks of their days (`seal_marks`)."""


class KeptBars:
    """The numbers of bars that were counted before: pages and reports show most of the same half hours or days again.
    They are good for as long as the same users are one person. Several threads may use it at once."""

    def __init__(self) -> None:
        self._now: tuple[_Who | None, dict[_Key, _Numbers]] = None, {}

    def of(self, who: _Who) -> dict[_Key, _Numbers]:
        """Those that are known, to which others may be added."""
        before, known = self._now
        if before != who or len(known) > _MOST:
            known = {}
            self._now = who, known
        return known


_kept = KeptBars()


def read_bars(
    db: sqlite3.Connection, people: People, edges: Sequence[datetime], only: Sequence[int] | None
) -> list[TimelineBar]:
    """A bar between each two neighbours, with `only` for these route numbers alone. Raises WindowGone."""
    nobody = number_of_nobody(db)
    times = [micros(edge) for edge in edges]
    cover = Cover(db, [(times[0], times[-1])])
    made = cover.pieces(times[0], times[-1])
    if only is None:
        return bars_of(db, people, edges, nobody, cover, made, Tables.read(db, people, made, _PEOPLE))
    routes = np.array(sorted(only), np.int64)
    found = []
    for start, inside in zip(edges[:-1], cover.between(times, made), strict=True):
        who, requests, errors = _of_routes(db, people, inside, routes)
        found.append(TimelineBar(start, requests, errors, active(who, nobody)))
    return found


def bars_of(
    db: sqlite3.Connection,
    people: People,
    edges: Sequence[datetime],
    nobody: int,
    cover: Cover,
    made: Sequence[Piece],
    tables: Tables,
) -> list[TimelineBar]:
    """A bar between each two neighbouring edges. The pieces of these tables make up the whole window; more is read only
    for a piece that crosses an edge, of a bar that is not kept. Raises WindowGone."""
    times = [micros(edge) for edge in edges]
    inside, marks = cover.between(times, made), read_marks(db, times[0], times[-1])
    kept, found, counted = _kept.of((nobody, people.same)), list[_Numbers](), dict[Piece, list[np.ndarray]]()
    days = (range(start // DAY, -(-end // DAY)) for start, end in pairwise(times))
    keys = [(tuple(pieces), tuple(marks[day] for day in some)) for pieces, some in zip(inside, days, strict=True)]
    if new := [piece for key in keys if key not in kept for piece in key[0]]:
        counted = tables.people_by_piece()
        more = [piece for piece in new if piece not in counted]
        counted |= Tables.read(db, people, [piece for piece in more if piece.span], _PEOPLE).people_by_piece()
        counted |= {piece: _single(db, people, piece) for piece in more if not piece.span}
    for key in keys:
        if (numbers := kept.get(key)) is None:
            numbers = _numbers([counted[piece] for piece in key[0]], nobody)
            if all(piece.span or piece.mark for piece in key[0]):
                kept[key] = numbers
        found.append(numbers)
    return [TimelineBar(start, *numbers) for start, numbers in zip(edges, found, strict=False)]


def _single(db: sqlite3.Connection, people: People, piece: Piece) -> list[np.ndarray]:
    """The person of each single event of a piece, 1 (for the request), and whether it failed."""
    where = ids(piece.start, piece.end)
    [packed] = read_numbers(db, ["user * 2 + (status >= 400)"], "id >= ? AND id < ?", where)
    return [people.persons(packed >> 1), np.ones_like(packed), packed & 1]


def bar_of(start: datetime, known: Sequence[Sequence[np.ndarray]], nobody: int) -> TimelineBar:
    """The bar for these persons, requests and errors."""
    return TimelineBar(start, *_numbers(known, nobody))


def _numbers(known: Sequence[Sequence[np.ndarray]], nobody: int) -> _Numbers:
    if not known:
        return 0, 0, 0
    users, requests, errors = (np.concatenate(columns) for columns in zip(*known, strict=True))
    return int(requests.sum()), int(errors.sum()), active(users, nobody)


def active(users: np.ndarray, nobody: int) -> int:
    """How many distinct verified users there are among these numbers."""
    there = np.zeros(int(users.max(initial=-1)) + 1, bool)
    there[users] = True
    if nobody < len(there):
        there[nobody] = False
    return int(np.count_nonzero(there))


def _of_routes(
    db: sqlite3.Connection, people: People, made: Sequence[Piece], routes: np.ndarray
) -> tuple[np.ndarray, int, int]:
    """The numbers of the people (with repetitions), the number of requests, and the number of failed ones."""
    users, requests, errors = [np.zeros(0, np.int64)], 0, 0
    for span, at, until in runs(made):
        single = None if span else read_raw(db, at, until, routes.tolist())
        who, route, _ = _of(db, single, Part.USED, span, at, until)
        users.append(who[among(route, routes)])
        route, outcome, count = _of(db, single, Part.STATUSES, span, at, until)
        count = count * among(route, routes)
        requests += int(count.sum())
        errors += int(count[outcome >= 400].sum())
    return people.persons(np.concatenate(users)), requests, errors


def _of(
    db: sqlite3.Connection, single: Totals | None, part: Part, span: int, start: int, end: int
) -> Sequence[np.ndarray]:
    """The first three columns of a part, from single events or sealed buckets."""
    return seals.columns(db, part, span, start, end, (0, 1, 2)) if single is None else single.columns(part)[:3]
