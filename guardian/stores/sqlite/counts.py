"""The totals of a window in SQLite without its people: those of each route, and how many people there were.

To be called inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from guardian.core.counting import grouped
from guardian.core.storage import WindowGone
from guardian.core.summary import Counts, Route
from guardian.core.time import micros
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.covering import Cover, pieces, runs
from guardian.stores.sqlite.people import People, number_of_nobody
from guardian.stores.sqlite.totals import count_outcomes, read_raw, read_routes, refuse_gone


def read_counts(
    db: sqlite3.Connection,
    people: People,
    start: datetime,
    end: datetime,
    routes: Mapping[int, Route],
    *,
    only: Sequence[int] | None,
) -> Counts:
    """The totals of a window without its people. Raises WindowGone."""
    if only is not None:
        totals = read_routes(db, micros(start), micros(end), only, people)
        users, asked, statuses = totals.users[:, 0], totals.users[:, 1], totals.statuses
    else:
        found, tables = [list(NOTHING.T[:2])], [NOTHING]
        for span, at, until in runs(pieces(db, micros(start), micros(end))):
            if span:
                found.append(seals.columns(db, Part.PEOPLE, span, at, until, (0, 1)))
                tables.append(np.stack(seals.columns(db, Part.STATUSES, span, at, until, (0, 1, 2)), axis=1))
            else:
                totals = read_raw(db, at, until, people=people)
                found.append(list(totals.users.T[:2]))
                tables.append(totals.statuses)
        users, asked = (np.concatenate(columns) for columns in zip(*found, strict=True))
        users, statuses = people.persons(users), grouped(np.concatenate(tables))
    failed = int(statuses[statuses[:, 1] >= 400, 2].sum())
    by_route = Totals(NOTHING, NOTHING, statuses, NOTHING).by_route(routes)
    nobody = number_of_nobody(db)
    anonymous = int(asked[users == nobody].sum())
    return Counts(active(users, nobody), int(statuses[:, 2].sum()), failed, by_route, anonymous)


def read_outcomes(
    db: sqlite3.Connection, windows: Sequence[tuple[datetime, datetime]], *, only: Sequence[int] | None
) -> list[dict[int, int]]:
    """See `UsageRepository.outcomes`; `only` of these numbers of routes."""
    found = []
    cover = Cover(db, min((micros(start) for start, _ in windows), default=0))
    for start, end in windows:
        try:
            found.append(_outcomes(db, cover, micros(start), micros(end), only))
        except WindowGone:
            break
    return found


def _outcomes(
    db: sqlite3.Connection, cover: Cover, start_us: int, end_us: int, only: Sequence[int] | None
) -> dict[int, int]:
    if only is not None:
        refuse_gone(db, start_us, end_us)
        return count_outcomes(db, start_us, end_us, only)
    found: dict[int, int] = {}
    for span, at, until in runs(cover.pieces(start_us, end_us)):
        if span:
            outcomes, counts = seals.columns(db, Part.STATUSES, span, at, until, (1, 2))
            sums = np.bincount(outcomes, weights=counts)  # floats, exact up to 2 ** 53
            more = {outcome: int(sums[outcome]) for outcome in np.flatnonzero(sums).tolist()}
        else:
            more = count_outcomes(db, at, until, None)
        for outcome, number in more.items():
            found[outcome] = found.get(outcome, 0) + number
    return found


NOTHING = np.zeros((0, 3), np.int64)


def active(users: np.ndarray, nobody: int | None) -> int:
    """How many verified users there are among these numbers, in which somebody may be several times."""
    counts = np.bincount(users)
    there = nobody is not None and nobody < len(counts) and counts[nobody] > 0
    return int(np.count_nonzero(counts)) - int(there)
