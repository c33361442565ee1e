"""Failed requests in SQLite, found in sealed days and in the index of failed ones alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from guardian.stores.sqlite import sealed_failures
from guardian.stores.sqlite.buckets import ids, time_of
from guardian.stores.sqlite.people import People
from tracker.event import Event, Failure
from tracker.sqlite.keys import SEQUENCE_BITS

_CHUNK = 20_000
_INDEXED = "FROM guardian_request WHERE id >= ? AND id < ? AND failure IS NOT NULL"
_ROWS = """
    SELECT e.id, e.user, e.route, e.status % 1000, e.duration_us, e.failure, e.latency_us FROM json_each(?) j
    CROSS JOIN guardian_request e ON e.id = j.value
"""
_ROUTES = "SELECT id, endpoint, method, feature FROM guardian_route"
_FAILURES = "SELECT id, kind, message, location FROM guardian_failure WHERE id IN (SELECT value FROM json_each(?))"
_USERS = "SELECT id, email FROM guardian_user WHERE id IN (SELECT value FROM json_each(?))"


class Failed(NamedTuple):
    """Failed requests in the order of time: their keys, the numbers of the persons, and those of the routes.

    `routes` is empty where it was not asked for: they are not in the index.
    """

    ids: np.ndarray
    persons: np.ndarray
    routes: np.ndarray

    def last_of_each(self, number: int) -> Failed:
        """The last so many of each person."""
        order = np.argsort(self.persons, kind="stable")
        mine = self.persons[order]
        ends = np.flatnonzero(np.diff(mine, append=-1))
        last = np.repeat(ends, np.diff(ends, prepend=-1))
        return self.where(np.sort(order[last - np.arange(len(mine)) < number]))

    def where(self, places: np.ndarray) -> Failed:
        """Those at these places."""
        return Failed(*(column[places] if len(column) else column for column in self))


def read_failed(
    db: sqlite3.Connection,
    people: People,
    window: tuple[int, int],
    *,
    users: Sequence[int] | None = None,
    routes: Sequence[int] | None = None,
    with_routes: bool = False,
) -> Failed:
    """The failed requests of a window of keys, [first, end); with `users` or `routes`, numbers of the dictionaries, of
    those alone."""
    columns = ("id", "user", "route") if with_routes else ("id", "user")
    first, end = window
    found = [[_NONE] * len(columns)]
    for start, until, noted in sealed_failures.days(db, time_of(first), time_of(end)):
        found += _in_index(db, columns, (first, ids(start, until)[0]), users, routes)
        keep = np.ones(len(noted[0]), bool)
        for column, numbers in ((noted[1], users), (noted[2], routes)):
            if numbers is not None:
                keep &= np.isin(column, list(numbers))
        found.append([column[keep] for column in noted[: len(columns)]])
        first = ids(start, until)[1]
    found += _in_index(db, columns, (first, end), users, routes)
    read = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    return Failed(read[0], people.persons(read[1]), read[2] if with_routes else _NONE)


def _in_index(
    db: sqlite3.Connection,
    columns: Sequence[str],
    window: tuple[int, int],
    users: Sequence[int] | None,
    routes: Sequence[int] | None,
) -> list[list[np.ndarray]]:
    """These columns of the failed requests of a window of keys, in pieces."""
    only, values = "", list[Any]()
    for column, numbers in (("user", users), ("route", routes)):
        if numbers is not None:
            only += f" AND {column} IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(list(numbers)))
    # As one text a column: a tuple and three numbers of Python's for each row take three times as long.
    texts = ", ".join(f"group_concat({column})" for column in columns)
    sql = f"SELECT {texts} FROM (SELECT {', '.join(columns)} {_INDEXED}{only} ORDER BY id LIMIT {_CHUNK})"
    first, end = window
    found = list[list[np.ndarray]]()
    while (row := db.execute(sql, (first, end, *values)).fetchone())[0] is not None:
        found.append([np.fromstring(text, np.int64, sep=",") for text in row])
        first = int(found[-1][0][-1]) + 1
        if len(found[-1][0]) < _CHUNK:
            break
    return found


_NONE = np.zeros(0, np.int64)


def newest_failures(
    db: sqlite3.Connection,
    people: People,
    window: tuple[int, int],
    *,
    per_person: int,
    users: Sequence[int] | None = None,
    routes: Sequence[int] | None = None,
) -> dict[str, list[Event]]:
    """The newest failed events of each person, at most so many, oldest first; the rest as in `read_failed`."""
    return events_of(
        db, people, read_failed(db, people, window, users=users, routes=routes).last_of_each(per_person).ids
    )


def events_of(
    db: sqlite3.Connection, people: People, keys: np.ndarray, names: Mapping[int, str] | None = None
) -> dict[str, list[Event]]:
    """The failed events of these keys, in the order of them, by the person; `names` are those of all these persons, by
    the number, where they are known."""
    rows = db.execute(_ROWS, (json.dumps(keys.tolist()),)).fetchall()
    where = {row[0]: row[1:] for row in db.execute(_ROUTES)}
    why = {row[0]: Failure(*row[1:]) for row in db.execute(_FAILURES, (_distinct(rows, 5),))}
    if names is None:
        who = people.names(db.execute(_USERS, (_distinct(rows, 1),)))
    else:
        who = {user: names[people.same.get(user, user)] for user in {row[1] for row in rows}}
    found: dict[str, list[Event]] = {}
    for number, user, route, status, duration_us, failure, latency_us in rows:
        name, (endpoint, method, feature) = who[user], where[route]
        at_us = number >> SEQUENCE_BITS
        event = Event(at_us, name, endpoint, method, feature, status, duration_us, why[failure], latency_us)
        found.setdefault(name, []).append(event)
    return found


def _distinct(rows: Sequence[tuple[int, ...]], column: int) -> str:
    return json.dumps(list({row[column] for row in rows}))
