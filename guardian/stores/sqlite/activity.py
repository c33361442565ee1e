"""What a report shows of a window in SQLite, counted in arrays: names are looked up for the people that are named.

To be called inside a transaction: seals, events and names must be of one state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise

import numpy as np

from guardian.core.activity import ERRORS_PER_USER, TOP_HELP, Active, Activity, most_in_need, wholly_failed
from guardian.core.summary import Route, TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Part, Totals, among, distinct, grouped
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import ids
from guardian.stores.sqlite.counts import NOTHING, active
from guardian.stores.sqlite.failures import Failed, events_of, read_failed
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.totals import Piece, pieces, pieces_between, read_pieces, read_raw, read_routes, runs

_SUMMED = (Part.PEOPLE, Part.TIMES, Part.STATUSES, Part.DURATIONS)


def read_activity(
    db: sqlite3.Connection,
    people: People,
    edges: Sequence[datetime],
    routes: Mapping[int, Route],
    *,
    most: int | None,
    only: Sequence[int] | None,
) -> tuple[Activity, list[TimelineBar]]:
    """The activity from the first edge to the last, with at most so many people, and a bar for each two neighbours;
    `only` of these numbers of routes. Raises WindowGone."""
    start, end = micros(edges[0]), micros(edges[-1])
    if only is None:
        made = pieces(db, start, end)
        read = list(read_pieces(db, made, people, _SUMMED))
        parts = [part for _, part in read]
        known = {piece: part.users[:, :3].T for piece, part in read}
        people_of = [
            _people(db, people, each, known) for each in pieces_between(db, [micros(edge) for edge in edges], made)
        ]
    else:
        made, read = [], []
        parts = [read_routes(db, *each, only, people) for each in pairwise(map(micros, edges))]
        people_of = [list(part.users[:, :3].T) for part in parts]
    totals, nobody = Totals.merge(parts), number_of_nobody(db)
    bars = [
        TimelineBar(at, int(requests.sum()), int(errors.sum()), active(users, nobody))
        for at, (users, requests, errors) in zip(edges[:-1], people_of, strict=True)
    ]
    failed = read_failed(db, people, ids(start, end), routes=only, with_routes=True).last_of_each(ERRORS_PER_USER)

    def used(wanted: np.ndarray, failing: Collection[int]) -> np.ndarray:
        if only is None:
            single = {piece: part.used for piece, part in read if not piece.span}
            return _used(db, people, made, single, wanted, failing)
        return totals.used

    return _activity(db, people, totals, failed, used, routes, nobody, start, most), bars


def _activity(
    db: sqlite3.Connection,
    people: People,
    totals: Totals,
    failed: Failed,
    used: Callable[[np.ndarray, Collection[int]], np.ndarray],
    routes: Mapping[int, Route],
    nobody: int | None,
    start_us: int,
    most: int | None,
) -> Activity:
    by_route = totals.by_route(routes)
    theirs = totals.users[totals.users[:, 0] == nobody]
    users = totals.users[totals.users[:, 0] != nobody]
    features = sorted({route.feature for route in routes.values()})
    code_of = {feature: code for code, feature in enumerate(features)}
    codes = np.zeros(max(routes, default=0) + 1, np.int64)
    for number, route in routes.items():
        codes[number] = code_of[route.feature]
    named, names, needy = _named(db, people, users, most)
    # Of whose errors not all are known one by one.
    size = int(max(totals.users[:, 0].max(initial=0), failed.persons.max(initial=0))) + 1
    known = np.bincount(failed.persons, minlength=size)
    unsure_of = users[known[users[:, 0]] < users[:, 2], 0]
    wanted = np.zeros(size, bool)
    wanted[named[:, 0]] = wanted[unsure_of] = True
    failing = wholly_failed(by_route)
    table = used(wanted, [number for number, route in routes.items() if route.feature in failing])
    table = table[table[:, 0] != nobody]
    table[:, 1] = codes[table[:, 1]]
    table = grouped(table)
    met = failed.persons * len(features) + codes[failed.routes]
    met = distinct(met[failed.persons != nobody])
    met_by = np.bincount(met % max(len(features), 1), minlength=len(features))
    doubted = np.zeros(size, bool)
    doubted[unsure_of] = True
    could = table[doubted[table[:, 0]]]
    new = ~among(could[:, 0] * len(features) + could[:, 1], met)
    unsure = np.flatnonzero(np.bincount(could[new, 1])).tolist()
    told = {names[number] for number in [*named[:, 0].tolist(), *needy]}
    shown = np.zeros(size, bool)
    shown[named[:, 0]] = shown[needy] = True
    reached = np.bincount(table[:, 1], minlength=len(features))
    most_used = _most_used(table[shown[table[:, 0]]], features)
    minutes_of = users_active(named, start_us)
    return Activity(
        active_users=len(users),
        requests=int(totals.users[:, 1].sum()),
        errors=int(totals.users[:, 2].sum()),
        anonymous=(int(theirs[:, 1].sum()), int(theirs[:, 2].sum())),
        users=[
            Active(names[number], requests, errors, minutes, most_used[number])
            for (number, requests, errors), minutes in zip(named[:, :3].tolist(), minutes_of.tolist(), strict=True)
        ],
        routes=by_route,
        failures={
            name: events
            for name, events in events_of(
                db, people, failed.where(np.flatnonzero(shown[failed.persons])), names
            ).items()
            if name in told
        },
        failed_users={
            features[code]: None if code in set(unsure) else int(met_by[code])
            for code in {*np.flatnonzero(met_by).tolist(), *unsure}
        },
        needy=[names[number] for number in needy],
        reached={feature: int(reached[code_of[feature]]) for feature in failing},
    )


def users_active(users: np.ndarray, start_us: int) -> np.ndarray:
    """The active time of each in whole minutes, as `guardian.core.summary.active_minutes`."""
    active = users[:, 6] - np.maximum(0, start_us - users[:, 4])
    minutes: np.ndarray = (active + 30_000_000) // 60_000_000
    return minutes


def _named(
    db: sqlite3.Connection, people: People, users: np.ndarray, most: int | None
) -> tuple[np.ndarray, dict[int, str], list[int]]:
    """The rows of those who are named, in order; the names of these and more; and the numbers of who needs help."""
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


def _most_used(table: np.ndarray, features: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """By person, the names of the features, the most used first; `table` has person, feature, requests."""
    person, code, count = table.T
    table = table[np.lexsort((code, -count, person))]
    words = [features[code] for code in table[:, 1].tolist()]
    first = np.flatnonzero(np.diff(table[:, 0], prepend=-1))
    edges = [*first.tolist(), len(words)]
    return {number: tuple(words[a:b]) for number, (a, b) in zip(table[first, 0].tolist(), pairwise(edges), strict=True)}


def _people(
    db: sqlite3.Connection, people: People, made: Sequence[Piece], known: Mapping[Piece, np.ndarray]
) -> list[np.ndarray]:
    """Number, requests and errors of the persons of these pieces, of each once or more; `known` has those of some."""
    found = [[column[:0] for column in NOTHING.T]]
    for there, group in groupby(made, known.__contains__):
        if there:
            found += [list(known[piece]) for piece in group]
            continue
        for span, at, until in runs(list(group)):
            if span:
                found.append(seals.columns(db, Part.PEOPLE, span, at, until, (0, 1, 2)))
            else:
                found.append(list(read_raw(db, at, until, people=people).users[:, :3].T))
    users, requests, errors = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return [people.persons(users), requests, errors]


def _used(
    db: sqlite3.Connection,
    people: People,
    made: Sequence[Piece],
    single: Mapping[Piece, np.ndarray],
    wanted: np.ndarray,
    failing: Collection[int],
) -> np.ndarray:
    """Person, route, requests of the people that are wanted, and of these routes of everyone; `single` has those of the
    pieces that are single events."""
    tables = [NOTHING]
    routes = np.array(sorted(failing), np.int64)
    for span, at, until in runs(made):
        if span:
            users, route, count = seals.columns(db, Part.USED, span, at, until, (0, 1, 2))
        else:
            users, route, count = single[Piece(at, until, 0)].T
        persons = people.persons(users)
        keep = wanted[persons]
        if len(routes):
            keep = keep | np.isin(route, routes)
        tables.append(np.stack((persons[keep], route[keep], count[keep])).T)
    return grouped(np.concatenate(tables))
