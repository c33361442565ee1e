"""What a report shows for a window in SQLite, counted in arrays; names are looked up only for people who are named.
Call it inside a transaction: seals, events and names must be from one state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from guardian.core.activity import ERRORS_PER_USER, TOP_HELP, Active, Activity, most_in_need, wholly_failed
from guardian.core.counting import among, begins, distinct, grouped_columns, grouped_runs
from guardian.core.summary import Route, RouteTotals, TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite.bars import bar_of, bars_of
from guardian.stores.sqlite.buckets import ids
from guardian.stores.sqlite.counts import NOTHING
from guardian.stores.sqlite.covering import Cover, Piece
from guardian.stores.sqlite.failures import Failed, events_of, read_failed
from guardian.stores.sqlite.latencies import latencies_of, sums_of
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.seals import Run
from guardian.stores.sqlite.tables import Tables
from guardian.stores.sqlite.totals import read_routes


def read_activity(
    db: sqlite3.Connection,
    people: People,
    edges: Sequence[datetime],
    routes: Mapping[int, Route],
    *,
    most: int | None,
    only: Sequence[int] | None,
    latency: bool = False,
) -> tuple[Activity, list[TimelineBar]]:
    """The activity between the first and the last edge, with at most `most` people, and a bar between each two
    neighbouring edges, with its `latency` if asked for. `only` limits it to these route numbers. Raises WindowGone."""
    times, nobody = [micros(edge) for edge in edges], number_of_nobody(db)
    cover = Cover(db, [(times[0], times[-1])])
    if only is None:
        made = cover.pieces(times[0], times[-1])
        tables = Tables.read(db, people, made)
        bars = bars_of(db, people, edges, nobody, cover, made, tables)
    else:
        made = [Piece(start, end, 0) for start, end in pairwise(times)]
        tables = Tables(db, people, made, {at[:2]: read_routes(db, *at[:2], only, people) for at in made})
        known = tables.people_by_piece()
        bars = [bar_of(at, [known[one]] if one in known else [], nobody) for at, one in zip(edges, made, strict=False)]
    durations = tables.runs(Part.DURATIONS)
    took: Sequence[Mapping[int, int]] = ()
    if latency:
        durations = iter(read := list(durations))
        took = latencies_of(db, times, cover, made, sums_of(made, read))
    by_route = _by_route(tables, durations, routes)
    window = ids(times[0], times[-1])
    failed = read_failed(db, people, window, routes=only, with_routes=True).last_of_each(ERRORS_PER_USER)
    found = _activity(db, people, tables, failed, routes, by_route, nobody, times[0], most)
    return replace(found, latencies=tuple(took)), bars


def _activity(
    db: sqlite3.Connection,
    people: People,
    tables: Tables,
    failed: Failed,
    routes: Mapping[int, Route],
    by_route: Mapping[Route, RouteTotals],
    nobody: int,
    start_us: int,
    most: int | None,
) -> Activity:
    features = sorted({route.feature for route in routes.values()})
    code_of = {feature: code for code, feature in enumerate(features)}
    codes = np.zeros(max(routes, default=0) + 1, np.int64)
    for number, route in routes.items():
        codes[number] = code_of[route.feature]
    users, theirs = tables.users(nobody)
    named, names, needy = _named(db, people, users, most)
    # People whose errors are not all known one by one.
    size = int(max(users[:, 0].max(initial=0), nobody, failed.persons.max(initial=0))) + 1
    known = np.bincount(failed.persons, minlength=size)
    unsure_of = users[known[users[:, 0]] < users[:, 2], 0]
    shown = _marked(size, named[:, 0], needy)
    doubted = _marked(size, unsure_of)
    failing = wholly_failed(by_route)
    table = _used(tables, shown | doubted, codes, [code_of[feature] for feature in failing])
    met = failed.persons * len(features) + codes[failed.routes]
    table, met = table[table[:, 0] != nobody], distinct(met[failed.persons != nobody])
    met_by = np.bincount(met % max(len(features), 1), minlength=len(features))
    could = table[doubted[table[:, 0]]]
    new = ~among(could[:, 0] * len(features) + could[:, 1], met)
    unsure = {*np.flatnonzero(np.bincount(could[new, 1])).tolist()}
    reached = np.bincount(table[:, 1], minlength=len(features))
    their = _marked(size, named[:, 0])
    most_used = features_by_use(table if their.all() else table[their[table[:, 0]]], features)
    who, first_us, _, active_us = tables.times(their)
    minutes = users_active(who, first_us, active_us, start_us, size)
    numbers, requests, errors = (column.tolist() for column in named.T)
    columns = (
        [names[number] for number in numbers], requests, errors, minutes[named[:, 0]].tolist(),
        [most_used[number] for number in numbers],
    )  # fmt: skip
    return Activity(
        active_users=len(users),
        requests=int(users[:, 1].sum()) + theirs[0],
        errors=int(users[:, 2].sum()) + theirs[1],
        anonymous=theirs,
        users=[_ACTIVE(row) for row in zip(*columns, strict=True)],  # by `map` it would be one call of 10 ms
        routes=by_route,
        failures=events_of(db, people, failed.where(np.flatnonzero(shown[failed.persons])), names),
        failed_users={
            features[code]: None if code in unsure else int(met_by[code])
            for code in {*np.flatnonzero(met_by).tolist(), *unsure}
        },
        needy=[names[number] for number in needy],
        reached={feature: int(reached[code_of[feature]]) for feature in failing},
    )


_ACTIVE: Callable[[tuple[Any, ...]], Active] = partial(tuple.__new__, Active)  # four times as fast as calling it


def _by_route(tables: Tables, durations: Iterable[Run], routes: Mapping[int, Route]) -> Mapping[Route, RouteTotals]:
    statuses, bins = grouped_columns(*tables.columns(Part.STATUSES)), grouped_runs(run.columns for run in durations)
    return Totals(NOTHING, NOTHING, statuses, bins).by_route(routes)


def _marked(size: int, *numbers: np.ndarray | Sequence[int]) -> np.ndarray:
    """A boolean array of this size, true at these indices."""
    marked = np.zeros(size, bool)
    for places in numbers:
        marked[places] = True
    return marked


def users_active(
    numbers: np.ndarray, first_us: np.ndarray, active_us: np.ndarray, start_us: int, size: int
) -> np.ndarray:
    """The active time of these people in whole minutes (as `guardian.core.summary.active_minutes`), indexed by number
    up to `size`."""
    minutes = np.zeros(size, np.int64)
    minutes[numbers] = (active_us - np.maximum(0, start_us - first_us) + 30_000_000) // 60_000_000
    return minutes


def _named(
    db: sqlite3.Connection, people: People, users: np.ndarray, most: int | None
) -> tuple[np.ndarray, dict[int, str], list[int]]:
    """The rows of the people to be named, in order; their names (and maybe others); and the numbers of those who need
    help."""
    requests, errors = users[:, 1], users[:, 2]
    first = np.ones(len(users), bool)
    if most is not None and len(users) > most:
        if most:
            edge = np.lexsort((-requests, -errors))[most - 1]
            first = (errors > errors[edge]) | ((errors == errors[edge]) & (requests >= requests[edge]))
        else:
            first[:] = False
    in_need = (errors >= 3) | ((errors > 0) & (errors * 2 >= requests))
    if in_need.sum() > TOP_HELP:
        in_need &= errors >= np.sort(errors[in_need])[-TOP_HELP]
    names = names_of(db, people, users[first | in_need, 0].tolist())
    rows = users[first]
    spelled = [names[number] for number in rows[:, 0].tolist()]
    rows = rows[np.array(sorted(range(len(rows)), key=spelled.__getitem__), np.int64)]
    rows = rows[np.lexsort((-rows[:, 1], -rows[:, 2]))][:most]
    numbers = {names[number]: number for number in users[in_need, 0].tolist()}
    needy = most_in_need((names[row[0]], row[1], row[2]) for row in users[in_need].tolist())
    return rows, names, [numbers[name] for name in needy]


def features_by_use(table: np.ndarray, features: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """Each person's features by name, most used first; `table` has person, feature, requests."""
    # Already sorted by person and feature.
    person, _, count = table.T
    most = int(count.max(initial=0))
    table = table[np.argsort(person * (most + 1) + (most - count), kind="stable")]
    words = [features[code] for code in table[:, 1].tolist()]
    first = np.flatnonzero(begins(table[:, 0]))
    edges = [*first.tolist(), len(words)]
    return {number: tuple(words[a:b]) for number, (a, b) in zip(table[first, 0].tolist(), pairwise(edges), strict=True)}


def _used(tables: Tables, wanted: np.ndarray, codes: np.ndarray, failing: Collection[int]) -> np.ndarray:
    """Rows of (person, feature, requests): of the wanted people, and for these features of everybody. `codes` maps each
    route to its feature."""
    found = [[column[:0] for column in NOTHING.T]]
    every = _marked(int(codes.max()) + 1, list(failing))[codes]
    for run in tables.runs(Part.USED):
        persons, route, count = run.columns
        keep = wanted.take(persons)
        if failing:
            keep |= every.take(route)
        if keep.all():
            found.append([persons, codes[route], count])
        else:
            here = np.flatnonzero(keep)
            found.append([persons[here], codes[route[here]], count[here]])
    return grouped_columns(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
