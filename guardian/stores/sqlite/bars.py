"""The bars of a timeline in SQLite, for the whole app or some features: from sealed summaries, without names. Call it
inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from guardian.core.counting import among
from guardian.core.summary import TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import ids
from guardian.stores.sqlite.covering import Cover, Piece, runs
from guardian.stores.sqlite.numbers import read_numbers
from guardian.stores.sqlite.people import People, number_of_nobody
from guardian.stores.sqlite.tables import Tables
from guardian.stores.sqlite.totals import read_raw

_PEOPLE = (Part.PEOPLE,)


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
    nobody: int | None,
    cover: Cover,
    made: Sequence[Piece],
    tables: Tables,
) -> list[TimelineBar]:
    """A bar between each two neighbouring edges. The pieces of these tables make up the whole window; more is read only
    for a piece that crosses an edge. Raises WindowGone."""
    inside, known = cover.between([micros(edge) for edge in edges], made), tables.people_by_piece()
    more = [piece for pieces in inside for piece in pieces if piece not in known]
    known |= Tables.read(db, people, [piece for piece in more if piece.span], _PEOPLE).people_by_piece()
    known |= {piece: _single(db, people, piece) for piece in more if not piece.span}
    return [bar_of(at, [known[piece] for piece in pieces], nobody) for at, pieces in zip(edges, inside, strict=False)]


def _single(db: sqlite3.Connection, people: People, piece: Piece) -> list[np.ndarray]:
    """The person of each single event of a piece, 1 (for the request), and whether it failed."""
    where = ids(piece.start, piece.end)
    [packed] = read_numbers(db, ["user * 2 + (status >= 400)"], "id >= ? AND id < ?", where)
    return [people.persons(packed >> 1), np.ones_like(packed), packed & 1]


def bar_of(start: datetime, known: Sequence[Sequence[np.ndarray]], nobody: int | None) -> TimelineBar:
    """The bar for these persons, requests and errors."""
    if not known:
        return TimelineBar(start, 0, 0, 0)
    users, requests, errors = (np.concatenate(columns) for columns in zip(*known, strict=True))
    return TimelineBar(start, int(requests.sum()), int(errors.sum()), active(users, nobody))


def active(users: np.ndarray, nobody: int | None) -> int:
    """How many distinct verified users there are among these numbers."""
    there = np.zeros(int(users.max(initial=-1)) + 1, bool)
    there[users] = True
    if nobody is not None and nobody < len(there):
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
