"""The totals of a window in SQLite without its people: by route, and how many people there were. Call it inside a
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import numpy as np

from guardian.core.counting import grouped_columns
from guardian.core.storage import WindowGone
from guardian.core.summary import Counts, Route, TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.bars import active, bars_of, read_bars
from guardian.stores.sqlite.covering import Cover, runs
from guardian.stores.sqlite.people import People, number_of_nobody
from guardian.stores.sqlite.tables import Tables
from guardian.stores.sqlite.totals import count_outcomes, read_routes, refuse_gone


def read_counts(
    db: sqlite3.Connection,
    people: People,
    edges: Sequence[datetime],
    routes: Mapping[int, Route],
    *,
    only: Sequence[int] | None,
    bars: bool,
) -> Counts:
    """The totals of a window without its people; with `bars`, also a bar between each two neighbouring edges, as far as
    the data for them still exists. Raises WindowGone."""
    nobody, start_us, end_us = number_of_nobody(db), micros(edges[0]), micros(edges[-1])
    drawn: Sequence[TimelineBar] = ()
    if only is not None:
        totals = read_routes(db, start_us, end_us, only, people)
        users, asked, statuses = totals.users[:, 0], totals.users[:, 1], totals.statuses
        drawn = read_bars(db, people, edges, only) if bars else ()
    else:
        cover = Cover(db, start_us)
        made = cover.pieces(start_us, end_us)
        tables = Tables.read(db, people, made, (Part.PEOPLE, Part.STATUSES))
        users, asked, _ = tables.columns(Part.PEOPLE)
        statuses = grouped_columns(*tables.columns(Part.STATUSES))
        with suppress(WindowGone):  # an edge may lie inside 5 minutes whose single events are deleted
            drawn = bars_of(db, people, edges, nobody, cover, made, tables) if bars else ()
    failed = int(statuses[statuses[:, 1] >= 400, 2].sum())
    by_route = Totals(NOTHING, NOTHING, statuses, NOTHING).by_route(routes)
    anonymous = int(asked[users == nobody].sum())
    return Counts(active(users, nobody), int(statuses[:, 2].sum()), failed, by_route, anonymous, tuple(drawn))


def read_outcomes(
    db: sqlite3.Connection, windows: Sequence[tuple[datetime, datetime]], *, only: Sequence[int] | None
) -> list[dict[int, int]]:
    """See `UsageRepository.outcomes`; `only` limits it to these route numbers."""
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
