"""The totals of a window in SQLite without its people: by route, and how many people there were. Call it inside a
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import numpy as np

from guardian.core.codec.table import joined
from guardian.core.counting import grouped_columns
from guardian.core.storage import WindowGone
from guardian.core.summary import Counts, Route, TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.bars import active, bars_of, read_bars
from guardian.stores.sqlite.covering import Cover, Piece, runs
from guardian.stores.sqlite.listed import Range
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
        # numpy would compare numbers with None one by one, 10 ms for 600,000
        theirs = int(totals.users[totals.users[:, 0] == nobody, 1].sum())
        present, statuses = active(totals.users[:, 0], nobody), totals.statuses
        drawn = read_bars(db, people, edges, only) if bars else ()
    else:
        cover = Cover(db, [(start_us, end_us)])
        made = cover.pieces(start_us, end_us)
        tables = Tables.read(db, people, made, (Part.PEOPLE, Part.STATUSES))
        users, (theirs, _) = tables.users(nobody)
        present, statuses = len(users), grouped_columns(*tables.columns(Part.STATUSES))
        with suppress(WindowGone):  # an edge may lie inside 5 minutes whose single events are deleted
            drawn = bars_of(db, people, edges, nobody, cover, made, tables) if bars else ()
    failed = int(statuses[statuses[:, 1] >= 400, 2].sum())
    by_route = Totals(NOTHING, NOTHING, statuses, NOTHING).by_route(routes)
    return Counts(present, int(statuses[:, 2].sum()), failed, by_route, theirs, tuple(drawn))


def read_outcomes(
    db: sqlite3.Connection, windows: Sequence[tuple[datetime, datetime]], *, only: Sequence[int] | None
) -> list[dict[int, int]]:
    """See `UsageRepository.outcomes`; `only` limits it to these route numbers."""
    times = [(micros(start), micros(end)) for start, end in windows]
    found, sealed, place_of = list[dict[int, int]](), list[Range](), list[int]()
    cover = Cover(db, times if only is None else ())
    for place, (start, end) in enumerate(times):
        try:
            if only is None:
                made = cover.pieces(start, end)
            else:
                refuse_gone(db, start, end)
                made = [Piece(start, end, 0)]
        except WindowGone:
            break
        counts: dict[int, int] = {}
        single = {piece.start: piece for piece in made if not piece.span}
        for run in runs(made):
            if run[0]:
                sealed.append(run)
                place_of.append(place)
            else:
                _add(counts, count_outcomes(db, single[run[1]], only).items())
        found.append(counts)
    if sealed:
        stored = seals.tables_in(db, Part.STATUSES, sealed)
        (outcomes, numbers), edges = joined([table for each in stored for table in each.tables], (1, 2))
        places = np.repeat(place_of, [len(each.tables) for each in stored])
        size = int(outcomes.max(initial=0)) + 1
        keys = np.repeat(places, np.diff(edges)) * size + outcomes
        sums = np.bincount(keys, weights=numbers)  # floats, exact up to 2 ** 53
        for key in np.flatnonzero(sums).tolist():
            _add(found[key // size], [(key % size, int(sums[key]))])
    return found


def _add(counts: dict[int, int], more: Iterable[tuple[int, int]]) -> None:
    for outcome, number in more:
        counts[outcome] = counts.get(outcome, 0) + number


NOTHING = np.zeros((0, 3), np.int64)
